//! Units around containers: orders, targets, timers, instances, and drop-ins of an administrator.

use anyhow::{Result, ensure};
use serde_json::json;
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

/// A busybox with a unit, and with host files whose content and names are templates.
fn image(script: &str, unit: &str, host: &[(&str, &str, &str)]) -> Result<Image> {
    let renames = host
        .iter()
        .map(|(from, to, _)| ((*from).to_owned(), json!(to)));
    let manifest = json!({
        "renameFiles": serde_json::Map::from_iter(renames),
        "installedFilesTemplate": host.iter().map(|(_, to, _)| to).collect::<Vec<_>>(),
    });
    let config = images::busybox_config(script).to_string();
    let mut tar = Tar::new()
        .file(
            "exports/manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )
        .file("exports/config.json", 0o644, config.as_bytes())
        .file("exports/service.template", 0o644, unit.as_bytes());
    for (from, _, text) in host {
        tar = tar.file(&format!("exports/hostfs{from}"), 0o644, text.as_bytes());
    }
    let base = Builder::new(json!({})).layer(images::busybox_layer()?);
    Ok(base.layer(tar.finish()).build())
}

/// A oneshot and its timer: each run is a job, with the payload's exit status as its result.
fn timer(suite: Suite) -> Result<()> {
    let machine = Machine::boot(suite)?;
    let unit = "[Service]\nType=oneshot\nWorkingDirectory=$DESTDIR\nExecStart=$EXEC_START\n";
    let timer = "[Timer]\nOnActiveSec=100ms\nAccuracySec=10ms\n[Install]\nWantedBy=timers.target\n";
    let files = [(
        "/etc/systemd/system/job.timer",
        "/etc/systemd/system/${NAME}.timer",
        timer,
    )];
    image("echo did it", unit, &files)?.write_layout(&machine.path("/root/job"), "latest")?;
    machine.ok(&["sysc", "install", "--name", "nightly", "oci:/root/job"])?;
    assert_eq!(machine.property("nightly", "ActiveState")?, "inactive");
    machine.ok(&["systemctl", "enable", "--now", "nightly.timer"])?;
    machine.until("the timer has elapsed", || {
        Ok(machine
            .journal("nightly")?
            .lines()
            .any(|line| line == "did it"))
    })?;
    machine.until("the job has ended", || {
        Ok(machine.property("nightly", "ActiveState")? == "inactive")
    })?;
    assert_eq!(machine.property("nightly", "Result")?, "success");
    // By hand: the job is over when the payload is.
    machine.ok(&["systemctl", "start", "nightly"])?;
    machine.ok(&["journalctl", "--sync"])?;
    let said = machine.journal("nightly")?;
    assert_eq!(said.lines().filter(|line| *line == "did it").count(), 2);
    machine.ok(&["systemctl", "disable", "--now", "nightly.timer"])?;
    machine.ok(&["sysc", "uninstall", "nightly"])?;
    machine.sh("! test -e /etc/systemd/system/nightly.timer")?;
    Ok(())
}

#[test]
fn a_timer_starts_a_job_on_debian_12() -> Result<()> {
    timer(Suite::Bookworm)
}

#[test]
fn a_timer_starts_a_job_on_debian_13() -> Result<()> {
    timer(Suite::Trixie)
}

/// A job's failure is the start's failure.
#[test]
fn a_job_that_fails_is_a_start_that_fails() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let unit = "[Service]\nType=oneshot\nWorkingDirectory=$DESTDIR\nExecStart=$EXEC_START\n";
    image("exit 5", unit, &[])?.write_layout(&machine.path("/root/job"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/job"])?;
    machine.run(&["systemctl", "start", "job"])?.fails_with(1)?;
    assert_eq!(machine.property("job", "ExecMainStatus")?, "5");
    Ok(())
}

/// systemd makes them before the start, with the unit's modes, also where all else is read-only; those
/// below /run go with each stop.
#[test]
fn directories_of_the_unit_can_be_bound() -> Result<()> {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let machine = Machine::boot(suite)?;
        let mut config = images::busybox_config(
            "for dir in state run logs conf; do ls -ldn /$$dir | { read mode rest; echo $$dir $$mode; }; done; \
             echo x >>/state/x && echo x >>/run/x && echo x >>/logs/x && echo wrote; exec sleep 1000",
        );
        let places = [
            ("/var/lib", "state"),
            ("/run", "run"),
            ("/var/log", "logs"),
            ("/etc", "conf"),
        ];
        for (source, destination) in places {
            let mount = json!({"destination": format!("/{destination}"), "type": "bind",
                "source": format!("{source}/$NAME"), "options": ["rbind", "rw"]});
            if let Some(mounts) = config["mounts"].as_array_mut() {
                mounts.retain(|mount| mount["destination"] != "/run" || mount["type"] == "bind");
                mounts.push(mount);
            }
        }
        let unit = "[Service]\nWorkingDirectory=$DESTDIR\nExecStart=$EXEC_START\nProtectSystem=strict\n\
            ReadWritePaths=/run/sysc-runtime\nRuntimeDirectory=sysc-runtime $NAME\nRuntimeDirectoryPreserve=no\n\
            StateDirectory=$NAME\nLogsDirectory=$NAME\nConfigurationDirectory=$NAME\nStateDirectoryMode=0750\n\
            RuntimeDirectoryMode=0700\n";
        let exports = [
            ("config.json.template", config.to_string()),
            ("service.template", unit.to_owned()),
            ("tmpfiles.template", "\n".to_owned()),
        ];
        let exports = exports
            .each_ref()
            .map(|(name, text)| (*name, text.as_str()));
        images::busybox_with(&exports)?.write_layout(&machine.path("/root/box"), "latest")?;
        machine.ok(&["sysc", "install", "oci:/root/box"])?;
        for round in 1..=2 {
            machine.ok(&["systemctl", "start", "box"])?;
            machine.until("it has written", || {
                Ok(machine.journal("box")?.matches("wrote").count() == round)
            })?;
            assert_eq!(machine.sh("cat /run/box/x")?, "x\n");
            machine.ok(&["systemctl", "stop", "box"])?;
            machine.sh("! test -e /run/box")?;
        }
        assert_eq!(
            machine
                .sh("cat /var/lib/box/x /var/log/box/x | wc -l")?
                .trim(),
            "4"
        );
        ensure!(machine.journal("box")?.contains("state drwxr-x---"));
    }
    Ok(())
}

/// One unit file, any number of containers of it; they stop with the service that they are part of.
#[test]
fn instances_share_a_deployment() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let all = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
    let one = "[Unit]\nPartOf=$NAME.service\nAfter=$NAME.service\n\
        [Service]\nWorkingDirectory=$DESTDIR\nExecStart=$RUNTIME run '${NAME}.%i'\nType=notify\n\
        NotifyAccess=main\nEnvironment=SYSC_READY=runtime\nKillMode=mixed\nExecStopPost=-$RUNTIME delete --force '${NAME}.%i'\n\
        SyslogIdentifier=${NAME}-%i\n[Install]\nWantedBy=$NAME.service\n";
    let files = [(
        "/etc/systemd/system/one@.service",
        "/etc/systemd/system/worker@.service",
        one,
    )];
    image(images::SERVICE, all, &files)?.write_layout(&machine.path("/root/worker"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/worker"])?;
    machine.ok(&["systemctl", "enable", "worker@a", "worker@b"])?;
    machine.ok(&["systemctl", "start", "worker"])?;
    for instance in ["worker@a", "worker@b"] {
        machine.until("the instance runs", || {
            Ok(machine.journal(instance)?.contains("started"))
        })?;
        assert_eq!(machine.property(instance, "SubState")?, "running");
        let main = machine.property(instance, "MainPID")?;
        assert_eq!(machine.sh(&format!("cat /proc/{main}/comm"))?, "sh\n");
    }
    let listed = machine.ok(&["sysc-runtime", "list", "-q"])?;
    assert_eq!(
        listed.split_whitespace().collect::<Vec<_>>(),
        ["worker.a", "worker.b"]
    );
    machine.ok(&["systemctl", "stop", "worker@a"])?;
    assert_eq!(machine.property("worker@a", "Result")?, "success");
    assert_eq!(machine.property("worker@b", "SubState")?, "running");
    machine.ok(&["systemctl", "disable", "worker@a", "worker@b"])?;
    machine.ok(&["sysc", "uninstall", "worker"])?;
    assert_eq!(machine.property("worker@b", "ActiveState")?, "inactive");
    assert_eq!(machine.ok(&["sysc-runtime", "list", "-q"])?, "");
    Ok(())
}

/// Two containers of one image, one after the other, under a target of an administrator's.
#[test]
fn units_order_among_each_other() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let image = images::busybox(images::SERVICE)?;
    image.write_layout(&machine.path("/root/box"), "latest")?;
    for name in ["first", "second"] {
        machine.ok(&["sysc", "install", "--name", name, "oci:/root/box"])?;
    }
    machine.sh(
        "cd /etc/systemd/system; mkdir second.service.d
        printf '[Unit]\\nBindsTo=first.service\\nAfter=first.service\\n' >second.service.d/order.conf
        printf '[Unit]\\nWants=first.service second.service\\n' >shop.target
        systemctl daemon-reload; systemctl start shop.target",
    )?;
    let since = |unit: &str| -> Result<u64> {
        Ok(machine
            .property(unit, "InactiveExitTimestampMonotonic")?
            .parse()?)
    };
    let ready: u64 = machine
        .property("first", "ActiveEnterTimestampMonotonic")?
        .parse()?;
    machine.until("both run", || {
        Ok(machine.property("second", "SubState")? == "running")
    })?;
    ensure!(
        since("second")? >= ready,
        "second began before first was active"
    );
    machine.ok(&["systemctl", "stop", "first"])?;
    assert_eq!(machine.property("second", "ActiveState")?, "inactive");
    Ok(())
}

/// `systemctl edit` makes a drop-in, which is never ours.
#[test]
fn drop_ins_survive_updates() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.sh(
        "printf '#!/bin/sh\\nprintf \"[Service]\\\\nMemoryMax=99M\\\\nEnvironment=EDITED=yes\\\\n\" >\"$1\"\\n' >/root/editor
        chmod +x /root/editor; SYSTEMD_EDITOR=/root/editor script -qec 'systemctl edit box' /dev/null",
    )?;
    assert_eq!(machine.property("box", "MemoryMax")?, "103809024");
    let newer = format!("{}; echo newer", images::SERVICE);
    images::busybox(&newer)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "update", "box"])?;
    assert_eq!(machine.property("box", "MemoryMax")?, "103809024");
    ensure!(
        machine
            .ok(&["systemctl", "cat", "box"])?
            .contains("X-Sysc-Generation=box/2")
    );
    machine.ok(&["sysc", "rollback", "box"])?;
    ensure!(
        machine
            .property("box", "Environment")?
            .contains("EDITED=yes")
    );
    Ok(())
}
