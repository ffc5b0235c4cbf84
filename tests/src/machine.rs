//! A real systemd machine, booted in about a second.
//!
//! systemd-nspawn boots a kept tree of Debian under a throw-away overlay, in a cgroup of its own,
//! on the host's network, so that a registry on 127.0.0.1 is reached. `/var/lib/containers` is a
//! plain directory, since that is where files are hard-linked. The machine ends with the value,
//! and with the test process if that dies first.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::command::{self, Output};
use crate::product;
use crate::tree::{self, Suite};

/// A machine that is up. Dropping it ends it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    /// `unshare`, whose death ends all that is in its PID namespace: nspawn and the machine.
    keeper: Child,
    init: u32,
    cgroups: Vec<PathBuf>,
    dir: TempDir,
}

/// Makes names different within a test process; the process's number makes them so outside.
static COUNT: AtomicU32 = AtomicU32::new(0);

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
        ensure!(nix::unistd::geteuid().is_root(), "machines need root");
        let tree = tree::machine(suite)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sysc-{}-{count}", std::process::id());
        let dir = tempfile::Builder::new()
            .prefix(&name)
            .tempdir_in(tree::cache())?;
        for sub in ["upper", "work", "root", "containers"] {
            fs::create_dir(dir.path().join(sub))?;
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let cgroups = make_cgroups(&name)?;
        let keeper = start(&name, &tree, dir.path(), &cgroups)?;
        let mut machine = Self {
            name,
            keeper,
            init: 0,
            cgroups,
            dir,
        };
        machine.await_boot().with_context(|| {
            let console = fs::read_to_string(machine.dir.path().join("console"));
            format!(
                "the machine does not boot:\n{}",
                console.unwrap_or_default()
            )
        })?;
        Ok(machine)
    }

    /// Runs a program inside, to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        command::run_prepared(&mut self.command(arguments))
    }

    /// Runs a program that must succeed, and returns what it printed.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.ok()
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
        bail!("in vain waited for: {what}")
    }

    fn await_boot(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(90);
        while Instant::now() < end {
            if let Some(status) = self.keeper.try_wait()? {
                bail!("systemd-nspawn ended with {status}");
            }
            // Asked each time: nspawn's first child only prepares the one that becomes PID 1.
            self.init = child_of(self.keeper.id()).and_then(child_of).unwrap_or(0);
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
        if std::thread::panicking()
            && let Ok(journal) = self.ok(&["journalctl", "--no-pager", "-n", "200"])
        {
            eprintln!("--- journal of {}\n{journal}", self.name);
        }
        // The overlay is thrown away with it, so there is nothing that a shutdown would save.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        for cgroup in &self.cgroups {
            remove_cgroup(cgroup);
        }
    }
}

/// Starts nspawn in its cgroups, in a mount namespace of its own, and in a PID namespace of its
/// own, since a machine outlives a killed nspawn but not its namespace. All of it is tied to this
/// thread's life.
fn start(name: &str, tree: &Path, dir: &Path, cgroups: &[PathBuf]) -> Result<Child> {
    let join: String = cgroups
        .iter()
        .map(|cgroup| format!("echo $$ > {}/cgroup.procs\n", cgroup.display()))
        .collect();
    let script = format!(
        "set -e\n{join}\
         mount -t overlay overlay -o lowerdir={tree},upperdir={dir}/upper,workdir={dir}/work {dir}/root\n\
         mount -t tmpfs tmpfs /run\n\
         mkdir -p {dir}/root/var/lib/containers\n\
         exec systemd-nspawn -D {dir}/root --bind={dir}/containers:/var/lib/containers \
         --boot --register=no --keep-unit --quiet --console=pipe -M {name} \
         >{dir}/console 2>&1",
        tree = tree.display(),
        dir = dir.display(),
    );
    Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "setsid",
            "unshare",
            "-m",
            "--propagation",
            "private",
        ])
        .args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
        .args(["sh", "-c", &script])
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a machine")
}

/// A cgroup in each hierarchy that systemd uses: two machines in one would mix their units.
fn make_cgroups(name: &str) -> Result<Vec<PathBuf>> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = if root.join("cgroup.controllers").exists() {
        vec![root.to_owned()]
    } else {
        let candidates = ["unified", "systemd"].map(|hierarchy| root.join(hierarchy));
        candidates
            .into_iter()
            .filter(|path| path.is_dir())
            .collect()
    };
    let made = hierarchies.into_iter().map(|hierarchy| {
        let cgroup = hierarchy.join(name);
        fs::create_dir(&cgroup).with_context(|| format!("cannot create '{}'", cgroup.display()))?;
        Ok(cgroup)
    });
    made.collect()
}

/// Depth first; what still has processes is left to the kernel's last one.
fn remove_cgroup(cgroup: &Path) {
    let end = Instant::now() + Duration::from_secs(10);
    while cgroup.exists() && Instant::now() < end {
        for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                remove_cgroup(&entry.path());
            }
        }
        if fs::remove_dir(cgroup).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The first child of a process: of nspawn, the machine's PID 1.
fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
