//! Mounts of a container that has no mount namespace: they are the host's.
//!
//! The root is bound over itself first, and all that the container mounts is mounted below that bind,
//! from which nothing travels. So it goes away as one, whoever made what in it. By then the path may
//! have become somebody else's mount: the bind is known by its number.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Error, step};
use crate::plan::Root;

const NOTHING: Option<&Path> = None;

/// Binds the root over itself, if that is needed; gives the number of the mount.
pub fn make(root: &Root) -> Result<Option<u64>, Error> {
    if !root.on_host {
        return Ok(None);
    }
    let path = &root.path;
    let shown = path.display();
    let change = |source: Option<&Path>, how| mount(source, path, NOTHING, how, NOTHING);
    change(Some(path), MsFlags::MS_BIND | MsFlags::MS_REC)
        .map_err(|errno| step(format!("bind '{shown}' over itself"), errno))?;
    let made = change(None, MsFlags::MS_PRIVATE | MsFlags::MS_REC)
        .map_err(|errno| step(format!("make the mount on '{shown}' private"), errno))
        .and_then(|()| of(root));
    made.inspect_err(|_| {
        // Nobody knows its number: it is the one that was made last.
        let _ = take_off(path);
    })
}

/// The number of the mount that was made.
pub fn of(root: &Root) -> Result<Option<u64>, Error> {
    root.on_host.then(|| number(&root.path)).transpose()
}

/// Takes everything away again, unless somebody has done so.
pub fn remove(path: &Path, made: Option<u64>) -> Result<(), Error> {
    if made.is_none() || number(path).ok() != made {
        return Ok(());
    }
    take_off(path).map_err(|errno| step(format!("unmount '{}'", path.display()), errno))
}

fn take_off(path: &Path) -> nix::Result<()> {
    umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
}

/// Which mount a directory is in. Numbers are used again, but not while the host has few mounts.
fn number(directory: &Path) -> Result<u64, Error> {
    let failed = |error| {
        step(
            format!("look at the mount on '{}'", directory.display()),
            error,
        )
    };
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(directory)
        .map_err(failed)?;
    let info = format!("/proc/self/fdinfo/{}", opened.as_raw_fd());
    let text = std::fs::read_to_string(info).map_err(failed)?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    number
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))
}
