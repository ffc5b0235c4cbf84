//! Containers for one run: images that ask for it, and commands by hand.

use anyhow::{Result, ensure};
use serde_json::json;
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;

const STORE: &str = "var/lib/containers";

/// An installer as they were made for atomic: its root is writable, the host is bound.
fn installer(script: &str) -> Result<Image> {
    let config = json!({
        "ociVersion": "1.0.0",
        "platform": {"os": "linux", "arch": "amd64"},
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/",
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/bin", "WHO=$NAME"],
        },
        "root": {"path": "rootfs", "readonly": false},
        "mounts": [
            {"destination": "/host", "type": "bind", "source": "/srv", "options": ["rbind", "rw", "mode=755"]},
            {"destination": "/state", "type": "bind", "source": "/run/installer", "options": ["rbind", "rw"]},
        ],
        "linux": {"namespaces": [{"type": "mount"}]},
    });
    let exports = Tar::new().file(
        "exports/config.json.template",
        0o644,
        config.to_string().as_bytes(),
    );
    let labels = json!({"Labels": {"atomic.run": "once"}});
    Ok(Builder::new(labels)
        .layer(images::busybox_layer()?)
        .layer(exports.finish())
        .build())
}

#[test]
fn an_installer_runs_once_and_leaves_what_it_installed() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let script = "echo hello from $$WHO; echo x > /etc/written && cat /etc/written > /host/installed; exit 7";
    installer(script)?.write_layout(&machine.path("/root/installer"), "installer:1")?;
    machine.ok(&["sysc", "pull", "oci:/root/installer"])?;
    let before = Snapshot::of_host(&machine.path("/"), &[STORE])?;
    let output = machine.run(&["sysc", "install", "oci:/root/installer"])?;
    assert_eq!(output.status, 7, "{output}");
    assert_eq!(output.stdout, "hello from installer-1\n");
    assert_eq!(machine.sh("cat /srv/installed")?, "x\n");
    machine.sh("rm /srv/installed")?;
    let after = Snapshot::of_host(&machine.path("/"), &[STORE])?;
    assert_eq!(before.changes(&after), [""; 0]);
    assert_eq!(machine.sh("ls /var/lib/containers/atomic")?, "");
    assert_eq!(
        machine.sh("ls /var/lib/containers/atomic/.storage/once")?,
        ""
    );
    machine.sh("ostree fsck -q --repo /var/lib/containers/atomic/.storage/ostree")?;
    Ok(())
}

/// Ctrl-C and the like reach the program; nothing is left of the container.
#[test]
fn a_signal_ends_the_run_and_cleans_up() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let script =
        "trap 'echo bye; exit 3' TERM; echo started > /host/started; while :; do sleep 0.1; done";
    installer(script)?.write_layout(&machine.path("/root/installer"), "installer:1")?;
    let mut command = machine.command(&["sysc", "install", "oci:/root/installer"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn()?;
    machine.until("it runs", || Ok(machine.path("/srv/started").exists()))?;
    machine.sh("kill -TERM $(pgrep -x sysc-runtime)")?;
    assert_eq!(child.wait()?.code(), Some(3));
    assert_eq!(
        machine.sh("ls /var/lib/containers/atomic/.storage/once")?,
        ""
    );
    assert_eq!(
        machine.sh("grep -c storage/once /proc/mounts || true")?,
        "0\n"
    );
    Ok(())
}

#[test]
fn an_image_runs_a_command_on_a_root_of_its_own() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "box:1")?;
    let output = machine.run(&["sysc", "run", "oci:/root/box", "/bin/echo", "-n", "hello"])?;
    assert_eq!(output.stdout, "hello", "{output}");
    let fails = machine.run(&["sysc", "run", "box:1", "sh", "-c", "exit 9"])?;
    assert_eq!(fails.status, 9, "{fails}");
    assert_eq!(machine.ok(&["sysc", "list", "--json"])?.trim(), "[]");
    machine
        .run(&["sysc", "run", "-d", "box:1", "true"])?
        .fails_with(1)?;
    let text = machine
        .run(&["sysc", "run", "none:1", "true"])?
        .fails_with(1)?;
    ensure!(text.contains("none:1"), "{text}");
    Ok(())
}

/// W10: looking inside, before the first start, while it runs and when it is stopped.
#[test]
fn w10_a_command_in_a_container() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let config = json!({
        "Cmd": ["/bin/sh", "-c", images::SERVICE], "Volumes": {"/data": {}},
    });
    let image = Builder::new(config).layer(images::busybox_layer()?).build();
    image.write_layout(&machine.path("/root/box"), "box:1")?;
    machine.ok(&["sysc", "install", "--name", "box", "oci:/root/box"])?;
    let pid_one = [
        "sh",
        "-c",
        "cat /proc/1/comm; echo kept > /data/file; ls /data",
    ];
    let stopped = [&["sysc", "exec", "box"], &pid_one[..]].concat();
    assert_eq!(machine.ok(&stopped)?, "sh\nfile\n");
    assert_eq!(machine.sh("cat /var/lib/box/data/file")?, "kept\n");
    assert_eq!(machine.property("box", "ActiveState")?, "inactive");
    machine
        .run(&["sysc", "exec", "-d", "box", "true"])?
        .fails_with(1)?;

    machine.ok(&["sysc", "run", "box"])?;
    assert_eq!(machine.property("box", "SubState")?, "running");
    let inside = machine.ok(&[
        "sysc",
        "run",
        "box",
        "sh",
        "-c",
        "cat /proc/1/cmdline | tr '\\0' ' '",
    ])?;
    ensure!(inside.contains("echo started"), "{inside}");
    assert_eq!(
        machine
            .run(&["sysc", "exec", "box", "sh", "-c", "exit 5"])?
            .status,
        5
    );
    machine
        .run(&["sysc", "exec", "none", "true"])?
        .fails_with(1)?;
    Ok(())
}

#[test]
fn a_runtime_of_the_users_choice() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "box:1")?;
    let install = [
        "sysc",
        "install",
        "--runtime",
        "/none/runc",
        "oci:/root/box",
    ];
    let error = machine.run(&install)?.fails_with(1)?;
    ensure!(error.contains("'/none/runc' is not installed"), "{error}");
    machine.sh("cp /usr/bin/sysc-runtime /usr/sbin/other")?;
    machine.ok(&["sysc", "install", "--runtime", "other", "oci:/root/box"])?;
    let unit = machine.sh("cat /etc/systemd/system/box-1.service")?;
    ensure!(unit.contains("ExecStart=/usr/sbin/other run"), "{unit}");
    machine.ok(&["systemctl", "start", "box-1"])?;
    assert_eq!(machine.property("box-1", "SubState")?, "running");
    Ok(())
}
