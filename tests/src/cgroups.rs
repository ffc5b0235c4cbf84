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

/// Gives each cgroup of version 2 on the way to that of `pid` what the one above has of controllers.
/// Processes on the way are put aside: a cgroup that has some passes nothing on.
pub(crate) fn pass_on(pid: u32) -> Result<()> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = table.lines().find_map(|line| line.strip_prefix("0::/"));
    let path = path.context("no cgroup of version 2")?;
    let mounts = [Path::new(ROOT).to_owned(), Path::new(ROOT).join("unified")];
    let is_mounted = |mount: &PathBuf| mount.join("cgroup.controllers").exists();
    let mut directory = mounts
        .into_iter()
        .find(is_mounted)
        .context("no mount of version 2")?;
    for part in Path::new(path) {
        // The root has no type, and may have processes.
        if directory.join("cgroup.type").exists() {
            put_aside(&directory)?;
        }
        for name in fs::read_to_string(directory.join("cgroup.controllers"))?.split_whitespace() {
            fs::write(directory.join("cgroup.subtree_control"), format!("+{name}"))
                .with_context(|| format!("cannot pass '{name}' on in '{}'", directory.display()))?;
        }
        directory.push(part);
    }
    Ok(())
}

fn put_aside(directory: &Path) -> Result<()> {
    let all = fs::read_to_string(directory.join("cgroup.procs"))?;
    let aside = directory.join("aside");
    if !all.is_empty() {
        fs::create_dir_all(&aside)?;
    }
    for pid in all.lines() {
        fs::write(aside.join("cgroup.procs"), pid)?;
    }
    Ok(())
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
