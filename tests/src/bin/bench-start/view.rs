//! Which cgroups the runtimes see, in a mount namespace of this program's own.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

const CGROUPS: &str = "/sys/fs/cgroup";
const NOTHING: Option<&str> = None;

/// A version of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// cgroup v1 alone.
    Legacy,
    /// One cgroup2 mount.
    Unified,
}

impl View {
    /// Those that this host can show, in the order in which they must be entered.
    pub fn possible() -> Vec<View> {
        match Path::new(CGROUPS).join("cgroup.controllers").exists() {
            true => vec![View::Unified],
            false => vec![View::Legacy, View::Unified],
        }
    }

    /// Changes this program's mounts.
    pub fn enter(self) -> Result<()> {
        let already = Path::new(CGROUPS).join("cgroup.controllers").exists();
        match self {
            View::Legacy => {
                // A hybrid host's cgroup2 beside the others; crun refuses to see both.
                let _ = umount2(&Path::new(CGROUPS).join("unified"), MntFlags::MNT_DETACH);
            }
            View::Unified if already => {}
            View::Unified => {
                umount2(CGROUPS, MntFlags::MNT_DETACH).context("cannot unmount the v1 cgroups")?;
                mount(
                    Some("cgroup2"),
                    CGROUPS,
                    Some("cgroup2"),
                    MsFlags::empty(),
                    NOTHING,
                )
                .context("cannot mount cgroup2")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            View::Legacy => "cgroup v1",
            View::Unified => "cgroup v2",
        })
    }
}

/// From here on mounts are this program's alone.
pub fn leave_the_hosts_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount(
        NOTHING,
        "/",
        NOTHING,
        MsFlags::MS_PRIVATE | MsFlags::MS_REC,
        NOTHING,
    )
    .context("cannot make the mounts private")
}

/// A directory in memory for bundles and state, which goes with this program.
pub fn scratch() -> Result<PathBuf> {
    let place = PathBuf::from("/mnt");
    mount(
        Some("tmpfs"),
        &place,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .context("cannot mount a tmpfs on '/mnt'")?;
    Ok(place)
}
