//! The new root: made a mount of its own, entered, protected.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use libcontainer::rootfs::Mount;
use libcontainer::syscall::linux as flags;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, chroot, fchdir, pivot_root};

use super::beneath::Beneath;
use super::trees::{attach, change, clone_tree_at};
use super::{Error, failed};
use crate::plan::{Entry, Plan, Propagation, Root};

const NOTHING: Option<&str> = None;

/// The new root while `/` is still the host's.
pub struct NewRoot {
    /// Where it is on the host.
    pub path: PathBuf,
    /// Looks paths up beneath it; no link leads out.
    pub beneath: Beneath,
    /// /proc/self/cgroup from before we had a cgroup namespace.
    pub cgroups: String,
}

/// Makes the root a mount of its own. `opened` is its directory, if the host's side has opened it.
pub fn prepare(root: &Root, opened: Option<OwnedFd>, cgroups: String) -> Result<NewRoot, Error> {
    let shown = root.path.display();
    let directory = match opened {
        Some(directory) => directory,
        None => open_dir(&root.path)?,
    };
    let tree = if root.entry == Entry::Chroot {
        directory
    } else {
        let tree = clone_tree_at(&directory, true)
            .map_err(|why| failed(format!("bind '{shown}'"), why))?;
        attach(&tree, &directory)
            .map_err(|why| failed(format!("bind '{shown}' over itself"), why))?;
        tree
    };
    Ok(NewRoot {
        path: root.path.clone(),
        beneath: Beneath::new(tree),
        cgroups,
    })
}

/// Cuts our mounts off from the host's as far as asked: slave by default, so that the host's later mounts appear in
/// bind mounts, but none of the container's on the host.
pub fn cut_off(root: &Root) -> Result<(), Error> {
    if root.entry == Entry::Chroot {
        return Ok(());
    }
    let how = match root.propagation {
        Propagation::Shared => MsFlags::MS_SHARED,
        Propagation::Private => MsFlags::MS_PRIVATE,
        Propagation::Slave | Propagation::Unbindable => MsFlags::MS_SLAVE,
    };
    mount(NOTHING, "/", NOTHING, how | MsFlags::MS_REC, NOTHING)
        .map_err(|errno| failed("change the propagation of '/'", errno))?;
    if root.propagation == Propagation::Shared {
        // pivot_root refuses a shared parent, and the bind of the root would show on the host.
        Mount::new()
            .make_parent_mount_private(&root.path)
            .map_err(|error| failed("make the mount that holds the root private", error))?;
    }
    Ok(())
}

/// Makes it `/`.
pub fn enter(root: &Root, new: NewRoot) -> Result<(), Error> {
    let entered = match root.entry {
        Entry::Pivot => pivot(root, &new),
        Entry::Move => move_over(&new.path),
        Entry::Chroot => chroot(&new.path),
    };
    entered
        .and_then(|()| chdir("/"))
        .map_err(|errno| failed(format!("make '{}' the root", root.path.display()), errno))?;
    let after = match root.propagation {
        // These mounts are the host's.
        _ if root.entry == Entry::Chroot => return Ok(()),
        Propagation::Shared => MsFlags::MS_SHARED,
        Propagation::Unbindable => MsFlags::MS_UNBINDABLE,
        Propagation::Slave | Propagation::Private => return Ok(()),
    };
    mount(NOTHING, "/", NOTHING, after, NOTHING)
        .map_err(|errno| failed("change the propagation of the root", errno))
}

/// The old root is stacked on the new one for a moment and then let go; it needs no directory.
fn pivot(root: &Root, new: &NewRoot) -> nix::Result<()> {
    let old = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECTORY)
        .open("/")
        .map_err(|_| nix::errno::Errno::ENOENT)?;
    fchdir(new.beneath.as_fd().as_raw_fd())?;
    pivot_root(".", ".")?;
    fchdir(old.as_raw_fd())?;
    // Else the unmounting of the host's mounts would travel to the host.
    let cut = if root.propagation == Propagation::Private {
        MsFlags::MS_PRIVATE
    } else {
        MsFlags::MS_SLAVE
    };
    mount(NOTHING, ".", NOTHING, cut | MsFlags::MS_REC, NOTHING)?;
    umount2(".", MntFlags::MNT_DETACH)
}

fn move_over(path: &Path) -> nix::Result<()> {
    chdir(path)?;
    for hidden in ["/sys", "/proc"] {
        // Not a mount point, or locked: covering hides it as well.
        if umount2(hidden, MntFlags::MNT_DETACH).is_err() {
            mount(
                NOTHING,
                hidden,
                Some("tmpfs"),
                MsFlags::MS_RDONLY,
                Some("size=0k"),
            )?;
        }
    }
    mount(Some(path), "/", NOTHING, MsFlags::MS_MOVE, NOTHING)?;
    chroot(".")
}

/// The root and what had to wait become read-only.
pub fn protect(plan: &Plan) -> Result<(), Error> {
    let late = plan
        .mounts
        .iter()
        .filter(|step| step.readonly_late)
        .map(|step| &step.target);
    let root = PathBuf::from("/");
    let readonly = plan.root.readonly.then_some(&root);
    for path in late.chain(readonly) {
        change(open_dir(path)?.as_fd(), flags::MOUNT_ATTR_RDONLY, 0, false)
            .map_err(|why| failed(format!("make '{}' read-only", path.display()), why))?;
    }
    Ok(())
}

fn open_dir(path: &Path) -> Result<OwnedFd, Error> {
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|error| failed(format!("open '{}'", path.display()), error))
}
