//! Hosts that atomic's system containers run on.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::product;
use sysc_tests::registry::Registry;
use sysc_tests::tree::Suite;

const DIR: &str = "/var/lib/containers/atomic";

fn service(version: &str) -> Result<Image> {
    let config = json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
            "args": ["/bin/sh", "-c", format!("echo {version} $GREETING; {}", images::SERVICE)],
        },
        "root": {"path": "rootfs", "readonly": true},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    });
    let unit = "[Unit]\nDescription=$NAME\n[Service]\nExecStart=$EXEC_START\nExecStop=$EXEC_STOP\n\
                WorkingDirectory=$DESTDIR\n[Install]\nWantedBy=multi-user.target\n";
    let exports = Tar::new()
        .file(
            "exports/config.json.template",
            0o644,
            config.to_string().as_bytes(),
        )
        .file("exports/service.template", 0o644, unit.as_bytes())
        .file(
            "exports/manifest.json",
            0o644,
            br#"{"defaultValues": {"GREETING": "hello"}}"#,
        )
        .file(
            "exports/hostfs/usr/local/bin/boxctl",
            0o755,
            b"#!/bin/sh\necho ctl\n",
        );
    Ok(Builder::new(json!({}))
        .layer(images::busybox_layer()?)
        .layer(exports.finish())
        .build())
}

/// Makes of an installed container what atomic would have left: its record, its unit that calls
/// runc, and nothing of ours.
fn as_atomic_left_it(machine: &Machine, name: &str) -> Result<()> {
    let info: Value = serde_json::from_str(&machine.sh(&format!("cat {DIR}/{name}/info"))?)?;
    let mut values = info["values"].clone();
    values["RUNTIME"] = "/usr/bin/runc".into();
    values["EXEC_START"] = format!("/usr/bin/runc run '{name}'").into();
    let atomic = json!({
        "image": info["image"], "revision": info["revision"], "ostree-commit": info["ostree-commit"],
        "created": 1500000000.25, "values": values, "has-container-service": true,
        "installed-files": ["/usr/local/bin/boxctl"],
        "installed-files-checksum": info["installed-files-checksum"],
        "runtime": "/usr/bin/runc", "remote": null, "system-package": "no",
    });
    std::fs::write(
        machine.path(&format!("{DIR}/{name}/info")),
        atomic.to_string(),
    )?;
    machine.sh(&format!(
        "cd {DIR} && rm -rf {name}.0/generation.* {name}.0/host .storage/ledger/{name}.json \
         .journal/{name}.json && ln -sfn {DIR}/{name}.0 {name} && \
         printf '[Service]\\nExecStart=/usr/bin/runc --root /run/runc run %s\\nExecStop=/usr/bin/runc --root /run/runc kill %s\\n\
         WorkingDirectory={DIR}/{name}.0\\n[Install]\\nWantedBy=multi-user.target\\n' {name} {name} \
         | tee {name}.0/{name}.service > /etc/systemd/system/{name}.service && \
         systemctl daemon-reload"
    ))?;
    Ok(())
}

/// Running ones are left alone, stopped ones taken over; the rest at the next boot, and runc may go.
#[test]
fn containers_are_taken_over_when_they_do_not_run() -> Result<()> {
    let registry = Registry::start()?;
    let image = registry.push(&service("one")?, "box:1")?;
    let mut machine = Machine::boot(Suite::Bookworm)?;
    // runc itself may not set device rules in these machines. What counts is that another program
    // started the containers, with its state in a place of its own.
    machine.copy_in(&product::runtime()?, "/usr/bin/runc")?;
    for (name, greeting) in [("first", "moin"), ("second", "hello")] {
        let set = format!("GREETING={greeting}");
        machine.ok(&["sysc", "install", "--name", name, "--set", &set, &image])?;
        as_atomic_left_it(&machine, name)?;
    }
    assert_eq!(
        machine.ok(&["sysc", "list", "--json"])?.trim(),
        "[]",
        "atomic's are not ours"
    );
    machine.ok(&["systemctl", "start", "first", "second"])?;
    machine.until("runc's containers run", || {
        Ok(machine.journal("second")?.contains("one hello"))
    })?;
    let pids = || {
        Ok::<_, anyhow::Error>([
            machine.property("first", "MainPID")?,
            machine.property("second", "MainPID")?,
        ])
    };
    let before = pids()?;
    let unit = machine.sh("cat /etc/systemd/system/first.service")?;
    let output = machine.run(&["sysc", "adopt"])?;
    assert_eq!(output.status, 3, "{output}");
    ensure!(
        output.stdout.contains("'first' runs, and is left alone"),
        "{output}"
    );
    assert_eq!(pids()?, before, "nothing was restarted");
    assert_eq!(machine.sh("cat /etc/systemd/system/first.service")?, unit);

    machine.ok(&["systemctl", "stop", "first"])?;
    let output = machine.run(&["sysc", "adopt", "first"])?.ok()?;
    ensure!(
        output.contains("RUNTIME"),
        "what was dropped is told: {output}"
    );
    let info: Value = serde_json::from_str(&machine.sh(&format!("cat {DIR}/first/info"))?)?;
    assert_eq!(info["user-values"]["GREETING"], "moin");
    ensure!(info["user-values"].get("RUNTIME").is_none(), "{info}");
    ensure!(info["user-values"].get("UUID").is_some(), "kept: {info}");
    machine.ok(&["systemctl", "start", "first"])?;
    assert_eq!(machine.property("first", "UnitFileState")?, "enabled");
    ensure!(
        machine
            .sh("cat /etc/systemd/system/first.service")?
            .contains("sysc-runtime run")
    );

    machine.sh("rm /usr/bin/runc")?;
    registry.push(&service("two")?, "box:1")?;
    machine.ok(&["sysc", "update", "first"])?;
    machine.until("the update greets as before", || {
        Ok(machine.journal("first")?.contains("two moin"))
    })?;

    machine.ok(&["systemctl", "enable", "second"])?;
    machine.run(&["sysc", "adopt"])?;
    machine.cut_power()?;
    machine.until("the second one is ours", || {
        Ok(machine.ok(&["sysc", "list"])?.contains("second"))
    })?;
    machine.until("it runs, without runc", || {
        Ok(machine.property("second", "SubState")? == "running")
    })?;
    let output = machine.run(&["sysc", "adopt"])?;
    assert_eq!(output.status, 0, "{output}");
    ensure!(
        !machine
            .path("/etc/systemd/system/sysc-adopt.service")
            .exists()
    );
    machine.ok(&["sysc", "uninstall", "second"])?;
    machine.ok(&["sysc", "uninstall", "first"])?;
    ensure!(
        !machine.path("/usr/local/bin/boxctl").exists(),
        "atomic's host files are ours now"
    );
    Ok(())
}
