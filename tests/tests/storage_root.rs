//! What is stored: how much, whether it is whole, and what of it is needed.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::tree::Suite;
use sysc_tests::watched::REPO;

/// A service with half a megabyte that no other version has, and a file for the host.
fn version(number: u8) -> Result<Image> {
    let own: Vec<u8> = (0..512 * 1024)
        .map(|at: u32| at.to_le_bytes()[1] ^ number)
        .collect();
    let more = Tar::new().file("own", 0o644, &own).file(
        "exports/hostfs/etc/box.conf",
        0o644,
        &[number, b'\n'],
    );
    let config = json!({"Cmd": ["/bin/sh", "-c", images::SERVICE]});
    let base = Builder::new(config).layer(images::busybox_layer()?);
    Ok(base.layer(more.finish()).build())
}

fn storage(machine: &Machine) -> Result<Value> {
    Ok(serde_json::from_str(
        &machine.ok(&["sysc", "storage", "--json"])?,
    )?)
}

/// Pruning frees what no generation and no image has, and nothing else.
#[test]
fn what_is_not_needed_is_freed() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let reference = registry.push(&version(1)?, "box:1")?;
    machine.ok(&["sysc", "install", "--name", "box", &reference])?;
    machine.ok(&["systemctl", "start", "box"])?;
    for number in [2, 3] {
        registry.push(&version(number)?, "box:1")?;
        machine.ok(&["sysc", "update", "box"])?;
    }
    let before = storage(&machine)?;
    let number = |of: &Value, key: &str| of[key].as_u64().context("a number");
    ensure!(number(&before, "reclaimable")? >= 512 * 1024, "{before}");
    let deployments = before["deployments"].as_array().context("a list")?;
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        ensure!(number(deployment, "unique")? >= 512 * 1024, "{deployment}");
        ensure!(number(deployment, "shared")? > 0, "{deployment}");
    }
    let said = machine.ok(&["sysc", "images", "prune"])?;
    ensure!(said.contains("2 layers were in no image"), "{said}");
    let after = storage(&machine)?;
    assert_eq!(number(&after, "reclaimable")?, 0);
    ensure!(number(&before, "objects")? - number(&after, "objects")? >= 512 * 1024);
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    machine.ok(&["sysc", "verify"])?;
    // What was kept is whole, and the former generation starts.
    machine.ok(&["sysc", "rollback", "box"])?;
    assert_eq!(machine.property("box", "SubState")?, "running");
    ensure!(machine.ok(&["sysc", "storage"])?.contains("GENERATION"));
    Ok(())
}

/// Bits that rot, objects and files that are gone: found, by path and container (I11).
#[test]
fn i11_damage_is_found() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    version(1)?.write_layout(&machine.path("/root/box"), "latest")?;
    for name in ["a", "b"] {
        machine.ok(&["sysc", "install", "--name", name, "oci:/root/box"])?;
    }
    ensure!(
        machine
            .ok(&["sysc", "verify"])?
            .contains("as it was written")
    );
    machine.sh("echo mine > /etc/box.conf")?;
    let text = machine.ok(&["sysc", "verify"])?;
    ensure!(text.contains("changed on this host"), "no damage: {text}");

    let own = "/var/lib/containers/atomic/a.0/rootfs/own";
    machine.sh(&format!(
        "printf x | dd of={own} bs=1 seek=1000 conv=notrunc status=none"
    ))?;
    let output = machine.run(&["sysc", "verify"])?;
    assert_eq!(output.status, 1, "{output}");
    for name in ["a", "b"] {
        ensure!(
            output.stdout.contains(&format!("{name} (generation")),
            "{output}"
        );
    }
    ensure!(
        output.stdout.contains("'/own': its object is damaged"),
        "{output}"
    );
    machine.sh(&format!("rm {own}"))?;
    let output = machine.run(&["sysc", "verify", "--json", "a"])?;
    assert_eq!(output.status, 1, "{output}");
    machine.sh(&format!(
        "rm $(find {REPO}/objects -name '*.file' -size 512k)"
    ))?;
    let output = machine.run(&["sysc", "verify", "b"])?;
    ensure!(
        output.stdout.contains("is missing") && output.stdout.contains("own"),
        "{output}"
    );
    // Pruning does not stumble over it.
    machine.run(&["sysc", "images", "prune"])?;
    machine.sh("rm /etc/systemd/system/a.service")?;
    let output = machine.run(&["sysc", "verify", "a"])?;
    ensure!(output.stdout.contains("missing on this host"), "{output}");
    Ok(())
}
