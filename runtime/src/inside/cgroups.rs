//! The container's view of its cgroups: of each hierarchy, the part that it is in.
//!
//! The part is bound from the host's mount, in a cgroup namespace or not, so that one way serves
//! both versions, and the options of the mount entry (`ro` above all) hold for every hierarchy.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use libcontainer::syscall::linux as flags;

use super::beneath::Links;
use super::mounts::place;
use super::root::NewRoot;
use super::trees::{attach, change, clone_tree, new_tree};
use crate::plan::{MountStep, Tuning};

const HOST: &str = "/sys/fs/cgroup";

/// Mounts the container's cgroups on the step's target.
pub fn make(root: &NewRoot, step: &MountStep) -> Result<(), String> {
    let target = root
        .beneath
        .make_dirs(&step.target, Links::Follow)
        .map_err(|errno| errno.to_string())?;
    if let Some(own) = own_part(&root.cgroups, "").filter(|_| is_unified()) {
        return place(&clone_tree(&own, false)?, step, &target);
    }
    let shelf = new_tree("tmpfs", "tmpfs", &Tuning::data(&["mode=755", "size=64k"]))?;
    attach(&shelf, &target)?;
    for hierarchy in hierarchies().map_err(|error| error.to_string())? {
        make_hierarchy(root, step, &hierarchy)?;
    }
    let attributes = &step.attributes;
    let readonly = (attributes.set | attributes.set_all) & flags::MOUNT_ATTR_RDONLY;
    let always = flags::MOUNT_ATTR_NOSUID | flags::MOUNT_ATTR_NODEV | flags::MOUNT_ATTR_NOEXEC;
    change(shelf.as_fd(), always | readonly, 0, false)
}

fn make_hierarchy(root: &NewRoot, step: &MountStep, name: &str) -> Result<(), String> {
    let host = Path::new(HOST).join(name);
    let Some(own) = part_of(&root.cgroups, name, &host) else {
        return Ok(());
    };
    let inside = step.target.join(name);
    let target = root
        .beneath
        .make_dirs(&inside, Links::Follow)
        .map_err(|errno| errno.to_string())?;
    place(&clone_tree(&own, false)?, step, &target)?;
    // Controllers that are mounted together are found under each of their names.
    for alias in name.split(',').filter(|alias| *alias != name) {
        root.beneath
            .symlink(&step.target.join(alias), Path::new(name))
            .map_err(|errno| errno.to_string())?;
    }
    Ok(())
}

/// Names of the host's hierarchies, below /sys/fs/cgroup.
fn hierarchies() -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(HOST)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

fn is_unified() -> bool {
    Path::new(HOST).join("cgroup.controllers").exists()
}

/// Where in hierarchy `name` we are, as a path on the host. `table` is /proc/self/cgroup as it was
/// before a cgroup namespace hid the way.
fn part_of(table: &str, name: &str, host: &Path) -> Option<PathBuf> {
    let wanted = match name {
        "unified" => String::new(),
        "systemd" => "name=systemd".to_owned(),
        name => name.to_owned(),
    };
    let own = own_path(table, &wanted)?;
    Some(host.join(own))
}

fn own_part(table: &str, controllers: &str) -> Option<PathBuf> {
    Some(Path::new(HOST).join(own_path(table, controllers)?))
}

fn own_path<'a>(table: &'a str, controllers: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let found = parts.next()? == controllers;
        found.then(|| parts.next().map(|path| path.trim_start_matches('/')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_has_its_own_place() {
        let table = "5:cpu,cpuacct:/a\n2:name=systemd:/b:c\n0::/\n";
        let host = |name: &str| Path::new(HOST).join(name);
        let found = |name: &str| part_of(table, name, &host(name));
        assert_eq!(found("cpu,cpuacct"), Some(host("cpu,cpuacct/a")));
        assert_eq!(found("systemd"), Some(host("systemd/b:c")));
        assert_eq!(found("unified"), Some(host("unified/")));
        assert_eq!(found("memory"), None);
    }
}
