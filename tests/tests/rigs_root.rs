//! The rigs themselves: what they start ends, whatever becomes of the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sysc_tests::machine::Machine;
use sysc_tests::tree::{self, Suite};

/// A program that has a registry and a machine is killed in the midst of its work.
#[test]
fn what_a_killed_test_had_started_is_gone() -> Result<()> {
    let mut victim = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env_remove("DEMO_HOST")
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut address, mut said) = (None, String::new());
    for line in BufReader::new(victim.stdout.take().context("piped")?).lines() {
        let line = line?;
        said.push_str(&line);
        said.push('\n');
        if line.starts_with("127.0.0.1:") {
            address = line.split('/').next().map(str::to_owned);
        }
        if line == "=== sysc install" {
            break;
        }
    }
    let address = address.with_context(|| format!("it does not get far:\n{said}"))?;
    TcpStream::connect(&address).context("the registry runs")?;
    victim.kill()?;
    victim.wait()?;

    let name = format!("sysc-{}-", victim.id());
    until(
        "its machine is gone",
        || Ok(processes_of(&name)?.is_empty()),
    )?;
    until("its registry is gone", || {
        Ok(TcpStream::connect(&address).is_err())
    })?;
    // The next machine cleans up.
    drop(Machine::boot_bare(Suite::Bookworm)?);
    for place in [
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/systemd",
    ] {
        assert_eq!(named(Path::new(place), &name), [""; 0]);
    }
    assert_eq!(named(&tree::cache(), &name), [""; 0]);
    Ok(())
}

/// Two machines at once keep their units, files and processes apart.
#[test]
fn machines_do_not_mix() -> Result<()> {
    let machines = [
        Machine::boot_bare(Suite::Bookworm)?,
        Machine::boot_bare(Suite::Trixie)?,
    ];
    for (at, machine) in machines.iter().enumerate() {
        machine.ok(&[
            "systemd-run",
            "--quiet",
            &format!("--unit=own{at}"),
            "sleep",
            "99",
        ])?;
        machine.sh(&format!("echo {at} > /etc/own"))?;
    }
    for (at, machine) in machines.iter().enumerate() {
        let active = |other: usize| machine.property(&format!("own{other}"), "ActiveState");
        assert_eq!(active(at)?, "active");
        assert_eq!(active(1 - at)?, "inactive");
        assert_eq!(machine.sh("cat /etc/own")?.trim(), at.to_string());
    }
    let versions = machines
        .each_ref()
        .map(|m| m.ok(&["systemctl", "--version"]));
    let [twelve, thirteen] = versions;
    ensure!(twelve?.starts_with("systemd 252"));
    ensure!(thirteen?.starts_with("systemd 257"));
    Ok(())
}

/// The command lines of all processes in a cgroup of this name.
fn processes_of(name: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // Of processes that end meanwhile there is nothing to read.
        let cgroups = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        if cgroups.contains(name) {
            found.push(fs::read_to_string(path.join("cmdline")).unwrap_or_default());
        }
    }
    Ok(found)
}

fn named(parent: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn until(what: &str, mut happened: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while !happened()? {
        ensure!(Instant::now() < end, "in vain waited for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
