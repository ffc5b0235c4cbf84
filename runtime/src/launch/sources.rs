//! Opening for a container what its own side cannot.
//!
//! A user namespace may not reach what only the host's root can, and may not show files as those of
//! others. So a helper process of ours, with the host's privileges, enters the container's mount
//! namespace and nothing else, opens there, and hands over descriptors. What it opens are the
//! container's own copies of the host's mounts: what they have locked stays locked. Before it, our
//! own process never is in a namespace of the container.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use nix::unistd::pause;

use super::{Error, idmap, kill_child, rungs, step};
use crate::inside::clone_tree;
use crate::ladder::{HostEnd, Said};
use crate::plan::{Bind, Mapping, Owners, Plan};
use crate::sys;
use crate::sys::clone::{Child, spawn};

/// Starts the helper: it opens the root's directory, as far as the child cannot, then the source of
/// each bind that is ours to open; one whenever the child asks, since a source may be what another
/// mount has brought.
pub fn serve(plan: &Plan, child: &Child, to: HostEnd) -> Result<Child, Error> {
    // Our own copy of the ladder closes here: a helper that dies is seen by the child.
    spawn(0, None, move || match open_all(plan, child, &to) {
        Ok(()) => 0,
        Err(error) => {
            // A child that has gone needs no answer.
            let _ = to.give(Err(super::sentence(&error)));
            1
        }
    })
    .map_err(|errno| step("make a process that opens sources", errno))
}

fn open_all(plan: &Plan, child: &Child, to: &HostEnd) -> Result<(), Error> {
    let binds: Vec<&Bind> = plan.binds_from_host().collect();
    // /proc is the host's only until we are in the other mount namespace.
    let users: Vec<Option<OwnedFd>> = binds
        .iter()
        .map(|bind| users_of(bind.owners.as_ref(), child))
        .collect::<Result<_, _>>()?;
    setns(&child.pidfd, CloneFlags::CLONE_NEWNS)
        .map_err(|errno| step("enter the container's mount namespace", errno))?;
    if plan.root.from_host {
        answer(to, || open_root(&plan.root.path))?;
    }
    for (bind, users) in binds.into_iter().zip(users) {
        answer(to, || open(bind, users))?;
    }
    Ok(())
}

fn answer(to: &HostEnd, open: impl FnOnce() -> Result<OwnedFd, Error>) -> Result<(), Error> {
    match rungs::listen(to)? {
        Said::Next => to
            .give(Ok(open()?))
            .map_err(|errno| step("hand a mount over", errno)),
        said => Err(Error::Died(format!("unexpected message {said:?}"))),
    }
}

fn open_root(path: &Path) -> Result<OwnedFd, Error> {
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|error| step(format!("open '{}'", path.display()), error))
}

fn open(bind: &Bind, users: Option<OwnedFd>) -> Result<OwnedFd, Error> {
    let shown = bind.source.display();
    let tree = clone_tree(&bind.source, bind.recursive).map_err(Error::Inside)?;
    if let (Some(users), Some(owners)) = (users, &bind.owners) {
        sys::mount::map_owners(&tree, users, owners.recursive)
            .map_err(|errno| step(format!("show the files of '{shown}' as others'"), errno))?;
    }
    Ok(tree)
}

/// The user namespace whose maps are to be used.
fn users_of(owners: Option<&Owners>, child: &Child) -> Result<Option<OwnedFd>, Error> {
    let Some(owners) = owners else {
        return Ok(None);
    };
    match &owners.mapping {
        Some(mapping) => made_for(mapping).map(Some),
        None => open_users(child).map(Some),
    }
}

fn open_users(process: &Child) -> Result<OwnedFd, Error> {
    let path = format!("/proc/{}/ns/user", process.pid);
    File::open(&path)
        .map(OwnedFd::from)
        .map_err(|error| step(format!("open '{path}'"), error))
}

/// A user namespace is made with a process in it; the descriptor then keeps it.
fn made_for(mapping: &Mapping) -> Result<OwnedFd, Error> {
    let holder = spawn(CloneFlags::CLONE_NEWUSER.bits() as u64, None, || {
        loop {
            pause();
        }
    })
    .map_err(|errno| step("make a user namespace for a mount", errno))?;
    let opened = idmap::write(mapping, holder.pid).and_then(|()| open_users(&holder));
    kill_child(&holder);
    opened
}
