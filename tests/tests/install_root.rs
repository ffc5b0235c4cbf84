//! What an installation does besides running: the store, the lock, and being cut off.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;
use sysc_tests::watched::REPO;

fn json_of(machine: &Machine, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&machine.ok(arguments)?)?)
}

#[test]
fn a_second_installation_changes_nothing() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let list = machine.ok(&["sysc", "list", "--json"])?;
    ensure!(
        machine
            .ok(&["sysc", "install", "oci:/root/box"])?
            .contains("already present")
    );
    assert_eq!(machine.ok(&["sysc", "list", "--json"])?, list);
    Ok(())
}

#[test]
fn display_shows_all_and_writes_nothing() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::etcd()?.write_layout(&machine.path("/root/etcd"), "latest")?;
    let shown = [
        "sysc",
        "install",
        "--display",
        "--set",
        "ETCD_NAME=moon",
        "oci:/root/etcd",
    ];
    let text = machine.run(&shown)?.fails_with(1)?;
    ensure!(
        text.contains("sysc pull"),
        "it pulls nothing by itself: {text}"
    );
    machine.ok(&["sysc", "pull", "oci:/root/etcd"])?;
    let before = Snapshot::of_host(&machine.path("/"), &[])?;
    let text = machine.ok(&shown)?;
    for part in [
        "ETCD_NAME=moon",
        "ExecStart=/usr/bin/sysc-runtime run",
        "/etc/tmpfiles.d/etcd.conf",
    ] {
        ensure!(text.contains(part), "'{part}' is missing in:\n{text}");
    }
    assert_eq!(
        before.changes(&Snapshot::of_host(&machine.path("/"), &[])?),
        [""; 0]
    );
    Ok(())
}

#[test]
fn instances_share_their_files() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    for name in ["a", "b"] {
        machine.ok(&["sysc", "install", "--name", name, "oci:/root/box"])?;
    }
    let inode = |name: &str| {
        machine.sh(&format!(
            "stat -c '%i %h' /var/lib/containers/atomic/{name}/rootfs/bin/busybox"
        ))
    };
    assert_eq!(inode("a")?, inode("b")?);
    let links: u32 = inode("a")?
        .split_whitespace()
        .nth(1)
        .context("links")?
        .parse()?;
    ensure!(links >= 3, "the object, and one for each: {links}");
    machine.ok(&["systemctl", "start", "a", "b"])?;
    machine.ok(&["sysc", "uninstall", "a"])?;
    assert_eq!(machine.property("b", "SubState")?, "running");
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

#[test]
fn the_second_sysc_waits_and_says_so() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "pull", "oci:/root/box"])?;
    let lock = "/var/lib/containers/atomic/.storage/lock";
    let mut holder = machine.command(&["flock", lock, "sh", "-c", "echo held; read line"]);
    let mut holder = holder
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut held = [0; 5];
    std::io::Read::read_exact(&mut holder.stdout.take().context("piped")?, &mut held)?;
    let mut second = machine.command(&["sysc", "install", "oci:/root/box"]);
    let mut second = second
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let stderr = second.stderr.take().context("piped")?;
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stderr), &mut said)?;
    ensure!(said.contains("another sysc is at work"), "{said}");
    ensure!(second.try_wait()?.is_none(), "it waits");
    drop(holder.stdin.take());
    holder.wait()?;
    ensure!(second.wait()?.success());
    ensure!(machine.ok(&["sysc", "list"])?.contains("box"));
    Ok(())
}

/// Killed at thirty moments, by three signals; the next installation always works, and what was
/// interrupted is never seen half done (I01).
#[test]
fn i01_cut_off_at_any_moment() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let reference = registry.push(&images::busybox(images::SERVICE)?, "box:1")?;
    let whole = std::time::Instant::now();
    machine.ok(&["sysc", "install", &reference])?;
    let whole = whole.elapsed();
    machine.ok(&["sysc", "uninstall", "box-1"])?;
    for round in 0..30u32 {
        machine.sh(&format!("rm -rf {REPO}/refs/heads/ociimage"))?;
        let signal = ["INT", "TERM", "KILL"][round as usize % 3];
        let wait = whole * (round + 1) / 30;
        let line = format!(
            "sysc install {reference} & sleep {}; kill -{signal} $! 2>/dev/null; wait $!",
            wait.as_secs_f64()
        );
        let output = machine.run(&["bash", "-c", &line])?;
        let allowed = match signal {
            "INT" => [0, 130],
            "TERM" => [0, 143],
            _ => [0, 137],
        };
        ensure!(
            allowed.contains(&output.status),
            "{signal} after {wait:?}: {output}"
        );
        let there = !json_of(&machine, &["sysc", "list", "--json"])?
            .as_array()
            .context("list")?
            .is_empty();
        // SIGKILL may fall between the commit point and the end of the projection.
        ensure!(
            signal == "KILL" || there == (output.status == 0),
            "{signal}, {wait:?}: {output}"
        );
        machine.ok(&["sysc", "install", &reference])?;
        machine.ok(&["systemctl", "start", "box-1"])?;
        machine.ok(&["sysc", "uninstall", "box-1"])?;
        let left = machine.sh("cd /var/lib/containers/atomic && ls -A")?;
        assert_eq!(left.trim(), ".storage", "{signal} after {wait:?}");
    }
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

