//! A cgroup that its container may divide further.

use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::{Error, hierarchy, join_failed};

/// Where the kernel says which files go with a cgroup that is given away (Linux 4.15).
const NAMES: &str = "/sys/kernel/cgroup/delegate";
/// What the specification has where it does not.
const ALWAYS: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

/// Makes `owner`, as the host knows it, the one who may make cgroups below `path` and move processes
/// between them. Its limits stay ours to set.
pub fn give(path: &Path, owner: u32) -> Result<(), Error> {
    let names = std::fs::read_to_string(NAMES).unwrap_or_else(|_| ALWAYS.to_owned());
    for hierarchy in hierarchy::all() {
        let directory = hierarchy.directory(path);
        let files = names.lines().map(|name| directory.join(name));
        let places: Vec<PathBuf> = [directory.clone()].into_iter().chain(files).collect();
        for place in places {
            match chown(&place, Some(owner), None) {
                // Of a controller that this cgroup has not.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let reason = format!("cannot give '{}' to {owner}: {error}", place.display());
                    return Err(join_failed(path, reason));
                }
                Ok(()) => {}
            }
        }
    }
    Ok(())
}
