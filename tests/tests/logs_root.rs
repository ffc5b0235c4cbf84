//! What is said of a service, and what it says.

use anyhow::{Result, ensure};
use serde_json::Value;
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

const INSTALLED: &str = "MESSAGE_ID=d617ef85a1584c148d11f1256fac2e26";
const UNINSTALLED: &str = "MESSAGE_ID=63391f20e0f54b2e8c4f07acc9e1625b";

fn logs_on(suite: Suite) -> Result<()> {
    let machine = Machine::boot(suite)?;
    images::busybox("echo one; echo two >&2; sleep 1; exit 7")?
        .write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.sh("systemctl edit --help >/dev/null; mkdir -p /etc/systemd/system/box.service.d; \
        printf '[Service]\\nRestart=no\\n' >/etc/systemd/system/box.service.d/override.conf; systemctl daemon-reload")?;
    machine.ok(&["systemctl", "start", "box"])?;
    machine.until("it has ended", || {
        Ok(machine.property("box", "ActiveState")? == "failed")
    })?;
    machine.ok(&["journalctl", "--sync"])?;

    let all = machine.ok(&["sysc", "logs", "box"])?;
    for line in ["box[", "]: one", "]: two", "sysc[", "installed 'box' from"] {
        ensure!(all.contains(line), "'{line}' is missing:\n{all}");
    }
    let last = machine.ok(&["sysc", "logs", "-n", "3", "--json", "box"])?;
    assert_eq!(last.lines().count(), 3);
    for line in last.lines() {
        serde_json::from_str::<Value>(line)?;
    }
    ensure!(
        !machine
            .ok(&["sysc", "logs", "--since", "+1h", "box"])?
            .contains("one")
    );
    let refused = machine.run(&["sysc", "logs", "nobody"])?.fails_with(1)?;
    ensure!(
        refused.contains("there is no container 'nobody'"),
        "{refused}"
    );

    let status = machine.run(&["sysc", "status", "--json", "box"])?;
    assert_eq!(status.status, 3);
    let status: Value = serde_json::from_str(&status.stdout)?;
    assert_eq!(status["health"], "failed");
    assert_eq!(status["last_exit"]["status"], 7);
    assert_eq!(status["last_exit"]["result"], "exit-code");
    let text = machine.run(&["sysc", "status", "box"])?.stdout;
    ensure!(
        text.contains("Last exit: exited with 7 (exit-code)"),
        "{text}"
    );

    machine.ok(&["sysc", "uninstall", "box"])?;
    machine.ok(&["journalctl", "--sync"])?;
    for id in [INSTALLED, UNINSTALLED] {
        let entry = machine.ok(&[
            "journalctl",
            "-o",
            "json",
            "--no-pager",
            "SYSC_CONTAINER=box",
            id,
        ])?;
        let entry: Value = serde_json::from_str(entry.trim())?;
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "sysc");
        assert_eq!(entry["PRIORITY"], "5");
    }
    Ok(())
}

#[test]
fn logs_are_the_journals_on_debian_12() -> Result<()> {
    logs_on(Suite::Bookworm)
}

#[test]
fn logs_are_the_journals_on_debian_13() -> Result<()> {
    logs_on(Suite::Trixie)
}