/// A missing ref, object or part of one is noticed, and the layer pulled again (I11).
#[test]
fn i11_what_is_damaged_is_pulled_again() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let reference = registry.push(&images::busybox(images::SERVICE)?, "box:1")?;
    machine.ok(&["sysc", "pull", &reference])?;
    let harms = [
        "rm $(ls refs/heads/ociimage/* | grep -E '/[0-9a-f]{64}$' | head -1)",
        "rm $(ls -S objects/*/*.file | head -1)",
        ": > $(ls -S objects/*/*.file | head -1)",
    ];
    for harm in harms {
        machine.sh(&format!("cd {REPO} && {harm}"))?;
        machine.ok(&["sysc", "install", &reference])?;
        machine.ok(&["systemctl", "start", "box-1"])?;
        machine.ok(&["sysc", "uninstall", "box-1"])?;
        machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    }
    Ok(())
}

/// A repository on another mount than the deployments, though of the same device, is refused by
/// trying a link; nothing is copied in silence (I09).
#[test]
fn i09_a_bind_mount_between_repository_and_deployments() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine
        .sh("mkdir -p /srv/s/repo /srv/c && mount --bind /srv/c /srv/s && mkdir -p /srv/s/in")?;
    let install = [
        "env",
        "ATOMIC_OSTREE_REPO=/srv/c/repo",
        "ATOMIC_OSTREE_CHECKOUT_PATH=/srv/s/atomic",
        "sysc",
        "install",
        "oci:/root/box",
    ];
    let text = machine.run(&install)?.fails_with(1)?;
    ensure!(
        text.contains("/srv/c/repo") && text.contains("/srv/s/atomic"),
        "{text}"
    );
    ensure!(
        !machine.path("/srv/c/repo/config").exists(),
        "the repository is taken back"
    );
    Ok(())
}

