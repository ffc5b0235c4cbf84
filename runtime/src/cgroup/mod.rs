//! Cgroups of the container's own: made, limited, emptied, removed.
//!
//! In: a path from the root of the hierarchy, and what the plan says of limits and devices. A cgroup
//! is made and limited before its first process is there. A container that stays in its starter's
//! cgroup is never made, limited or removed here.

mod aside;
mod devices;
mod enter;
mod figures;
mod freeze;
mod hierarchy;
mod limits;
mod nursery;
mod ownership;
mod permission;
mod scope;
mod seats;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use crate::plan::DeviceRules;

pub use enter::{Below, birthplace, enter};
pub use figures::{OomWatch, figures};
pub use freeze::{freeze, is_frozen, thaw};
pub use hierarchy::{Hierarchy, all as hierarchies, mode, unit_in, unit_of};
use limits::{limit, restrict};
pub use nursery::{Nursery, Settled};
pub use permission::may_make;
pub use scope::Unit;
pub use seats::Seats;

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
        /// Why.
        reason: String,
    },
    /// A limit whose controller is missing.
    #[error(
        "{field}: controller '{controller}' is not available in cgroup '{path}'\nhelp: set the limit \
         in the unit, or delegate the controller and give an absolute linux.cgroupsPath"
    )]
    Controller {
        /// In config.json.
        field: String,
        /// The kernel's name for it.
        controller: String,
        /// From the root of the hierarchy.
        path: PathBuf,
    },
    /// A limit whose file is missing.
    #[error(
        "{field}: cgroup '{path}' has no file '{file}': this kernel lacks it, or the controller is \
         not passed on"
    )]
    Absent {
        /// In config.json.
        field: String,
        /// In the cgroup's directory.
        file: String,
        /// From the root of the hierarchy.
        path: PathBuf,
    },
    /// A limit that this version of cgroups does not know, or not like this.
    #[error("{field}: {reason} (cgroup '{path}')")]
    Refused {
        /// In config.json.
        field: String,
        /// From the root of the hierarchy.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A limit that the kernel refused.
    #[error("{field}: cannot write '{value}' to '{file}' of cgroup '{path}'")]
    Limit {
        /// In config.json.
        field: String,
        /// What was to be written.
        value: String,
        /// In the cgroup's directory.
        file: String,
        /// From the root of the hierarchy.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Device rules that cannot be enforced.
    #[error("linux.resources.devices: cannot set rules on cgroup '{path}'")]
    Devices {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// Why; with version 2 it is bpf(2) that refuses.
        #[source]
        source: std::io::Error,
    },
    /// systemd was asked in vain.
    #[error("cannot {what} unit '{unit}'")]
    Unit {
        /// What was to be done with it.
        what: &'static str,
        /// Its name.
        unit: String,
        /// Why.
        #[source]
        source: crate::bus::Error,
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

fn join_failed(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Join {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// A cgroup that was made for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// From the root of the hierarchy.
    pub path: PathBuf,
    /// The unit that it belongs to, where systemd has made it.
    pub unit: Option<Unit>,
}

impl Made {
    /// Ends what is in it, and removes it.
    pub fn remove(&self) -> Result<(), Error> {
        // The unit first: what systemd makes again after us would stay.
        let stopped = self.unit.as_ref().map_or(Ok(()), Unit::stop);
        remove(&self.path).and(stopped)
    }
}

/// A cgroup that is there already may be used, but not shared: it will be emptied with the container.
/// Nor does anybody begin anything in a frozen one.
pub fn must_be_free(path: &Path) -> Result<(), Error> {
    let left = processes(path).len();
    if left > 0 {
        let reason = format!(
            "container's cgroup is not empty: {left} process(es) found\nhelp: end them, or set \
             another linux.cgroupsPath"
        );
        return Err(join_failed(path, reason));
    }
    match freeze::is_asked(path) {
        true => Err(join_failed(path, "container's cgroup unexpectedly frozen")),
        false => Ok(()),
    }
}

/// Whether there is such a cgroup, in any hierarchy.
pub fn exists(path: &Path) -> bool {
    !places(path).is_empty()
}

/// Other limits, and other device rules if there are any, for a cgroup that was made. systemd is told
/// first: what it writes by itself, we write again as it was said.
pub fn change(
    made: &Made,
    resources: &LinuxResources,
    devices: Option<&DeviceRules>,
) -> Result<(), Error> {
    let seats = Seats::of(&made.path);
    if let Some(unit) = &made.unit {
        limits::check(&seats, resources)?;
        unit.set(&made.path, resources)?;
    }
    limit(&seats, resources)?;
    devices.map_or(Ok(()), |rules| restrict(&seats, rules))
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
                    // One of another PID namespace has no number here.
                    .filter(|number| *number > 0)
                    .map(Pid::from_raw),
            );
        }
    }
    found.sort();
    found.dedup();
    found
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
                kill_all(path, &left);
                sleep(Duration::from_millis(2));
            }
        }
    }
}

/// At once where the kernel can (Linux 5.14), so that no number changes hands and nothing outruns us.
fn kill_all(path: &Path, directories: &[PathBuf]) {
    let by_kernel = |directory: &PathBuf| {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).open(directory.join("cgroup.kill"));
        file.and_then(|mut file| std::io::Write::write_all(&mut file, b"1"))
            .is_ok()
    };
    if !directories.iter().any(by_kernel) {
        signal(path, Signal::SIGKILL);
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
