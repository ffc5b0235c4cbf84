//! Entering a container that is there, for an exec.
//!
//! Everything is named by descriptors that the host's side opened: of the container's files none is
//! looked up before we are in it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sched::{CloneFlags, setns};
use nix::unistd::{chdir, chroot, fchdir};

use super::namespaces::become_root;
use super::{Error, failed};

/// A container as its first process shows it.
#[derive(Debug)]
pub struct Target {
    /// The first process.
    pub init: OwnedFd,
    /// Its namespaces, as far as they are not ours.
    pub kinds: CloneFlags,
    /// Its root directory, where it has no mount namespace of its own to find one in.
    pub root: Option<OwnedFd>,
    /// The directory of its cgroup, where a process can be born there.
    pub cgroup: Option<OwnedFd>,
}

impl Target {
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let more = [&self.root, &self.cgroup].into_iter().flatten();
        let init = [self.init.as_raw_fd()].into_iter();
        init.chain(more.map(AsRawFd::as_raw_fd)).collect()
    }

    /// All namespaces at once, so that the kernel judges each by what we were before the first; the
    /// user namespace comes before those that it owns. That of PIDs is felt by our children only.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        if !self.kinds.is_empty() {
            setns(&self.init, self.kinds)
                .map_err(|errno| failed("join the container's namespaces", errno))?;
        }
        if self.kinds.contains(CloneFlags::CLONE_NEWUSER) {
            become_root()?;
        }
        match &self.root {
            // A joined mount namespace has put us on its root already.
            None => Ok(()),
            Some(root) => fchdir(root.as_raw_fd()).and_then(|()| chroot(".")),
        }
        .and_then(|()| chdir("/"))
        .map_err(|errno| failed("enter the container's root", errno))
    }
}