/// A service that fights back: always restarted, deaf to SIGTERM (I08).
#[test]
fn i08_uninstalling_a_stubborn_service() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let config = json!({"Cmd": ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.2; done"]});
    let unit = "[Unit]\nDescription=$NAME\n[Service]\nExecStart=$EXEC_START\nRestart=always\n\
                RestartSec=0\nTimeoutStopSec=1\nWorkingDirectory=$DESTDIR\n\
                [Install]\nWantedBy=multi-user.target\n";
    let exports = Tar::new()
        .file("exports/service.template", 0o644, unit.as_bytes())
        .finish();
    let image = Builder::new(config)
        .layer(images::busybox_layer()?)
        .layer(exports)
        .build();
    image.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    machine.sh("rm /etc/tmpfiles.d/box.conf || true")?;
    machine.ok(&["sysc", "uninstall", "box"])?;
    assert_eq!(machine.property("box", "LoadState")?, "not-found");
    let failed = machine.ok(&[
        "systemctl",
        "list-units",
        "--failed",
        "--plain",
        "--no-legend",
    ])?;
    ensure!(!failed.contains("box"), "{failed}");
    machine.run(&["sysc", "uninstall", "box"])?.fails_with(1)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    Ok(())
}

/// Files for the host are copied, never over a file that is there, and removed unless somebody
/// changed them; directories that were made for them go with them (T08).
#[test]
fn t08_files_for_the_host() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let manifest = json!({
        "version": "1.0",
        "defaultValues": {"GREETING": "hello"},
        "renameFiles": {"/usr/local/bin/boxctl": "/usr/local/bin/${NAME}ctl"},
        "installedFilesTemplate": ["/etc/box/box.conf"],
    });
    let exports = Tar::new()
        .file(
            "exports/manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )
        .file("exports/hostfs/usr/local/bin/boxctl", 0o755, b"#!/bin/sh\n")
        .file(
            "exports/hostfs/etc/box/box.conf",
            0o640,
            b"greeting=$GREETING\n",
        )
        .file("exports/hostfs/etc/box/edited", 0o644, b"ours\n")
        .file("exports/hostfs/etc/motd", 0o644, b"ours\n")
        .link("exports/hostfs/etc/box/dangling", "/usr/libexec/none");
    let config = json!({"Cmd": ["/bin/sh", "-c", images::SERVICE]});
    let base = Builder::new(config).layer(images::busybox_layer()?);
    let image = base.layer(exports.finish()).build();
    image.write_layout(&machine.path("/root/box"), "latest")?;
    machine.sh("echo admin > /etc/motd")?;
    let store = "var/lib/containers";
    let before = Snapshot::of_host(&machine.path("/"), &[store])?;

    let output = machine.run(&["sysc", "install", "oci:/root/box"])?;
    ensure!(
        output.stderr.contains("'/etc/motd' exists already"),
        "{output}"
    );
    output.ok()?;
    assert_eq!(machine.sh("cat /etc/box/box.conf")?, "greeting=hello\n");
    assert_eq!(machine.sh("stat -c %a /etc/box/box.conf")?, "640\n");
    assert_eq!(
        machine.sh("stat -c '%a %h' /usr/local/bin/boxctl")?,
        "755 1\n"
    );
    assert_eq!(
        machine.sh("readlink /etc/box/dangling")?,
        "/usr/libexec/none\n"
    );
    assert_eq!(machine.sh("cat /etc/motd")?, "admin\n");

    // Written in place: the repository must not notice.
    machine.sh("echo edited > /etc/box/edited; echo x >> /usr/local/bin/boxctl")?;
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    let output = machine.run(&["sysc", "uninstall", "box"])?;
    ensure!(output.stderr.contains("keep '/etc/box/edited'"), "{output}");
    output.ok()?;
    machine.sh("rm /etc/box/edited /usr/local/bin/boxctl && rmdir /etc/box")?;
    let after = Snapshot::of_host(&machine.path("/"), &[store])?;
    assert_eq!(before.changes(&after), [""; 0]);
    Ok(())
}

/// One container that cannot be put right is told, and does not stand in the way of others.
#[test]
fn a_broken_neighbour_does_not_stop_an_installation() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "--name", "a", "oci:/root/box"])?;
    let ledger = "/var/lib/containers/atomic/.storage/ledger/a.json";
    machine.sh(&format!("echo '{{' > {ledger}"))?;
    let output = machine.run(&["sysc", "install", "--name", "b", "oci:/root/box"])?;
    ensure!(
        output.stderr.contains("'a' is not as it should be"),
        "{output}"
    );
    ensure!(output.stderr.contains(ledger), "{output}");
    output.ok()?;
    machine.ok(&["systemctl", "start", "b"])?;
    Ok(())
}

/// What could not be stopped keeps its files, whatever is installed next, and goes when it can.
#[test]
fn a_service_that_cannot_be_stopped_keeps_its_files() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let config = json!({"Cmd": ["/bin/sh", "-c", images::SERVICE]});
    let unit = "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=$EXEC_START\n\
                WorkingDirectory=$DESTDIR\n[Install]\nWantedBy=multi-user.target\n";
    let exports = Tar::new().file("exports/service.template", 0o644, unit.as_bytes());
    let base = Builder::new(config).layer(images::busybox_layer()?);
    let image = base.layer(exports.finish()).build();
    image.write_layout(&machine.path("/root/stub"), "latest")?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/stub"])?;
    machine.ok(&["systemctl", "start", "stub"])?;
    machine.run(&["sysc", "uninstall", "stub"])?.fails_with(1)?;
    let output = machine.run(&["sysc", "install", "oci:/root/box"])?;
    ensure!(
        output.stderr.contains("'stub' is not as it should be"),
        "{output}"
    );
    output.ok()?;
    ensure!(
        machine
            .path("/var/lib/containers/atomic/stub.0/rootfs/bin")
            .is_dir()
    );
    machine.sh(
        "mkdir /etc/systemd/system/stub.service.d && cd /etc/systemd/system && \
                printf '[Unit]\\nRefuseManualStop=no\\n' > stub.service.d/a.conf && \
                rm stub.service && systemctl daemon-reload",
    )?;
    // Its unit file is gone, but it runs: it is stopped all the same.
    let output = machine.run(&["sysc", "uninstall", "stub"])?;
    ensure!(
        output
            .stderr
            .contains("finished what an earlier command left of 'stub'"),
        "{output}"
    );
    assert_ne!(machine.property("stub", "ActiveState")?, "active");
    ensure!(!machine.path("/var/lib/containers/atomic/stub.0").exists());
    Ok(())
}

/// Images hold set-uid files; nobody but root reaches the repository.
#[test]
fn the_store_is_roots_alone() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "pull", "oci:/root/box"])?;
    let look = ["setpriv", "--reuid", "65534", "--clear-groups", "ls", REPO];
    machine.run(&look)?.fails_with(2)?;
    Ok(())
}

