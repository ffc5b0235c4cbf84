//! The container's view of its cgroups: of each hierarchy, the part that it is in.
//!
//! The part is bound from the host's mount, in a cgroup namespace or not, so that one way serves
//! both versions, and the options of the mount entry (`ro` above all) hold for every hierarchy.

use std::os::fd::AsFd;
use std::path::Path;

use libcontainer::syscall::linux as flags;

use super::beneath::Links;
use super::mounts::place;
use super::root::NewRoot;
use super::trees::{attach, change, clone_tree, new_tree};
use crate::cgroup::{self, Hierarchy};
use crate::plan::{MountStep, Tuning};

/// Mounts the container's cgroups on the step's target.
pub fn make(root: &NewRoot, step: &MountStep) -> Result<(), String> {
    let target = root
        .beneath
        .make_dirs(&step.target, Links::Follow)
        .map_err(|errno| errno.to_string())?;
    let mut hierarchies = cgroup::hierarchies();
    if let [only] = &hierarchies[..]
        && only.is_only()
        && let Some(own) = only.path_in(&root.cgroups)
    {
        return place(&clone_tree(&only.directory(&own), false)?, step, &target);
    }
    let shelf = new_tree("tmpfs", "tmpfs", &Tuning::data(&["mode=755", "size=64k"]))?;
    attach(&shelf, &target)?;
    hierarchies.sort_by(|one, other| one.mount.cmp(&other.mount));
    for hierarchy in &hierarchies {
        make_hierarchy(root, step, hierarchy)?;
    }
    let attributes = &step.attributes;
    let readonly = (attributes.set | attributes.set_all) & flags::MOUNT_ATTR_RDONLY;
    let always = flags::MOUNT_ATTR_NOSUID | flags::MOUNT_ATTR_NODEV | flags::MOUNT_ATTR_NOEXEC;
    change(shelf.as_fd(), always | readonly, 0, false)
}

/// The table is from before a cgroup namespace hid the way.
fn make_hierarchy(root: &NewRoot, step: &MountStep, hierarchy: &Hierarchy) -> Result<(), String> {
    let name = hierarchy.mount.file_name().and_then(|name| name.to_str());
    let (Some(name), Some(own)) = (name, hierarchy.path_in(&root.cgroups)) else {
        return Ok(());
    };
    let inside = step.target.join(name);
    let target = root
        .beneath
        .make_dirs(&inside, Links::Follow)
        .map_err(|errno| errno.to_string())?;
    place(
        &clone_tree(&hierarchy.directory(&own), false)?,
        step,
        &target,
    )?;
    // Controllers that are mounted together are found under each of their names.
    for alias in name.split(',').filter(|alias| *alias != name) {
        root.beneath
            .symlink(&step.target.join(alias), Path::new(name))
            .map_err(|errno| errno.to_string())?;
    }
    Ok(())
}
