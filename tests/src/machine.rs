//! A real systemd machine, booted in about a second.
//!
//! systemd-nspawn boots a kept tree of Debian under a throw-away overlay, in a cgroup of its own,
//! on the host's network, so that a registry on 127.0.0.1 is reached. `/var/lib/containers` is a
//! plain directory, since that is where files are hard-linked. All of it is in memory, and ends
//! with the value, or with the test process if that dies first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cgroups;
use crate::command::{self, Output};
use crate::keeper::Keeper;
use crate::product;
use crate::tree::{self, Suite};

/// A machine that is up. Dropping it ends it.
#[derive(Debug)]
pub struct Machine {
    keeper: Keeper,
    init: u32,
}

impl Machine {
    /// Boots a machine of `suite` with the programs under test in `/usr/bin`.
    pub fn boot(suite: Suite) -> Result<Self> {
        let machine = Self::boot_bare(suite)?;
        for program in product::programs()? {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            machine.copy_in(&program, &format!("/usr/bin/{name}"))?;
        }
        Ok(machine)
    }

    /// Boots a machine without the programs.
    pub fn boot_bare(suite: Suite) -> Result<Self> {
        Self::boot_tree(&tree::machine(suite)?)
    }

    /// Boots a machine on a tree, which is not written to.
    pub fn boot_tree(tree: &Path) -> Result<Self> {
        let keeper = Keeper::start(tree)?;
        let mut machine = Self { keeper, init: 0 };
        machine.await_boot()?;
        Ok(machine)
    }

    /// The power goes, and comes again: nothing is stopped, and what is enabled comes up.
    pub fn cut_power(&mut self) -> Result<()> {
        self.boot_again(&["systemctl", "reboot", "--force", "--force"])
    }

    /// Shuts down in order, and boots again.
    pub fn reboot(&mut self) -> Result<()> {
        self.boot_again(&["systemctl", "reboot"])
    }

    fn boot_again(&mut self, command: &[&str]) -> Result<()> {
        let init = self.init;
        // The machine's PID 1 dies of it, and this command may, too.
        let _ = self.run(command)?;
        self.until("the machine is off", || {
            Ok(!Path::new("/proc").join(init.to_string()).exists())
        })?;
        self.await_boot()
    }

    /// Runs a program inside, to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        command::run_prepared(&mut self.command(arguments))
    }

    /// Runs a program that must succeed, and returns what it printed. A failure comes with the
    /// machine's journal.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.ok().with_context(|| self.last_words())
    }

    /// Runs a shell line that must succeed.
    pub fn sh(&self, line: &str) -> Result<String> {
        self.ok(&["sh", "-ec", line])
    }

    /// A program inside, to be started by the caller.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.init.to_string());
        command.args(["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "env", "-i"]);
        command.args([
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
        ]);
        command.args(arguments);
        command
    }

    /// `path` of the machine, as this process reaches it.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.init.to_string())
            .join("root")
            .join(path.trim_start_matches('/'))
    }

    /// Copies a file in, with its permissions.
    pub fn copy_in(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.path(to);
        fs::copy(from, &to).with_context(|| format!("cannot copy '{}' in", from.display()))?;
        Ok(())
    }

    /// Copies a directory in.
    pub fn copy_dir_in(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.path(to);
        command::run(
            "cp",
            &["-a", &from.to_string_lossy(), &to.to_string_lossy()],
        )?
        .ok()?;
        Ok(())
    }

    /// Gives the machine every controller of version 2 that the host has.
    pub fn pass_controllers_on(&self) -> Result<()> {
        cgroups::pass_on(self.init)
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let value = self.ok(&["systemctl", "show", "--value", "-p", name, "--", unit])?;
        Ok(value.trim().to_owned())
    }

    /// What a unit said.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.ok(&["journalctl", "--no-pager", "-o", "cat", "-u", unit])
    }

    /// Waits until `happened` says so; the last thing to use, where there is no event to wait for.
    pub fn until(&self, what: &str, mut happened: impl FnMut() -> Result<bool>) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if happened()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("in vain waited for: {what}\n{}", self.last_words())
    }

    fn last_words(&self) -> String {
        let journal = self.run(&["journalctl", "--no-pager", "-n", "40"]);
        let said = journal.map_or_else(|error| error.to_string(), |output| output.stdout);
        format!("--- journal of the machine\n{said}---")
    }

    fn await_boot(&mut self) -> Result<()> {
        let booted = self.booted();
        booted.with_context(|| format!("the machine does not boot:\n{}", self.keeper.console()))
    }

    fn booted(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(90);
        while Instant::now() < end {
            if let Some(status) = self.keeper.ended()? {
                bail!("systemd-nspawn ended with {status}");
            }
            // Asked each time: nspawn's first child only prepares the one that becomes PID 1.
            self.init = self.keeper.init().unwrap_or(0);
            if let Ok(output) = self.run(&["systemctl", "is-system-running", "--wait"])
                && matches!(output.stdout.trim(), "running" | "degraded")
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        bail!("not up after 90 seconds")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
    }
}
