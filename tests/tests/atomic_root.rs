//! atomic's command line: scripts that were written for it keep working.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::tree::Suite;

/// A machine with sysc under atomic's name, and a registry with a service and etcd.
fn host() -> Result<(Machine, Registry, String)> {
    let registry = Registry::start()?;
    let image = registry.push(&images::busybox(images::SERVICE)?, "box:1")?;
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.sh("ln -s sysc /usr/bin/atomic")?;
    Ok((machine, registry, image))
}

fn json(machine: &Machine, line: &str) -> Result<Vec<Value>> {
    let value: Value = serde_json::from_str(&machine.sh(line)?)?;
    Ok(value.as_array().context("a list")?.clone())
}

/// The life of a container, in the words of atomic's own tests.
#[test]
fn a_script_of_atomics_days() -> Result<()> {
    let (machine, _registry, image) = host()?;
    let first = machine.run(&["atomic", "pull", "--storage", "ostree", &image])?;
    ensure!(first.stderr.contains("Pulling layer"), "{first}");
    let second = machine.run(&["atomic", "pull", "--storage=ostree", &image])?;
    ensure!(!format!("{second}").contains("Pulling layer"), "{second}");

    let install = [
        "atomic",
        "install",
        "--system",
        "--system-package=no",
        "--name",
        "web",
    ];
    let set = ["--set", "UNUSED=x", &image, "--", "--some=arguments"];
    machine.run(&[&install[..], &set[..]].concat())?.ok()?;
    let again = machine.run(&[&install[..], &set[..]].concat())?;
    assert_eq!(again.status, 0, "{again}");
    ensure!(again.stdout.contains("already present"), "{again}");
    ensure!(
        machine
            .path("/var/lib/containers/atomic/web.0/web.service")
            .exists()
    );

    machine.sh("test $(atomic containers list --no-trunc -q | grep -c web) = 0")?;
    machine.sh("atomic containers list -a --no-trunc -q | grep -qx web")?;
    machine.sh("atomic run web && systemctl is-active web")?;
    machine.sh("atomic containers list -n | grep -q running")?;
    machine.sh("atomic ps -f state=running -f container=WEB -q | grep -qx web")?;
    machine.sh("atomic run web echo hello | grep -qx hello")?;
    machine.sh("atomic stop web && ! systemctl is-active web")?;
    machine.sh("atomic run web echo hello | grep -qx hello")?;
    machine
        .run(&["atomic", "run", "-d", "web", "echo"])?
        .fails_with(1)?;

    let list = json(&machine, "atomic containers list -a --json")?;
    assert_eq!(list.len(), 1);
    for key in [
        "id",
        "image_id",
        "image_name",
        "name",
        "command",
        "created",
        "state",
        "backend",
        "runtime",
        "vulnerable",
        "running",
    ] {
        ensure!(
            list[0].get(key).is_some(),
            "'{key}' is missing in {}",
            list[0]
        );
    }
    machine
        .run(&["atomic", "containers", "list", "-f", "colour=red"])?
        .fails_with(1)?;

    machine.sh("atomic uninstall --storage ostree web.0")?;
    machine
        .run(&["atomic", "uninstall", "web"])?
        .fails_with(1)?;
    machine.sh("test \"$(atomic containers list -a -n)\" = ''")?;
    Ok(())
}

/// /etc/atomic.conf and the variables hold where sysc's own settings say nothing.
#[test]
fn places_of_atomics_configuration() -> Result<()> {
    let (machine, _registry, image) = host()?;
    machine.sh(
        "printf '# comment\\nostree_repository: /var/lib/containers/r\\n\
         checkout_path: \"/var/lib/containers/c\"\\ndefault_storage: docker\\n' > /etc/atomic.conf",
    )?;
    machine.ok(&["atomic", "install", "--name", "web", &image])?;
    machine.sh("test -d /var/lib/containers/r/refs && test -L /var/lib/containers/c/web")?;
    machine.sh("systemctl start web")?;
    machine.sh(
        "mkdir /etc/sysc && echo 'deployments = \"/var/lib/containers/d\"' > /etc/sysc/sysc.toml",
    )?;
    machine.ok(&["atomic", "install", "--name", "other", &image])?;
    machine.sh("test -L /var/lib/containers/d/other")?;
    machine.sh("ATOMIC_OSTREE_CHECKOUT_PATH=/var/lib/containers/c atomic ps -q | grep -qx web")?;
    Ok(())
}

