//! The first of two clones: whoever goes ahead enters or makes the user namespace and what is
//! borrowed for children only, and then makes the container's first process there.

use std::fs::File;
use std::io::Write;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

use super::namespaces::{become_root, open};
use super::{Child, Error, await_go, become_undumpable, failed};
use crate::plan::{Join, Namespaces};
use crate::sys::clone::TIME;

/// Takes this process's children to where they belong. All is opened before the user namespace is
/// entered, which may not reach it.
pub fn lead(namespaces: &Namespaces, child: &Child) -> Result<(), Error> {
    let before = namespaces.join_before.iter();
    let before: Vec<(File, &Join)> = before.map(open).collect::<Result<_, _>>()?;
    let clocks = namespaces.new_time.as_ref().map(|_| open_offsets());
    let clocks = clocks.transpose()?;
    match namespaces.join_user.as_ref().map(open).transpose()? {
        Some((file, join)) => {
            // Others are in it already.
            become_undumpable(child)?;
            enter_as_host(namespaces)?;
            enter(&file, join)?;
        }
        // Until the parent has written the id maps, nothing can be done in it.
        None => await_go(child)?,
    }
    become_root()?;
    for (file, join) in before {
        enter(&file, join)?;
    }
    if let (Some(mut clocks), Some(offsets)) = (clocks, &namespaces.new_time) {
        unshare(TIME).map_err(|errno| failed("make a time namespace", errno))?;
        clocks
            .write_all(offsets.concat().as_bytes())
            .map_err(|error| failed("set linux.timeOffsets", error))?;
    }
    Ok(())
}

/// What belongs to another user namespace than the one that is joined can only be entered before.
/// What the host's side may not enter may yet belong to that one, and is tried again later. Mounts
/// come last in any case: they change what paths mean.
fn enter_as_host(namespaces: &Namespaces) -> Result<(), Error> {
    let others = namespaces.join.iter();
    for join in others.filter(|join| join.kind != CloneFlags::CLONE_NEWNS) {
        let (file, join) = open(join)?;
        match setns(file, join.kind) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => {
                return Err(failed(format!("join '{}'", join.path.display()), errno));
            }
        }
    }
    Ok(())
}

fn enter(file: &File, join: &Join) -> Result<(), Error> {
    setns(file, join.kind).map_err(|errno| failed(format!("join '{}'", join.path.display()), errno))
}

fn open_offsets() -> Result<File, Error> {
    let path = "/proc/self/timens_offsets";
    let file = File::options().write(true).open(path);
    file.map_err(|error| failed(format!("open '{path}'"), error))
}
