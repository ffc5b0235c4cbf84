//! Limits of an image's configuration, as the host's systemd holds them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

/// Installs and starts a container with these resources and lines of its own in `[Service]`.
fn start(machine: &Machine, resources: &Value, lines: &str) -> Result<()> {
    let mut config = images::busybox_config(images::SERVICE);
    config["linux"]["resources"] = resources.clone();
    let unit = format!("[Service]\nExecStart=$EXEC_START\nWorkingDirectory=$DESTDIR\n{lines}");
    let exports = [
        ("config.json.template", config.to_string()),
        ("service.template", unit),
    ];
    let exports = exports
        .each_ref()
        .map(|(name, text)| (*name, text.as_str()));
    images::busybox_with(&exports)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    Ok(())
}

/// Where the payload is; the runtime has another command line.
fn cgroup_of_payload(machine: &Machine) -> Result<String> {
    let mut found = String::new();
    machine.until("the payload is there", || {
        let output = machine.run(&["pgrep", "-f", "^/bin/sh -c trap"])?;
        found = output.stdout.trim().to_owned();
        Ok(!found.is_empty())
    })?;
    machine.sh(&format!("grep ^0:: /proc/{found}/cgroup"))
}

fn are_settings_of_the_unit(suite: Suite) -> Result<()> {
    let machine = Machine::boot(suite)?;
    let resources = json!({
        "memory": {"limit": 67_108_864, "reservation": 33_554_432, "swap": 67_108_864},
        "cpu": {"shares": 2048, "quota": 50_000, "period": 100_000, "cpus": "0"},
        "pids": {"limit": 50},
        "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1_048_576}]},
        "devices": [{"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
    });
    start(&machine, &resources, "CPUWeight=30\n")?;
    let wanted = [
        ("MemoryMax", "67108864"),
        ("MemoryLow", "33554432"),
        ("MemorySwapMax", "0"),
        ("CPUWeight", "30"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUQuotaPeriodUSec", "100ms"),
        ("AllowedCPUs", "0"),
        ("TasksMax", "50"),
        ("IOWeight", "4950"),
        ("IOReadBandwidthMax", "/dev/block/8:0 1048576"),
        ("DevicePolicy", "closed"),
        ("Delegate", "no"),
    ];
    for (property, value) in wanted {
        assert_eq!(machine.property("box", property)?, value, "{property}");
    }
    let devices = machine.property("box", "DeviceAllow")?;
    ensure!(devices.contains("/dev/char/10:229 rw"), "{devices}");
    let said = machine.ok(&["journalctl", "-b", "--no-pager", "-o", "cat", "_PID=1"])?;
    ensure!(!said.contains("box.service:"), "{said}");
    assert_eq!(
        cgroup_of_payload(&machine)?.trim(),
        "0::/system.slice/box.service"
    );
    let config = machine.sh("cat /var/lib/containers/atomic/box/config.json")?;
    let config: Value = serde_json::from_str(&config)?;
    assert_eq!(config["linux"]["resources"], json!({}));
    machine.ok(&[
        "systemctl",
        "set-property",
        "--runtime",
        "box",
        "MemoryMax=32M",
    ])?;
    assert_eq!(machine.property("box", "MemoryMax")?, "33554432");
    machine.ok(&["systemctl", "restart", "box"])?;
    assert_eq!(machine.property("box", "MemoryMax")?, "33554432");
    Ok(())
}

#[test]
fn limits_are_settings_of_the_unit_on_debian_12() -> Result<()> {
    are_settings_of_the_unit(Suite::Bookworm)
}

#[test]
fn limits_are_settings_of_the_unit_on_debian_13() -> Result<()> {
    are_settings_of_the_unit(Suite::Trixie)
}

/// systemd has no setting for huge pages: the container has a cgroup below its unit's.
fn others_hold_below_the_unit(suite: Suite) -> Result<()> {
    let machine = Machine::boot(suite)?;
    machine.pass_controllers_on()?;
    let resources =
        json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}], "pids": {"limit": 50}});
    start(&machine, &resources, "")?;
    for _ in 0..2 {
        assert_eq!(
            cgroup_of_payload(&machine)?.trim(),
            "0::/system.slice/box.service/box"
        );
        let unit = "/sys/fs/cgroup/system.slice/box.service";
        let limit = machine.sh(&format!("cat {unit}/box/hugetlb.2MB.max"))?;
        assert_eq!(limit.trim(), "4194304");
        machine.ok(&["systemctl", "daemon-reload"])?;
        machine.ok(&[
            "systemctl",
            "set-property",
            "--runtime",
            "box",
            "MemoryMax=32M",
        ])?;
        assert_eq!(
            machine
                .sh(&format!("cat {unit}/box/hugetlb.2MB.max"))?
                .trim(),
            "4194304"
        );
        machine.ok(&["systemctl", "restart", "box"])?;
    }
    assert_eq!(machine.property("box", "TasksMax")?, "50");
    assert_eq!(machine.property("box", "Delegate")?, "yes");
    assert_eq!(machine.property("box", "OOMPolicy")?, "stop");
    machine.ok(&["systemctl", "stop", "box"])?;
    assert_eq!(machine.property("box", "Result")?, "success");
    machine.sh("! test -e /sys/fs/cgroup/system.slice/box.service")?;
    Ok(())
}

