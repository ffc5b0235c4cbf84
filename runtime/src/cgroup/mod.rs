//! Cgroups of the container's own: made, limited, emptied, removed.
//!
//! In: a path from the root of the hierarchy. Limits are written by libcgroups; finding processes
//! and removing is ours, since libcgroups gives up on a cgroup in which a payload has made others.
//! A container that stays in its starter's cgroup is never made, limited or removed here.

mod enter;
mod figures;
mod freeze;
mod hierarchy;
mod limits;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use enter::{Below, enter};
pub use figures::{figures, oom_kills};
pub use freeze::{freeze, is_frozen, thaw};
pub use hierarchy::unit_of;
pub use limits::{join, limit};

const MOUNTS: &str = "/sys/fs/cgroup";
/// How long killed processes may take to leave a cgroup.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something with a cgroup failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cgroup cannot be made or joined.
    #[error("cannot join cgroup '{path}': {reason}")]
    Join {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// As libcgroups has it.
        reason: String,
    },
    /// Somebody else is in there, and would be ended with the container.
    #[error(
        "linux.cgroupsPath: cgroup '{path}' has processes already ({count})\nhelp: a container needs a \
         cgroup of its own"
    )]
    Occupied {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A limit that this host cannot hold.
    #[error(
        "{field}: controller '{controller}' is not available in cgroup '{path}'\nhelp: set the limit \
         in the unit, or delegate the controller and give an absolute linux.cgroupsPath"
    )]
    Controller {
        /// In config.json.
        field: &'static str,
        /// The kernel's name for it.
        controller: &'static str,
        /// From the root of the hierarchy.
        path: PathBuf,
    },
    /// A limit that the kernel refused.
    #[error("linux.resources: cannot limit cgroup '{path}': {reason}")]
    Limit {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// As libcgroups has it; names the file.
        reason: String,
    },
    /// Its processes cannot be held, or not be let go.
    #[error("cannot freeze or thaw cgroup '{path}': {reason}")]
    Freeze {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The cgroup cannot be removed.
    #[error("cannot remove cgroup '{path}'")]
    Remove {
        /// On this host.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Where a container's processes are.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    /// The cgroup that was made for it, from the root of the hierarchy.
    pub own: Option<&'a Path>,
    /// Its first process; without a cgroup of its own that one's is the container's.
    pub init: i32,
}

/// All processes in a cgroup and those below it.
pub fn processes(path: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    for directory in places(path) {
        for below in tree(&directory) {
            let text = std::fs::read_to_string(below.join("cgroup.procs")).unwrap_or_default();
            found.extend(
                text.lines()
                    .filter_map(|line| line.parse().ok())
                    .map(Pid::from_raw),
            );
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Makes sure that nobody is in a cgroup which is to be a container's.
pub fn must_be_free(path: &Path) -> Result<(), Error> {
    match processes(path).len() {
        0 => Ok(()),
        count => Err(Error::Occupied {
            path: path.to_owned(),
            count,
        }),
    }
}

/// Sends a signal to every process of a cgroup. Those that end meanwhile are no error.
pub fn signal(path: &Path, signal: Signal) {
    for pid in processes(path) {
        let _ = kill(pid, signal);
    }
}

/// Ends every process of a cgroup and removes it, in every hierarchy. Nothing to remove is fine.
pub fn remove(path: &Path) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left: Vec<PathBuf> = places(path);
        let failures: Vec<_> = left
            .iter()
            .filter_map(|place| remove_tree(place).err())
            .collect();
        match failures.into_iter().next() {
            None => return Ok(()),
            Some((path, source)) if Instant::now() > end => {
                return Err(Error::Remove { path, source });
            }
            // The kernel tells nobody when a version 1 cgroup has become empty.
            Some(_) => {
                signal(path, Signal::SIGKILL);
                sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Where the cgroup is mounted: once with version 2, once per hierarchy with version 1.
fn places(path: &Path) -> Vec<PathBuf> {
    let all = hierarchy::all().into_iter();
    all.map(|hierarchy| hierarchy.directory(path))
        .filter(|place| place.is_dir())
        .collect()
}

/// A cgroup and those below it, the deepest first.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        found.extend(tree(&entry.path()));
    }
    found.push(directory.to_owned());
    found
}

fn remove_tree(directory: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    for path in tree(directory) {
        match std::fs::remove_dir(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err((path, error)),
            _ => {}
        }
    }
    Ok(())
}
