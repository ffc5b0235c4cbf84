//! What a machine runs in: nspawn on a throw-away overlay, in cgroups and namespaces of its own.
//!
//! ```text
//! unshare, tied to the starting thread's life
//!   └─ sh, PID 1 of a namespace: its death is the death of all below, and of the tmpfs with the
//!      machine's files, which is mounted in its mount namespace only
//!        └─ systemd-nspawn, again after each reboot
//!             └─ systemd, the machine's PID 1
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cgroups;
use crate::scratch;

/// A running nspawn. Dropping it ends it and removes what it stood on.
#[derive(Debug)]
pub(crate) struct Keeper {
    dir: TempDir,
    cgroups: Vec<PathBuf>,
    /// `unshare`.
    process: Child,
}

impl Keeper {
    /// Starts a machine on `tree`, which is not written to.
    pub fn start(tree: &Path) -> Result<Self> {
        let dir = scratch::directory()?;
        let name = dir.path().file_name().unwrap_or_default();
        let cgroups = cgroups::make(Path::new(name))?;
        let process = spawn(tree, dir.path(), &cgroups)?;
        Ok(Self {
            dir,
            cgroups,
            process,
        })
    }

    /// The machine's PID 1, as soon as there is one.
    pub fn init(&self) -> Option<u32> {
        let shell = child_of(self.process.id())?;
        child_of(shell).and_then(child_of)
    }

    /// How nspawn ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// What was written to the machine's console.
    pub fn console(&self) -> String {
        fs::read_to_string(self.dir.path().join("console")).unwrap_or_default()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        cgroups::remove(&self.cgroups);
    }
}

/// What the shell does. 133 is nspawn's way of saying that the machine wants to boot again.
const SCRIPT: &str = r#"
set -e
tree=$1 disk=$2 name=$3
shift 3
for cgroup; do echo $$ >"$cgroup/cgroup.procs"; done
mount -t tmpfs -o mode=755 tmpfs "$disk"
mkdir "$disk/upper" "$disk/work" "$disk/root" "$disk/containers"
mount -t overlay -o "lowerdir=$tree,upperdir=$disk/upper,workdir=$disk/work" overlay "$disk/root"
mkdir -p "$disk/root/var/lib/containers"
mount -t tmpfs tmpfs /run
status=133
while [ $status = 133 ]; do
    status=0
    systemd-nspawn -D "$disk/root" --bind="$disk/containers:/var/lib/containers" --boot \
        --register=no --keep-unit --quiet --console=pipe --system-call-filter=bpf -M "$name" || status=$?
done
exit $status
"#;

fn spawn(tree: &Path, dir: &Path, cgroups: &[PathBuf]) -> Result<Child> {
    let disk = dir.join("disk");
    fs::create_dir(&disk)?;
    let console = fs::File::create(dir.join("console"))?;
    let name = dir.file_name().unwrap_or_default();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "setsid", "unshare"]);
    command.args(["--mount", "--propagation", "private"]);
    command.args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
    command.args(["sh", "-c", SCRIPT, "machine"]);
    command
        .args([tree, &disk])
        .arg(name)
        .args(cgroups)
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .context("cannot start a machine")
}

/// The first child of a process.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