#[test]
fn deleting_asks_unless_told() -> Result<()> {
    let (machine, _registry, image) = host()?;
    for name in ["a", "b", "c"] {
        machine.ok(&["sysc", "install", "--system", "--name", name, &image])?;
    }
    let text = machine
        .run(&["atomic", "containers", "delete", "a"])?
        .fails_with(1)?;
    ensure!(text.contains("--assumeyes"), "{text}");
    machine.sh("echo y | atomic containers delete a")?;
    machine.sh("atomic containers delete -f -y b.0")?;
    machine.sh("atomic -y containers delete --all")?;
    assert_eq!(machine.ok(&["sysc", "list", "--json"])?.trim(), "[]");
    Ok(())
}

#[test]
fn images_under_several_names() -> Result<()> {
    let (machine, _registry, image) = host()?;
    machine.ok(&["atomic", "pull", &image])?;
    machine.ok(&["atomic", "images", "tag", &image, "second"])?;
    let refs = machine.sh("ls /var/lib/containers/atomic/.storage/ostree/refs/heads/ociimage")?;
    ensure!(refs.lines().any(|name| name == "second_3Alatest"), "{refs}");
    machine.ok(&["atomic", "install", "--name", "web", "ostree:second"])?;
    let text = machine
        .run(&["atomic", "install", "ostree:third"])?
        .fails_with(1)?;
    ensure!(text.contains("sysc pull third:latest"), "{text}");
    machine.sh("atomic images list | grep -q '^>'")?;
    machine.sh("atomic images list -a | grep -q '<none>'")?;
    let list = json(&machine, "atomic images list --json -f repo=SECOND")?;
    assert_eq!(list.len(), 1);
    for key in ["repo", "tag", "id", "created", "virtual_size", "type"] {
        ensure!(
            list[0].get(key).is_some(),
            "'{key}' is missing in {}",
            list[0]
        );
    }
    let id = list[0]["id"].as_str().context("id")?.to_owned();
    machine.sh(&format!("atomic images list -q --no-trunc | grep -qx {id}"))?;
    let text = machine
        .run(&["atomic", "images", "delete", "second"])?
        .fails_with(1)?;
    ensure!(text.contains("in use"), "{text}");
    machine.ok(&["atomic", "verify", "second"])?;
    machine.ok(&["atomic", "images", "verify", "--storage", "ostree", "web"])?;
    machine.ok(&["atomic", "images", "delete", "-f", "second"])?;
    machine.ok(&["atomic", "uninstall", "web"])?;
    machine.ok(&[
        "atomic",
        "images",
        "delete",
        "--storage",
        "ostree",
        &id[..12],
    ])?;
    assert_eq!(json(&machine, "atomic images list --json")?.len(), 0);
    machine.ok(&["atomic", "images", "prune"])?;
    assert_eq!(json(&machine, "atomic images list -a --json")?.len(), 0);
    machine
        .run(&["atomic", "images", "delete", "second"])?
        .fails_with(1)?;
    Ok(())
}

#[test]
fn info_and_missing_values_in_atomics_words() -> Result<()> {
    let (machine, registry, _) = host()?;
    let etcd = registry.push(&images::etcd()?, "etcd:3")?;
    machine.ok(&["atomic", "pull", &etcd])?;
    for verb in [&["info"][..], &["images", "info"]] {
        let text = machine.ok(&[&["atomic"], verb, &[&etcd]].concat())?;
        for line in [
            "version: 3.4",
            "Template variables with default value, but overridable with --set:",
            "RUN_DIRECTORY: {SET_BY_OS}",
            "ETCD_NAME: default",
        ] {
            ensure!(
                text.lines().any(|found| found == line),
                "'{line}' in:\n{text}"
            );
        }
    }
    machine.sh(&format!("atomic version {etcd} | grep -q 3.4"))?;
    Ok(())
}

#[test]
fn files_are_mounted_read_only() -> Result<()> {
    let (machine, _registry, image) = host()?;
    machine.ok(&["atomic", "install", "--name", "web", &image])?;
    machine.sh("mkdir /mnt/a /mnt/b")?;
    machine.ok(&["atomic", "mount", "web", "/mnt/a"])?;
    machine.ok(&["atomic", "mount", "--shared", "-o", "ro", &image, "/mnt/b"])?;
    machine.sh("test -x /mnt/a/bin/busybox && test -x /mnt/b/bin/busybox")?;
    machine.sh("! touch /mnt/a/x && ! touch /mnt/b/x")?;
    let text = machine
        .run(&["atomic", "mount", "--live", "web", "/mnt/a"])?
        .fails_with(1)?;
    ensure!(text.contains("do not support --live"), "{text}");
    machine
        .run(&["atomic", "mount", "-o", "rw", "web", "/mnt/a"])?
        .fails_with(1)?;
    machine.ok(&["atomic", "umount", "/mnt/a"])?;
    machine.ok(&["atomic", "unmount", "/mnt/b"])?;
    assert_eq!(machine.sh("ls /mnt/a /mnt/b | grep -c bin || true")?, "0\n");
    assert_eq!(
        machine.sh("ls /var/lib/containers/atomic/.storage/mounts")?,
        ""
    );
    Ok(())
}

