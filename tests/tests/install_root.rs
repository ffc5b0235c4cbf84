//! What an installation does besides running: sources, the store, the lock, and being cut off.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Compression, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;

const REPO: &str = "/var/lib/containers/atomic/.storage/ostree";

fn json_of(machine: &Machine, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&machine.ok(arguments)?)?)
}

/// The checksum of an installed container's tree, content and all.
fn content(machine: &Machine, name: &str) -> Result<String> {
    let line = format!(
        "ostree --repo={REPO} ls -R -C $(ostree --repo={REPO} refs --list sysc/deployment/{name}) | sha256sum"
    );
    machine.sh(&line)
}

#[test]
fn w07_every_source_gives_the_same_tree() -> Result<()> {
    let registry = Registry::start()?;
    let image = images::busybox(images::SERVICE)?;
    let reference = registry.push(&image, "box:1")?;
    let machine = Machine::boot(Suite::Bookworm)?;
    image.write_layout(&machine.path("/root/layout"), "box:1")?;
    image.write_oci_archive(&machine.path("/root/oci.tar"), "box:1")?;
    image.write_docker_archive(&machine.path("/root/docker.tar"), "box:1")?;
    let sources = [
        reference.as_str(),
        "oci:/root/layout",
        "oci:/root/layout:box:1",
        "oci-archive:/root/oci.tar",
        "docker-archive:/root/docker.tar",
        "dockertar:/root/docker.tar",
    ];
    let mut contents = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let name = format!("c{at}");
        machine.ok(&["sysc", "install", "--name", &name, source])?;
        contents.push(content(&machine, &name)?);
    }
    ensure!(
        contents.iter().all(|found| *found == contents[0]),
        "{contents:?}"
    );
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

#[test]
fn p10_compressions_differ_and_trees_do_not() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let mut contents = Vec::new();
    for (name, compression) in [
        ("plain", Compression::None),
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
    ] {
        let config = json!({"Cmd": ["/bin/true"]});
        let layer = images::busybox_layer()?;
        let image = Builder::new(config).layer_as(layer, compression).build();
        let reference = registry.push(&image, &format!("{name}:latest"))?;
        machine.ok(&["sysc", "install", &reference])?;
        contents.push(content(&machine, name)?);
    }
    ensure!(
        contents.iter().all(|found| *found == contents[0]),
        "{contents:?}"
    );
    Ok(())
}

#[test]
fn a_layer_is_fetched_once() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let with_file = |name: &str| -> Result<Image> {
        let own = Tar::new().file(name, 0o644, name.as_bytes()).finish();
        let base = Builder::new(json!({"Cmd": ["/bin/true"]})).layer(images::busybox_layer()?);
        Ok(base.layer(own).build())
    };
    let one = registry.push(&with_file("one")?, "one:1")?;
    let two = registry.push(&with_file("two")?, "two:1")?;
    machine.ok(&["sysc", "pull", &one])?;
    // A configuration and two layers; then a configuration and the one layer that is new.
    assert_eq!(registry.blobs_sent()?, 3);
    machine.ok(&["sysc", "pull", &two])?;
    assert_eq!(registry.blobs_sent()?, 5);
    machine.ok(&["sysc", "install", &one])?;
    assert_eq!(registry.blobs_sent()?, 5);
    let images = json_of(&machine, &["sysc", "images", "list", "--json"])?;
    let used: Vec<_> = images
        .as_array()
        .context("a list")?
        .iter()
        .map(|i| &i["used"])
        .collect();
    assert_eq!(used, [true, false]);
    Ok(())
}

#[test]
fn p10_an_index_gives_the_hosts_platform() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let ours = images::busybox(images::SERVICE)?;
    let other = Builder::new(json!({"Cmd": ["/bin/other"]}))
        .layer(images::busybox_layer()?)
        .build_for("riscv64");
    let here = sysc_tests::image::architecture();
    let both = Image::index(&[("riscv64", &other), (here, &ours)]);
    let reference = registry.push(&both, "both:1")?;
    machine.ok(&["sysc", "install", &reference])?;
    let status = json_of(&machine, &["sysc", "status", "--json", "both-1"]).or_else(|_| {
        let output = machine.run(&["sysc", "status", "--json", "both-1"])?;
        ensure!(output.status == 3, "not running is 3: {output}");
        Ok(serde_json::from_str(&output.stdout)?)
    })?;
    assert_eq!(status["digest"], ours.digest());
    let strange = registry.push(&Image::index(&[("riscv64", &other)]), "strange:1")?;
    let text = machine.run(&["sysc", "install", &strange])?.fails_with(1)?;
    ensure!(
        text.contains("riscv64"),
        "what there is should be listed: {text}"
    );
    Ok(())
}

#[test]
fn by_digest_and_with_an_unknown_tag() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let image = images::busybox(images::SERVICE)?;
    let reference = registry.push(&image, "a/b/box:1")?;
    let repository = reference.trim_end_matches(":1");
    machine.ok(&[
        "sysc",
        "install",
        &format!("{repository}@{}", image.digest()),
    ])?;
    ensure!(machine.ok(&["sysc", "list"])?.contains("box"));
    let text = machine
        .run(&["sysc", "install", &format!("{repository}:2")])?
        .fails_with(1)?;
    ensure!(text.contains("box:2"), "{text}");
    Ok(())
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
