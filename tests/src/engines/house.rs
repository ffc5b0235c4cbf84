//! Namespaces and directories that an engine lives in.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::cgroups;
use crate::command::{self, Output};
use crate::product;
use crate::scratch;

/// Which version of cgroups the engine sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// What this machine has.
    OfTheMachine,
    /// Version 2 alone, with the controllers that no other hierarchy holds.
    Unified,
}

/// A place of its own. Dropping it ends everything in it.
#[derive(Debug)]
pub(super) struct House {
    dir: TempDir,
    /// `unshare`, which takes all others with it.
    process: Child,
    init: u32,
}

/// What the first process does. Of its children it has only the orphans, and `wait` reaps those.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /dev/shm
if [ "$2" = unified ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
echo ready
while :; do sleep 1000 & wait; done
"#;

impl House {
    /// Builds one.
    pub fn build(hierarchy: Hierarchy) -> Result<Self> {
        let dir = scratch::directory()?;
        cgroups::remove_abandoned();
        let disk = dir.path().join("disk");
        fs::create_dir(&disk)?;
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
            .args(["sh", "-c", SCRIPT, "house"])
            .arg(&disk)
            .arg(match hierarchy {
                Hierarchy::OfTheMachine => "machine",
                Hierarchy::Unified => "unified",
            })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a house for an engine")?;
        let mut said = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut said)?;
        }
        ensure!(said == "ready\n", "no house for an engine");
        let init = crate::keeper::child_of(process.id()).context("the house is empty")?;
        Ok(Self { dir, process, init })
    }

    /// Where the engine keeps what it stores; in memory.
    pub fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// `path`, which is absolute, as this process reaches it.
    pub fn path(&self, path: &Path) -> PathBuf {
        let root = Path::new("/proc").join(self.init.to_string()).join("root");
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The cgroup that everything is to be below, from the root of each hierarchy.
    pub fn cgroup(&self) -> String {
        let name = self.dir.path().file_name().unwrap_or_default();
        format!("/{}", name.to_string_lossy())
    }

    /// The runtime under test.
    pub fn runtime(&self) -> Result<String> {
        let path = product::runtime()?.canonicalize()?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// A program inside, to be started by the caller.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.init.to_string());
        command.args(["-m", "-p", "env", "-i"]);
        command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]);
        command.args(words);
        command
    }

    /// Runs a program inside to its end, which has to come within a minute.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        let limited = [&["timeout", "-k", "5", "60"], words].concat();
        command::run_prepared(&mut self.command(&limited))
    }

    /// In the cgroup of a process inside a file holds a value: of version 1 `CONTROLLER/FILE VALUE`,
    /// where there is none `FILE VALUE` of version 2.
    pub fn expect_limit(&self, pid: &str, one: &str, two: &str) -> Result<()> {
        let cgroups = Path::new("/proc").join(pid).join("cgroup");
        let cgroups = fs::read_to_string(self.path(&cgroups))?;
        let path = |wanted: &str| {
            let mut lines = cgroups.lines().map(|line| line.splitn(3, ':').skip(1));
            lines.find_map(|mut line| (line.next()? == wanted).then(|| line.next())?)
        };
        let controller = one.split('/').next().unwrap_or_default();
        let (place, said) = match (path(controller), path("")) {
            (Some(path), _) => (
                format!("/{controller}{path}"),
                one.trim_start_matches(controller),
            ),
            (None, Some(path)) => (path.to_owned(), two),
            (None, None) => bail!("no cgroup of process {pid} for '{one}'"),
        };
        let (file, value) = said.split_once(' ').context("FILE VALUE")?;
        let file = format!("/sys/fs/cgroup{place}/{}", file.trim_start_matches('/'));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read '{file}'"))?;
        ensure!(text.trim() == value, "'{file}' holds {text}");
        Ok(())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        cgroups::remove_named(&self.cgroup());
    }
}
