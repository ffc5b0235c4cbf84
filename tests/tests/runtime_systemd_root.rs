//! The runtime's cgroups made by systemd: `--systemd-cgroup`, on two versions of systemd, with a bus
//! and before there is one.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sysc_tests::command::Output;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

const BUNDLE: &str = "/root/bundle";

/// A machine with a bundle whose program sleeps.
struct Host {
    machine: Machine,
}

impl Host {
    fn boot(suite: Suite) -> Result<Host> {
        let machine = Machine::boot(suite)?;
        machine.sh(&format!(
            "mkdir -p {BUNDLE}/rootfs/bin {BUNDLE}/rootfs/usr; cd {BUNDLE}; sysc-runtime spec; \
             for d in bin lib lib64 usr; do mkdir -p rootfs/$d; done"
        ))?;
        let host = Host { machine };
        host.config(|config| {
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(["/usr/bin/sleep", "1000"]);
            let usr = |target: &str| {
                json!({"destination": target, "source": target, "type": "bind",
                    "options": ["rbind", "ro"]})
            };
            let mounts = config["mounts"].as_array_mut().context("mounts")?;
            mounts.extend(["/usr", "/lib", "/lib64", "/bin"].map(usr));
            Ok(())
        })?;
        Ok(host)
    }

    fn config(&self, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let path = self.machine.path(&format!("{BUNDLE}/config.json"));
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        change(&mut config)?;
        Ok(std::fs::write(&path, config.to_string())?)
    }

    fn runtime(&self, words: &[&str]) -> Result<Output> {
        let head = ["env", "-C", BUNDLE, "sysc-runtime", "--systemd-cgroup"];
        let mut command = self.machine.command(&[&head, words].concat());
        // A detached payload would keep a pipe open.
        let out = tempfile::tempfile()?;
        let err = tempfile::NamedTempFile::new()?;
        let status = command
            .stdin(std::process::Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(err.reopen()?)
            .status()?;
        Ok(Output {
            command: words.join(" "),
            status: status.code().unwrap_or(-1),
            stdout: read_back(out)?,
            stderr: std::fs::read_to_string(err.path())?,
        })
    }

    fn ok(&self, words: &[&str]) -> Result<String> {
        self.runtime(words)?.ok()
    }

    fn place(&self, pid: &str) -> Result<String> {
        self.machine.ok(&["cat", &format!("/proc/{pid}/cgroup")])
    }
}

fn read_back(mut file: std::fs::File) -> Result<String> {
    use std::io::{Read, Seek};
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn pid(state: &str) -> Result<String> {
    let state: Value = serde_json::from_str(state)?;
    Ok(state["pid"].to_string())
}

fn scopes(suite: Suite) -> Result<()> {
    let host = Host::boot(suite)?;
    let machine = &host.machine;
    host.config(|config| {
        config["linux"]["cgroupsPath"] = json!("sysc-a.slice:box:web");
        config["annotations"] = json!({
            "org.systemd.property.TimeoutStopSec": "7",
            "org.systemd.property.CollectMode": "'inactive-or-failed'"});
        config["linux"]["resources"]["unified"] = json!({"pids.max": "20"});
        Ok(())
    })?;
    // The machine has no controller but one, so a limit that a file must hold is refused whole.
    let refused = host.runtime(&["run", "-d", "web"])?;
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("pids.max"), "{}", refused.stderr);
    assert_eq!(machine.property("box-web.scope", "LoadState")?, "not-found");

    host.config(|config| {
        config["linux"]["resources"]["unified"] = json!({});
        Ok(())
    })?;
    host.ok(&["run", "-d", "web"])?;
    let pid = pid(&host.ok(&["state", "web"])?)?;
    let place = host.place(&pid)?;
    assert!(
        place.contains("0::/sysc.slice/sysc-a.slice/box-web.scope"),
        "{place}"
    );
    for (name, value) in [
        ("ActiveState", "active"),
        ("Slice", "sysc-a.slice"),
        ("Delegate", "yes"),
        ("TimeoutStopUSec", "7s"),
        ("CollectMode", "inactive-or-failed"),
        ("DevicePolicy", "strict"),
        ("Transient", "yes"),
    ] {
        assert_eq!(machine.property("box-web.scope", name)?, value, "{name}");
    }
    let devices = machine.property("box-web.scope", "DeviceAllow")?;
    assert!(devices.contains("/dev/char/1:3 rwm"), "{devices}");

    // A second one of that place is refused, and takes nothing away from the first.
    let other = host.runtime(&["run", "-d", "other"])?;
    assert_eq!(other.status, 1);
    assert!(other.stderr.contains("box-web.scope"), "{}", other.stderr);
    assert_eq!(machine.property("box-web.scope", "ActiveState")?, "active");

    host.ok(&["exec", "web", "/usr/bin/true"])?;
    host.ok(&["pause", "web"])?;
    assert!(host.ok(&["state", "web"])?.contains("paused"));
    host.ok(&["resume", "web"])?;
    host.ok(&["delete", "--force", "web"])?;
    assert_eq!(machine.property("box-web.scope", "LoadState")?, "not-found");

    // The usual names.
    host.config(|config| {
        config["linux"]["cgroupsPath"] = json!("");
        config["annotations"] = json!({});
        Ok(())
    })?;
    host.ok(&["create", "web"])?;
    let property = |name: &str| machine.property("sysc-web.scope", name);
    assert_eq!(property("Slice")?, "system.slice");
    host.ok(&["start", "web"])?;
    host.ok(&["kill", "web", "KILL"])?;
    machine.until("the scope is gone", || {
        Ok(property("LoadState")? == "not-found")
    })?;
    host.ok(&["delete", "web"])?;

    // Where there is no bus, systemd is asked itself.
    machine.ok(&["systemctl", "stop", "dbus.socket", "dbus.service"])?;
    host.ok(&["run", "-d", "web"])?;
    assert_eq!(property("ActiveState")?, "active");
    // One that fails on the way leaves no scope.
    host.config(|config| {
        config["process"]["args"] = json!(["/nowhere"]);
        config["linux"]["cgroupsPath"] = json!(":box:failing");
        Ok(())
    })?;
    assert_eq!(host.runtime(&["run", "-d", "failing"])?.status, 1);
    let load = machine.property("box-failing.scope", "LoadState")?;
    assert_eq!(load, "not-found");
    host.ok(&["delete", "--force", "web"])?;
    assert_eq!(property("LoadState")?, "not-found");
    Ok(())
}

#[test]
fn scopes_on_debian_12() -> Result<()> {
    scopes(Suite::Bookworm)
}

#[test]
fn scopes_on_debian_13() -> Result<()> {
    scopes(Suite::Trixie)
}
