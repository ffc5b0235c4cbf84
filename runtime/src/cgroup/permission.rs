//! Whether we may make a cgroup, and limit what is in it.

use std::path::Path;

use nix::unistd::{AccessFlags, eaccess};

use super::hierarchy;

/// Whether a cgroup could be made at `path` and joined, in every hierarchy: the nearest one above it
/// that is there must be ours to write to.
pub fn may_make(path: &Path) -> bool {
    let all = hierarchy::all();
    let may = |directory: &Path| {
        let writable = |path: &Path| eaccess(path, AccessFlags::W_OK).is_ok();
        let found = directory.ancestors().find(|place| place.is_dir());
        found.is_some_and(|found| writable(found) && writable(&found.join("cgroup.procs")))
    };
    !all.is_empty() && all.iter().all(|hierarchy| may(&hierarchy.directory(path)))
}
