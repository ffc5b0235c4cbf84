//! Putting a process that comes later where a container's processes are.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::hierarchy::{self, Hierarchy};
use super::{Error, Home, join_failed, nursery, seats};

/// A cgroup below the container's own: `[CONTROLLER[,CONTROLLER]…:]PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    /// In which hierarchies of version 1; empty for all.
    controllers: Vec<String>,
    path: PathBuf,
}

impl std::str::FromStr for Below {
    type Err = String;

    fn from_str(text: &str) -> Result<Below, String> {
        let (controllers, path) = text.split_once(':').unwrap_or(("", text));
        let path = Path::new(path);
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(format!("{} is not a sub cgroup path", path.display()));
        }
        let names = controllers.split(',').filter(|name| !name.is_empty());
        Ok(Below {
            controllers: names.map(str::to_owned).collect(),
            path: path.strip_prefix("/").unwrap_or(path).to_owned(),
        })
    }
}

/// Puts a process into the cgroup at home, or into those named. Where a payload has made cgroups of
/// its own, the kernel may take no process into the one that they are in; then it goes where the
/// first process is.
pub fn enter(home: &Home, below: &[Below], pid: Pid) -> Result<(), Error> {
    let hierarchies = hierarchy::all();
    let unified = hierarchy::is_unified();
    for wanted in below.iter().flat_map(|below| &below.controllers) {
        if unified || !hierarchies.iter().any(|hierarchy| hierarchy.has(wanted)) {
            let reason = format!("unknown controller '{wanted}': it has no hierarchy of its own");
            return Err(join_failed(Path::new(wanted), reason));
        }
    }
    let (first, now) = (
        hierarchy::table_of(home.init),
        hierarchy::table_of(pid.as_raw()),
    );
    for hierarchy in &hierarchies {
        let Some((target, named)) = target_in(hierarchy, home, &first, below) else {
            continue;
        };
        if hierarchy.path_in(&now).as_ref() == Some(&target) {
            continue;
        }
        match (put(hierarchy, &target, pid), hierarchy.path_in(&first)) {
            (Err(Errno::EBUSY | Errno::EOPNOTSUPP), Some(inits)) if !named => {
                put(hierarchy, &inits, pid).map_err(|errno| join_failed(&inits, errno))?;
            }
            (other, _) => other.map_err(|errno| adding_failed(hierarchy, &target, pid, errno))?,
        }
    }
    Ok(())
}

/// Where [`enter`] will put a process, if it can be born there.
pub fn birthplace(home: &Home, below: &[Below]) -> Option<OwnedFd> {
    let all = hierarchy::all();
    let unified = all.iter().find(|hierarchy| hierarchy.is_unified())?;
    let first = hierarchy::table_of(home.init);
    let (target, _) = target_in(unified, home, &first, below)?;
    nursery::open(&unified.directory(&target))
}

/// The path in one hierarchy, and whether it is one of those named; `first` is the table of the
/// container's first process.
fn target_in(
    hierarchy: &Hierarchy,
    home: &Home,
    first: &str,
    below: &[Below],
) -> Option<(PathBuf, bool)> {
    let own = home.own.filter(|own| hierarchy.directory(own).is_dir());
    // A hierarchy in which nothing was made for the container has nothing below it either.
    let is_home = own.is_some() || home.own.is_none();
    let base = own.map(Path::to_owned);
    let base = base.or_else(|| hierarchy.path_in(first))?;
    let mut named = below.iter().filter(|below| below.is_for(hierarchy));
    match named.next().filter(|_| is_home) {
        Some(below) => Some((base.join(&below.path), true)),
        None => Some((base, false)),
    }
}

impl Below {
    fn is_for(&self, hierarchy: &Hierarchy) -> bool {
        self.controllers.is_empty() || self.controllers.iter().any(|name| hierarchy.has(name))
    }
}

fn adding_failed(hierarchy: &Hierarchy, target: &Path, pid: Pid, errno: Errno) -> Error {
    let file = hierarchy.directory(target).join("cgroup.procs");
    let reason = errno.desc().to_lowercase();
    join_failed(
        target,
        format!("adding pid {pid} to {}: {reason}", file.display()),
    )
}

fn put(hierarchy: &Hierarchy, path: &Path, pid: Pid) -> nix::Result<()> {
    seats::put(&hierarchy.directory(path), pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_below_are_read() {
        let below = |text: &str| text.parse::<Below>();
        let wanted = |controllers: &[&str], path: &str| Below {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            path: path.into(),
        };
        assert_eq!(below("a/b"), Ok(wanted(&[], "a/b")));
        assert_eq!(below("/"), Ok(wanted(&[], "")));
        assert_eq!(below("cpu,memory:/x"), Ok(wanted(&["cpu", "memory"], "x")));
        assert!(below("a/../../b").is_err());
    }
}