#[test]
fn what_has_no_meaning_says_so() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.sh("ln -s sysc /usr/bin/atomic")?;
    for verb in [
        "top", "diff", "push", "sign", "trust", "storage", "scan", "host",
    ] {
        let output = machine.run(&["atomic", verb, "x"])?;
        assert_eq!(output.status, 2, "{output}");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
    }
    machine
        .run(&["atomic", "pull", "--storage", "docker", "x"])?
        .fails_with(1)?;
    let text = machine
        .run(&["atomic", "install", "--runtime", "/none", "x:1"])?
        .fails_with(1)?;
    ensure!(text.contains("is not installed"), "{text}");
    ensure!(machine.ok(&["atomic", "--version"])?.contains("0."));
    Ok(())
}

/// A container on the files of another one, and on a tree of the host.
#[test]
fn a_root_file_system_of_another() -> Result<()> {
    let (machine, _registry, image) = host()?;
    machine.ok(&["atomic", "install", "--name", "donor", &image])?;
    machine.ok(&[
        "atomic", "install", "--system", "--rootfs", "donor", "--name", "guest", &image,
    ])?;
    let link = machine.sh("readlink /var/lib/containers/atomic/guest/rootfs")?;
    assert_eq!(link, "/var/lib/containers/atomic/donor.0/rootfs\n");
    machine.sh("grep -q 'donor.0/rootfs' /var/lib/containers/atomic/guest.0/config.json")?;
    machine.ok(&["systemctl", "start", "donor", "guest"])?;
    assert_eq!(machine.property("guest", "SubState")?, "running");
    machine.sh("! sysc exec guest touch /x")?;
    let text = machine
        .run(&["sysc", "uninstall", "donor"])?
        .fails_with(1)?;
    ensure!(text.contains("'guest'"), "{text}");

    machine.sh("mkdir -p /srv/tree && cp -a /var/lib/containers/atomic/donor/rootfs /srv/tree/")?;
    machine.ok(&[
        "sysc",
        "install",
        "--rootfs",
        "/srv/tree",
        "--name",
        "third",
        &image,
    ])?;
    machine.ok(&["systemctl", "start", "third"])?;
    assert_eq!(machine.property("third", "SubState")?, "running");
    machine
        .run(&["sysc", "install", "--rootfs", "/srv", "--name", "x", &image])?
        .fails_with(1)?;
    machine.ok(&["sysc", "uninstall", "guest"])?;
    machine.ok(&["sysc", "uninstall", "donor"])?;
    machine.ok(&["sysc", "uninstall", "third"])?;
    machine.sh("test -x /srv/tree/rootfs/bin/busybox")?;
    Ok(())
}

/// `containers update` never pulls; `pull` and `update IMAGE` do. Rolling back twice returns.
#[test]
fn updates_and_rollbacks() -> Result<()> {
    let (machine, registry, image) = host()?;
    machine.ok(&["atomic", "install", "--name", "web", &image])?;
    machine.ok(&["systemctl", "start", "web"])?;
    let newer = images::busybox(&format!("echo two; {}", images::SERVICE))?;
    registry.push(&newer, "box:1")?;
    let same = machine.ok(&["atomic", "containers", "update", "web"])?;
    ensure!(same.contains("Latest version already installed"), "{same}");
    machine.ok(&["atomic", "update", &image])?;
    machine.ok(&["atomic", "containers", "update", "--all"])?;
    machine.until("the new one runs", || {
        Ok(machine.journal("web")?.contains("two"))
    })?;
    assert_eq!(
        machine.sh("readlink /var/lib/containers/atomic/web")?,
        "web.1\n"
    );
    machine.ok(&["sysc", "containers", "rollback", "web"])?;
    assert_eq!(
        machine.sh("readlink /var/lib/containers/atomic/web")?,
        "web.0\n"
    );
    machine.ok(&["atomic", "containers", "rollback", "web.0"])?;
    assert_eq!(
        machine.sh("readlink /var/lib/containers/atomic/web")?,
        "web.1\n"
    );
    assert_eq!(machine.property("web", "ActiveState")?, "active");
    machine
        .run(&["atomic", "containers", "update", "none"])?
        .fails_with(1)?;
    Ok(())
}
