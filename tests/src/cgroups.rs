//! Cgroups that rigs make, in each hierarchy, named after the process that made them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::scratch;

const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup in each hierarchy that systemd uses: two machines in one would mix their units.
pub(crate) fn make(name: &Path) -> Result<Vec<PathBuf>> {
    remove_abandoned();
    let make = |hierarchy: PathBuf| {
        let cgroup = hierarchy.join(name);
        fs::create_dir(&cgroup).with_context(|| format!("cannot create '{}'", cgroup.display()))?;
        Ok(cgroup)
    };
    hierarchies()
        .into_iter()
        .filter(|path| {
            path == Path::new(ROOT) || path.ends_with("unified") || path.ends_with("systemd")
        })
        .map(make)
        .collect()
}

/// Removes cgroups of which the processes end.
pub(crate) fn remove(cgroups: &[PathBuf]) {
    for cgroup in cgroups {
        remove_one(cgroup);
    }
}

/// Removes the cgroup of that name from each hierarchy.
pub(crate) fn remove_named(name: &str) {
    let name = name.trim_start_matches('/');
    let cgroups: Vec<PathBuf> = hierarchies().iter().map(|h| h.join(name)).collect();
    remove(&cgroups);
}

/// Removes what processes have made that are gone.
pub(crate) fn remove_abandoned() {
    for hierarchy in hierarchies() {
        remove(&scratch::abandoned(&hierarchy));
    }
}

/// The roots of all hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    // Of a controller that shares its hierarchy there are links by further names.
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    real.map(|entry| entry.path()).collect()
}

/// Depth first. The last process may take a moment to be gone.
fn remove_one(cgroup: &Path) {
    let end = Instant::now() + Duration::from_secs(5);
    while cgroup.exists() && !removed(cgroup) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn removed(cgroup: &Path) -> bool {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.path().is_dir() && !removed(&entry.path()) {
            return false;
        }
    }
    fs::remove_dir(cgroup).is_ok()
}
