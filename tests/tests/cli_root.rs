//! The command line: what is said where, and with which status.

use anyhow::{Result, ensure};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;

#[test]
fn asking_a_fresh_host_changes_nothing() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let before = Snapshot::of_host(&machine.path("/"), &[])?;
    let cases: [(&[&str], i32, &str); 12] = [
        (&[], 2, ""),
        (&["frobnicate"], 2, ""),
        (&["install"], 2, ""),
        (&["install", "--set", "novalue", "oci:/x"], 1, ""),
        (&["--version"], 0, "sysc 0"),
        (&["--help"], 0, "Usage: sysc"),
        (&["install", "--help"], 0, "--src-creds"),
        (&["list"], 0, ""),
        (&["list", "--json"], 0, "[]"),
        (&["images", "list", "--json"], 0, "[]"),
        (&["status", "none"], 1, ""),
        (&["uninstall", "none"], 1, ""),
    ];
    for (arguments, status, said) in cases {
        let output = machine.run(&[&["sysc"], arguments].concat())?;
        ensure!(output.status == status, "{status} was expected: {output}");
        ensure!(output.stdout.contains(said), "'{said}': {output}");
        ensure!(
            (status == 0) == output.stderr.is_empty(),
            "errors go to standard error, and nothing else does: {output}"
        );
        ensure!(
            status == 0 || output.stdout.is_empty(),
            "what failed has no result: {output}"
        );
    }
    let changes = before.changes(&Snapshot::of_host(&machine.path("/"), &[])?);
    assert_eq!(changes, [""; 0]);
    Ok(())
}

/// Scripts read standard output and the status; nothing that is said to people is in their way.
#[test]
fn results_can_be_read_by_scripts() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    let installed = machine.run(&["sysc", "install", "oci:/root/box"])?;
    ensure!(installed.stderr.contains("Pulling layer"), "{installed}");
    ensure!(!installed.stdout.contains("Pulling layer"), "{installed}");
    ensure!(!installed.stderr.contains('\u{1b}'), "no colours in a pipe");

    let status = || machine.run(&["sysc", "status", "--json", "box"]);
    let stopped = status()?;
    assert_eq!(stopped.status, 3);
    serde_json::from_str::<serde_json::Value>(&stopped.stdout)?;
    machine.ok(&["systemctl", "start", "box"])?;
    assert_eq!(status()?.status, 0);

    // A reader that goes away is no failure, and full disks are.
    machine.ok(&["bash", "-o", "pipefail", "-c", "sysc list | true"])?;
    let list: serde_json::Value = serde_json::from_str(&machine.ok(&["sysc", "list", "--json"])?)?;
    assert_eq!(list[0]["name"], "box");
    let images: serde_json::Value =
        serde_json::from_str(&machine.ok(&["sysc", "images", "list", "--json"])?)?;
    assert_eq!(images[0]["used"], true);
    Ok(())
}