#[test]
fn other_limits_hold_below_the_unit_on_debian_12() -> Result<()> {
    others_hold_below_the_unit(Suite::Bookworm)
}

#[test]
fn other_limits_hold_below_the_unit_on_debian_13() -> Result<()> {
    others_hold_below_the_unit(Suite::Trixie)
}

/// U05: a payload that divides its cgroup further, as an init system does, has one of its own below
/// the unit's; exec, a reload of systemd and a restart find their way.
fn u05_a_payload_may_divide_its_cgroup(suite: Suite) -> Result<()> {
    let machine = Machine::boot(suite)?;
    machine.pass_controllers_on()?;
    let script = "trap 'exit 0' TERM; cd /sys/fs/cgroup; busybox mkdir init; echo 1 >init/cgroup.procs; \
        echo +hugetlb >cgroup.subtree_control; echo started; while :; do sleep 0.2; done";
    let mut config = images::busybox_config(script);
    let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"});
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.push(mount);
    }
    let exports = [("config.json", config.to_string())];
    let exports = exports
        .each_ref()
        .map(|(name, text)| (*name, text.as_str()));
    images::busybox_with(&exports)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let unit = "/sys/fs/cgroup/system.slice/box.service";
    for round in 1..=3 {
        machine.ok(&["systemctl", "restart", "box"])?;
        machine.until("it has divided its cgroup", || {
            Ok(machine.journal("box")?.matches("started").count() == round)
        })?;
        assert_eq!(machine.property("box", "Delegate")?, "yes");
        assert_eq!(
            cgroup_of_payload(&machine)?.trim(),
            "0::/system.slice/box.service/box/init"
        );
        assert_eq!(
            machine
                .sh(&format!("cat {unit}/box/cgroup.subtree_control"))?
                .trim(),
            "hugetlb"
        );
        assert_eq!(
            machine.ok(&["sysc", "exec", "box", "/bin/echo", "here"])?,
            "here\n"
        );
        machine.ok(&["systemctl", "daemon-reload"])?;
        assert_eq!(
            machine
                .sh(&format!("cat {unit}/box/cgroup.subtree_control"))?
                .trim(),
            "hugetlb"
        );
    }
    machine.ok(&["systemctl", "stop", "box"])?;
    assert_eq!(machine.property("box", "Result")?, "success");
    machine.sh(&format!("! test -e {unit}"))?;
    Ok(())
}

#[test]
fn u05_a_payload_may_divide_its_cgroup_on_debian_12() -> Result<()> {
    u05_a_payload_may_divide_its_cgroup(Suite::Bookworm)
}

#[test]
fn u05_a_payload_may_divide_its_cgroup_on_debian_13() -> Result<()> {
    u05_a_payload_may_divide_its_cgroup(Suite::Trixie)
}