/// One container whose own record is damaged holds nobody up but itself, and can be removed.
#[test]
fn a_damaged_record_concerns_its_container_alone() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    for name in ["a", "b"] {
        machine.ok(&["sysc", "install", "--name", name, "oci:/root/box"])?;
    }
    machine.ok(&["systemctl", "start", "a"])?;
    let atomic = "/var/lib/containers/atomic";
    machine.sh(&format!("echo '{{' > {atomic}/a.0/info"))?;
    let output = machine.run(&["sysc", "install", "--name", "c", "oci:/root/box"])?;
    ensure!(output.stderr.contains("a.0/info"), "{output}");
    output.ok()?;
    machine.ok(&["sysc", "uninstall", "b"])?;
    let output = machine.run(&["sysc", "list"])?;
    ensure!(output.stdout.contains("c "), "{output}");
    ensure!(output.stderr.contains("a.0/info"), "{output}");
    output.ok()?;
    let refs = format!("ostree --repo={REPO} refs --list sysc/deployment");
    ensure!(machine.sh(&refs)?.contains("sysc/deployment/a/1"));
    let again = ["sysc", "install", "--name", "a", "oci:/root/box"];
    ensure!(machine.run(&again)?.fails_with(1)?.contains("a.0/info"));
    assert_eq!(machine.property("a", "SubState")?, "running");
    machine.ok(&["sysc", "uninstall", "a"])?;
    ensure!(!machine.path(&format!("{atomic}/a.0")).exists());
    ensure!(!machine.sh(&refs)?.contains("sysc/deployment/a/"));
    machine.ok(&again)?;
    Ok(())
}

/// Two directories of deployments on one repository leave each other's trees alone.
#[test]
fn installations_may_share_a_repository() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    let other = "env ATOMIC_OSTREE_CHECKOUT_PATH=/var/lib/containers/other";
    let sysc = format!("ATOMIC_OSTREE_REPO={REPO} sysc");
    machine.sh(&format!("{other} {sysc} install --name a oci:/root/box"))?;
    machine
        .sh("systemctl start a && mv /etc/systemd/system/a.service /root && systemctl stop a")?;
    machine.sh("systemctl daemon-reload && rm /etc/tmpfiles.d/a.conf || true")?;
    machine.sh("sysc install --name a oci:/root/box && sysc install --name b oci:/root/box")?;
    let refs = || {
        machine.sh(&format!(
            "ostree --repo={REPO} refs --list sysc/deployment | sort"
        ))
    };
    let all = ["a/1", "a/2", "b/3"].map(|of| format!("sysc/deployment/{of}\n"));
    assert_eq!(refs()?, all.concat());
    machine.ok(&["sysc", "uninstall", "a"])?;
    assert_eq!(refs()?, [all[0].as_str(), &all[2]].concat());
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

/// An installation that fails before anything was pulled leaves a host as it was.
#[test]
fn a_failed_installation_leaves_nothing() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let nowhere = format!("{}/none:1", registry.address());
    machine.run(&["sysc", "install", &nowhere])?.fails_with(1)?;
    assert_eq!(machine.sh("ls -A /var/lib/containers")?, "");
    machine.run(&["sysc", "pull", &nowhere])?.fails_with(1)?;
    assert_eq!(machine.sh("ls -A /var/lib/containers")?, "");
    // Nor is anything fetched for a name that is taken.
    let reference = registry.push(&images::busybox(images::SERVICE)?, "box:1")?;
    machine.sh("touch /etc/systemd/system/box-1.service")?;
    let text = machine
        .run(&["sysc", "install", &reference])?
        .fails_with(1)?;
    ensure!(text.contains("exists already"), "{text}");
    assert_eq!(registry.blobs_sent()?, 0);
    Ok(())
}

/// A second installation under the same name does nothing, and so must not be given anything.
#[test]
fn values_for_what_is_present_are_refused() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::etcd()?.write_layout(&machine.path("/root/etcd"), "latest")?;
    let install = |value: &str| {
        let set = format!("ETCD_NAME={value}");
        machine.run(&["sysc", "install", "--set", &set, "oci:/root/etcd"])
    };
    install("moon")?.ok()?;
    ensure!(install("moon")?.ok()?.contains("already present"));
    let text = install("sun")?.fails_with(1)?;
    ensure!(text.contains("ETCD_NAME"), "{text}");
    // Lines for systemd-tmpfiles may hold secrets; a unit's settings are public in any case.
    let modes =
        machine.sh("stat -c %a /etc/systemd/system/etcd.service /etc/tmpfiles.d/etcd.conf")?;
    assert_eq!(modes, "644\n600\n");
    Ok(())
}
