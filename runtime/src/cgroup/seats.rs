//! Where the controllers of one cgroup have their files: the only place with version 2, one place
//! for each hierarchy with version 1, and both kinds side by side on a hybrid host.

use std::cell::OnceCell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::hierarchy::{self, Hierarchy};
use super::{Error, join_failed};
use crate::sys::clone::Child;

/// A cgroup with its directories.
#[derive(Clone, Debug)]
pub struct Seats {
    path: PathBuf,
    all: Vec<Seat>,
    /// What cgroup.controllers says, once somebody has asked.
    passed_on: OnceCell<String>,
}

#[derive(Clone, Debug)]
struct Seat {
    hierarchy: Hierarchy,
    directory: PathBuf,
}

/// A controller's directory, and the version of its files.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// Version 1.
    Legacy(&'a Path),
    /// Version 2.
    Unified(&'a Path),
}

impl Seats {
    /// Makes a cgroup, wherever cgroups are mounted; one that is there already is fine.
    pub fn make(path: &Path) -> Result<Seats, Error> {
        let mut all = Vec::new();
        for hierarchy in hierarchy::all() {
            let made = match hierarchy.is_unified() {
                true => make_unified(&hierarchy.mount, path),
                false => make_legacy(&hierarchy, path),
            };
            match made {
                Ok(directory) => all.push(Seat {
                    hierarchy,
                    directory,
                }),
                // Beside version 1 nothing needs it, unless a limit is asked for that it holds.
                Err(_) if hierarchy.is_unified() && !hierarchy::is_unified() => {}
                Err(error) => return Err(join_failed(path, error)),
            }
        }
        Ok(Seats {
            path: path.to_owned(),
            all,
            passed_on: OnceCell::new(),
        })
    }

    /// Those of a cgroup that is there.
    pub fn of(path: &Path) -> Seats {
        let seat = |hierarchy: Hierarchy| {
            let directory = hierarchy.directory(path);
            directory.is_dir().then_some(Seat {
                hierarchy,
                directory,
            })
        };
        Seats {
            path: path.to_owned(),
            all: hierarchy::all().into_iter().filter_map(seat).collect(),
            passed_on: OnceCell::new(),
        }
    }

    /// From the root of the hierarchy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every directory of it; a process is in the cgroup when it is in all of them.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.all.iter().map(|seat| seat.directory.as_path())
    }

    /// The directory of version 2, if that is mounted.
    pub fn unified(&self) -> Option<&Path> {
        let mut seats = self.all.iter();
        let seat = seats.find(|seat| seat.hierarchy.is_unified())?;
        Some(&seat.directory)
    }

    /// The directory of a version 1 controller.
    pub fn legacy(&self, controller: &str) -> Option<&Path> {
        let mut seats = self.all.iter();
        let seat = seats.find(|seat| seat.hierarchy.has(controller))?;
        Some(&seat.directory)
    }

    /// Where a controller is, by its names in both versions; an empty name is that of none. With
    /// version 2 it is there only if every cgroup above has passed it on.
    pub fn find(&self, legacy: &str, unified: &str) -> Option<Found<'_>> {
        if let Some(directory) = self.legacy(legacy).filter(|_| !legacy.is_empty()) {
            return Some(Found::Legacy(directory));
        }
        let directory = self.unified()?;
        let read = || std::fs::read_to_string(directory.join("cgroup.controllers"));
        let names = self.passed_on.get_or_init(|| read().unwrap_or_default());
        let mut names = names.split_whitespace();
        let is_there = names.any(|name| name == unified);
        is_there.then_some(Found::Unified(directory))
    }

    /// Puts a process into the cgroup, in every hierarchy that it was not born in.
    pub fn put(&self, child: &Child) -> Result<(), Error> {
        let is_home = |seat: &&Seat| child.in_cgroup && seat.hierarchy.is_unified();
        for seat in self.all.iter().filter(|seat| !is_home(seat)) {
            match put(&seat.directory, child.pid) {
                Err(_) if seat.hierarchy.is_unified() && !hierarchy::is_unified() => {}
                other => other.map_err(|errno| join_failed(&self.path, errno))?,
            }
        }
        Ok(())
    }
}

/// Puts a process into one directory. A threaded cgroup takes threads only, and our processes have
/// one each.
pub fn put(directory: &Path, pid: Pid) -> nix::Result<()> {
    let write = |name: &str| {
        std::fs::write(directory.join(name), pid.to_string())
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    match write("cgroup.procs") {
        Err(Errno::EOPNOTSUPP) => write("cgroup.threads"),
        other => other,
    }
}

/// Each cgroup on the way passes all its controllers on. One that cannot is no failure in itself:
/// only a limit whose controller is missing in the end is.
fn make_unified(mount: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let mut directory = mount.to_owned();
    for part in path.strip_prefix("/").unwrap_or(path) {
        pass_on(&directory);
        directory.push(part);
        make_directory(&directory)?;
    }
    // Below a threaded cgroup a new one is good for nothing until it is threaded, too.
    let kind = directory.join("cgroup.type");
    if std::fs::read_to_string(&kind).is_ok_and(|text| text.trim() == "domain invalid") {
        std::fs::write(&kind, "threaded")?;
    }
    Ok(directory)
}

fn pass_on(directory: &Path) {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let (there, passed) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
    let passed: Vec<&str> = passed.split_whitespace().collect();
    let file = directory.join("cgroup.subtree_control");
    // One by one, for the kernel takes all of a line or nothing.
    for name in there
        .split_whitespace()
        .filter(|name| !passed.contains(name))
    {
        let _ = std::fs::write(&file, format!("+{name}"));
    }
}

/// A new cpuset has neither CPUs nor memory, and takes no process until it has.
fn make_legacy(hierarchy: &Hierarchy, path: &Path) -> std::io::Result<PathBuf> {
    let mut directory = hierarchy.mount.clone();
    for part in path.strip_prefix("/").unwrap_or(path) {
        let above = directory.clone();
        directory.push(part);
        make_directory(&directory)?;
        if hierarchy.has("cpuset") {
            inherit(&above, &directory, "cpuset.cpus")?;
            inherit(&above, &directory, "cpuset.mems")?;
        }
    }
    Ok(directory)
}

fn inherit(above: &Path, directory: &Path, name: &str) -> std::io::Result<()> {
    let file = directory.join(name);
    if std::fs::read_to_string(&file)?.trim().is_empty() {
        std::fs::write(file, std::fs::read_to_string(above.join(name))?.trim())?;
    }
    Ok(())
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // Read-only, or not ours; but it may well be there.
        Err(_) if directory.is_dir() => Ok(()),
        other => other,
    }
}
