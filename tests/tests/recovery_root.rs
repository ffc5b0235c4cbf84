//! What a host finds when it boots after a cut, or with another /etc than it had.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::product;
use sysc_tests::tree::Suite;

const ATOMIC: &str = "/var/lib/containers/atomic";

/// A version of a service that has a file on the host.
fn version(number: &str) -> Result<Image> {
    let manifest = json!({"defaultValues": {"V": number}}).to_string();
    let unit = "[Unit]\nDescription=$NAME\n[Service]\nExecStart=$EXEC_START\nEnvironment=V=$V\n\
                ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE\nWorkingDirectory=$DESTDIR\n\
                [Install]\nWantedBy=multi-user.target\n";
    let exports = Tar::new()
        .file("exports/manifest.json", 0o644, manifest.as_bytes())
        .file("exports/service.template", 0o644, unit.as_bytes())
        .file("exports/hostfs/etc/box.conf", 0o644, number.as_bytes());
    let config = json!({"Cmd": ["/bin/sh", "-c", images::SERVICE]});
    let base = Builder::new(config).layer(images::busybox_layer()?);
    Ok(base.layer(exports.finish()).build())
}

/// A machine with the unit for recovery, and version 1 of 'box' installed and running.
fn machine() -> Result<Machine> {
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.copy_in(&product::failpoints()?, "/usr/bin/sysc-failpoints")?;
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../unit-templates/sysc-recover.service");
    machine.copy_in(&unit, "/usr/lib/systemd/system/sysc-recover.service")?;
    machine.ok(&["systemctl", "enable", "sysc-recover.service"])?;
    version("1")?.write_layout(&machine.path("/root/box"), "latest")?;
    version("2")?.write_layout(&machine.path("/root/box2"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    Ok(machine)
}

/// A unit's environment, without what sysc adds to it.
fn environment(machine: &Machine, unit: &str) -> Result<String> {
    let all = machine.property(unit, "Environment")?;
    let own = all.split(' ').filter(|word| !word.starts_with("SYSC_"));
    Ok(own.collect::<Vec<_>>().join(" "))
}

/// Waits until 'box' runs, and says which version: of the unit, and of the file.
fn running(machine: &Machine) -> Result<[String; 2]> {
    machine.until("box runs", || {
        Ok(machine.property("box", "SubState")? == "running")
    })?;
    assert_eq!(machine.property("sysc-recover", "Result")?, "success");
    Ok([
        environment(machine, "box")?,
        machine.sh("cat /etc/box.conf")?,
    ])
}

fn two() -> [String; 2] {
    ["V=2".to_owned(), "2".to_owned()]
}

/// The power goes right after the commit point: the next boot runs the new version, whole.
#[test]
fn i12_power_lost_after_the_commit_point() -> Result<()> {
    let mut machine = machine()?;
    let cut =
        "SYSC_FAILPOINT=host.change:1:kill sysc-failpoints update --rebase oci:/root/box2 box";
    machine.run(&["sh", "-c", cut])?;
    assert_eq!(environment(&machine, "box")?, "V=1");
    machine.cut_power()?;
    assert_eq!(running(&machine)?, two());
    let this_boot = ["journalctl", "-b", "-o", "cat", "-t", "sysc"];
    let said = machine.ok(&this_boot)?;
    ensure!(said.contains("finished what an earlier command left of 'box'"));
    // And once more, with nothing to do.
    machine.cut_power()?;
    assert_eq!(running(&machine)?, two());
    assert_eq!(machine.run(&this_boot)?.stdout, "");
    assert_eq!(machine.run(&["sysc", "recover"])?.stderr, "");
    Ok(())
}

/// The power goes before the commit point, and in the middle of an uninstallation.
#[test]
fn i12_power_lost_elsewhere() -> Result<()> {
    let mut machine = machine()?;
    let cut =
        "SYSC_FAILPOINT=filesystem.sync:1:kill sysc-failpoints update --rebase oci:/root/box2 box";
    machine.run(&["sh", "-c", cut])?;
    machine.cut_power()?;
    assert_eq!(running(&machine)?, ["V=1".to_owned(), "1".to_owned()]);
    assert_eq!(
        machine.sh(&format!("ls -A {ATOMIC}"))?,
        ".journal\n.storage\nbox\nbox.0\n"
    );
    let cut = "SYSC_FAILPOINT=host.change:1:kill sysc-failpoints uninstall box";
    machine.run(&["sh", "-c", cut])?;
    machine.cut_power()?;
    assert_eq!(machine.property("box", "LoadState")?, "not-found");
    assert_eq!(machine.sh("ls /etc/box.conf || true")?, "");
    assert_eq!(machine.sh(&format!("ls -A {ATOMIC}"))?, ".storage\n");
    Ok(())
}

/// What is staged runs after the next boot.
#[test]
fn a_boot_switches_to_what_is_staged() -> Result<()> {
    let mut machine = machine()?;
    machine.ok(&[
        "sysc",
        "update",
        "--stage",
        "--rebase",
        "oci:/root/box2",
        "box",
    ])?;
    machine.cut_power()?;
    assert_eq!(running(&machine)?, two());
    let history = machine.ok(&["sysc", "history", "box"])?;
    ensure!(history.contains("switch"), "{history}");
    machine.ok(&["sysc", "rollback", "box"])?;
    assert_eq!(environment(&machine, "box")?, "V=1");
    Ok(())
}

/// The host goes back to an /etc of before: units and files are as they were then, or none; what
/// was enabled runs, what was disabled does not, and what was uninstalled stays so.
#[test]
fn an_etc_of_former_times() -> Result<()> {
    let mut machine = machine()?;
    for name in ["off", "gone"] {
        machine.ok(&["sysc", "install", "--name", name, "oci:/root/box"])?;
    }
    machine.sh("mkdir /root/etc && cp -a /etc/systemd /etc/tmpfiles.d /etc/box.conf /root/etc")?;
    machine.ok(&["sysc", "uninstall", "gone"])?;
    machine.ok(&["systemctl", "disable", "off"])?;
    machine.ok(&["sysc", "update", "--rebase", "oci:/root/box2", "box"])?;
    machine.ok(&["sysc", "recover"])?;
    // Another deployment of the host is told by what the kernel was started with; here, where
    // kernels are not started, by the machine's id.
    machine.sh(
        "rm -r /etc/systemd && cp -a /root/etc/systemd /root/etc/box.conf /etc
         rm /etc/systemd/system/multi-user.target.wants/box.service
         echo 0123456789abcdef0123456789abcdef > /etc/machine-id; sync",
    )?;
    machine.cut_power()?;
    assert_eq!(running(&machine)?, two());
    assert_eq!(machine.property("box", "UnitFileState")?, "enabled");
    assert_eq!(machine.property("off", "UnitFileState")?, "disabled");
    assert_eq!(machine.property("off", "ActiveState")?, "inactive");
    assert_eq!(machine.property("gone", "LoadState")?, "not-found");
    ensure!(!machine.path("/etc/systemd/system/gone.service").exists());
    Ok(())
}

/// With nothing to do, a boot is not held up.
#[test]
fn recovery_with_nothing_to_do_is_quick() -> Result<()> {
    let mut machine = machine()?;
    machine.cut_power()?;
    running(&machine)?;
    let stamp = |name: &str| -> Result<u64> {
        let value = machine.property("sysc-recover", name)?;
        value.parse().with_context(|| format!("{name}: '{value}'"))
    };
    let took = stamp("ExecMainExitTimestampMonotonic")? - stamp("ExecMainStartTimestampMonotonic")?;
    println!("recovery at boot with nothing to do: {took} us");
    ensure!(took < 2_000_000, "{took} us");
    Ok(())
}
