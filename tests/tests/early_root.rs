//! Services that are up before D-Bus and the network.

use anyhow::{Result, ensure};
use serde_json::Value;
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

const SCRIPT: &str = "trap 'echo stopped; exit 0' TERM; echo started; while :; do sleep 0.1; done";

/// As networkd orders itself: nothing but network-pre.target comes first.
const NETWORK: &str = "
cat >/etc/systemd/system/net.service <<END
[Unit]
DefaultDependencies=no
After=network-pre.target
Before=network.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
END
systemctl add-wants multi-user.target net.service
";

/// µs on the clock that starts with the kernel.
fn active_since(machine: &Machine, unit: &str) -> Result<u64> {
    Ok(machine
        .property(unit, "ActiveEnterTimestampMonotonic")?
        .parse()?)
}

/// When the payload spoke, on the same clock.
fn spoke(machine: &Machine, unit: &str) -> Result<u64> {
    let said = machine.ok(&[
        "journalctl",
        "-b",
        "-o",
        "json",
        "--no-pager",
        "-u",
        unit,
        "--grep",
        "^started$",
    ])?;
    let entry: Value = serde_json::from_str(said.lines().next().unwrap_or_default())?;
    Ok(entry["__MONOTONIC_TIMESTAMP"]
        .as_str()
        .unwrap_or_default()
        .parse()?)
}

fn before_the_bus(suite: Suite) -> Result<()> {
    let mut machine = Machine::boot(suite)?;
    let image = images::busybox(SCRIPT)?;
    image.write_layout(&machine.path("/root/asked"), "latest")?;
    machine.ok(&["sysc", "install", "--early", "oci:/root/asked"])?;
    let mut config = images::busybox_config(SCRIPT).to_string();
    config = config.replacen(
        "\"mounts\":[",
        "\"mounts\":[{\"destination\":\"/var\",\"type\":\"bind\",\
        \"source\":\"/run/says\",\"options\":[\"bind\"]},",
        1,
    );
    let exports = [
        ("config.json", config.as_str()),
        ("manifest.json", r#"{"early": true}"#),
    ];
    images::busybox_with(&exports)?.write_layout(&machine.path("/root/says"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/says"])?;
    machine.sh(NETWORK)?;
    machine.reboot()?;

    let units = [
        "sysinit.target",
        "dbus.socket",
        "basic.target",
        "net.service",
    ];
    let late = units.iter().map(|unit| active_since(&machine, unit));
    let first = late
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .min()
        .unwrap_or(0);
    for name in ["asked", "says"] {
        assert_eq!(machine.property(name, "SubState")?, "running");
        let (active, spoke) = (active_since(&machine, name)?, spoke(&machine, name)?);
        ensure!(active < first, "{name}: {active}, {first}");
        // It is active when all is set up; its program begins then.
        ensure!(
            spoke.abs_diff(active) < 1_000_000,
            "{name}: {active}, {spoke}"
        );
    }
    // A folder of the second one is made by tmpfiles, and waited for.
    ensure!(
        machine
            .property("says", "After")?
            .contains("systemd-tmpfiles-setup.service")
    );
    ensure!(
        !machine
            .property("asked", "After")?
            .contains("systemd-tmpfiles-setup.service")
    );
    let cycles = machine.ok(&["journalctl", "-b", "--no-pager", "-o", "cat", "_PID=1"])?;
    ensure!(!cycles.contains("ordering cycle"), "{cycles}");
    machine.ok(&["systemctl", "stop", "asked", "says"])?;
    ensure!(machine.journal("asked")?.contains("stopped"));
    Ok(())
}

#[test]
fn early_services_are_up_before_the_bus_on_debian_12() -> Result<()> {
    before_the_bus(Suite::Bookworm)
}

#[test]
fn early_services_are_up_before_the_bus_on_debian_13() -> Result<()> {
    before_the_bus(Suite::Trixie)
}

#[test]
fn what_waits_for_the_network_is_not_early() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let config = images::busybox_config(SCRIPT).to_string();
    let unit = "[Unit]\nAfter=network.target\n[Service]\nExecStart=$EXEC_START\nWorkingDirectory=$DESTDIR\n";
    let exports = [("config.json", config.as_str()), ("service.template", unit)];
    images::busybox_with(&exports)?.write_layout(&machine.path("/root/box"), "latest")?;
    let refused = machine
        .run(&["sysc", "install", "--early", "oci:/root/box"])?
        .fails_with(1)?;
    ensure!(refused.contains("'After=network.target'"), "{refused}");
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    Ok(())
}
