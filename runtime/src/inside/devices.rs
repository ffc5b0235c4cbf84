//! Device nodes and the links that programs expect in /dev.
//!
//! Replaces libcontainer's, which writes through the image's links and deletes /dev/ptmx also where
//! /dev is the host's own, bound in.

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mknodat, umask};
use nix::unistd::{Gid, Uid, fchownat};

use super::root::NewRoot;
use super::trees::{attach, clone_tree};
use super::{Error, failed};
use crate::plan::{Device, Devices, Kind, Placing};

const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Fills /dev.
pub fn make_all(root: &NewRoot, devices: &Devices) -> Result<(), Error> {
    if devices.placing == Placing::Leave {
        return Ok(());
    }
    let mask = umask(Mode::empty());
    let made = devices.nodes.iter().try_for_each(|device| {
        make(root, device, devices.placing)
            .map_err(|why| failed(format!("make device '{}'", device.path.display()), why))
    });
    umask(mask);
    made?;
    for (name, leads_to) in LINKS {
        link(root, name, leads_to).map_err(|why| failed(format!("make link '{name}'"), why))?;
    }
    Ok(())
}

fn make(root: &NewRoot, device: &Device, placing: Placing) -> Result<(), String> {
    if placing == Placing::Bind {
        return bind(root, device);
    }
    match node(root, device) {
        Err(Errno::EEXIST) => check(root, device),
        // A host that is a container itself may bind devices, but not make them.
        Err(Errno::EPERM) => bind(root, device),
        other => other.map_err(|errno| errno.to_string()),
    }
}

fn node(root: &NewRoot, device: &Device) -> nix::Result<()> {
    let (parent, name) = root.beneath.parent(&device.path)?;
    let kind = match device.kind {
        Kind::Character => SFlag::S_IFCHR,
        Kind::Block => SFlag::S_IFBLK,
        Kind::Fifo => SFlag::S_IFIFO,
    };
    let mode = Mode::from_bits_truncate(device.mode);
    let number = makedev(device.major, device.minor);
    mknodat(Some(parent.as_raw_fd()), name, kind, mode, number)?;
    let (user, group) = device.owner;
    fchownat(
        Some(parent.as_raw_fd()),
        name,
        Some(Uid::from_raw(user)),
        Some(Gid::from_raw(group)),
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )
}

/// What is there already must be the device that was asked for, not something of the image's.
fn check(root: &NewRoot, device: &Device) -> Result<(), String> {
    let found = root
        .beneath
        .resolve_nofollow(&device.path)
        .map_err(|errno| errno.to_string())?;
    let found = fstat(found.as_raw_fd()).map_err(|errno| errno.to_string())?;
    let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
    let right = match device.kind {
        Kind::Character => kind == SFlag::S_IFCHR,
        Kind::Block => kind == SFlag::S_IFBLK,
        Kind::Fifo => {
            return if kind == SFlag::S_IFIFO {
                Ok(())
            } else {
                Err(occupied())
            };
        }
    };
    if right && found.st_rdev == makedev(device.major, device.minor) {
        return Ok(());
    }
    Err(occupied())
}

fn occupied() -> String {
    "the root file system has something else there".to_owned()
}

fn bind(root: &NewRoot, device: &Device) -> Result<(), String> {
    let tree = clone_tree(&device.path, false)?;
    let found = root.beneath.resolve_nofollow(&device.path);
    let target = found.or_else(|_| root.beneath.create_file(&device.path));
    let target = target.map_err(|errno| errno.to_string())?;
    let found = fstat(target.as_raw_fd()).map_err(|errno| errno.to_string())?;
    match SFlag::from_bits_truncate(found.st_mode & libc::S_IFMT) {
        // A mount on a link would be nobody's; and none shall lead it elsewhere.
        SFlag::S_IFLNK | SFlag::S_IFDIR => Err(occupied()),
        _ => attach(&tree, &target),
    }
}

/// What the image brings is left.
fn link(root: &NewRoot, name: &str, leads_to: &str) -> Result<(), String> {
    if name == "/dev/core" && !Path::new("/proc/kcore").exists() {
        return Ok(());
    }
    match root.beneath.symlink(Path::new(name), Path::new(leads_to)) {
        Err(Errno::EEXIST) => Ok(()),
        other => other.map_err(|errno| errno.to_string()),
    }
}
