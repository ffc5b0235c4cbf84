//! Places to mount on, looked up beneath the new root and made when they are missing.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::beneath::Links;
use super::root::NewRoot;
use crate::advice;

/// What may be covered below a container's /proc: files that show a container its own share of the
/// host, and nothing that the runtime itself relies on.
const COVERABLE: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "uptime",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// As many links along one path as the kernel follows.
const MAX_LINKS: usize = 40;

/// Who covers a place, as far as /proc cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverer {
    /// A proc file system.
    Proc,
    /// Anything else.
    Other,
}

/// The directory to mount on. Where the image has a link whose target is not there, the target is
/// what is made.
pub(super) fn directory(root: &NewRoot, target: &Path) -> Result<OwnedFd, String> {
    let make = |place: &Path| root.beneath.make_dirs(place, Links::Follow);
    make(target).or_else(|errno| match straight(root, target)? {
        place if place != target => make(&place).map_err(text),
        _ => Err(text(errno)),
    })
}

/// The same for proc and sysfs. They are written to by the runtime, so they must be where they seem
/// to be: no link may lead there.
pub(super) fn plain_directory(root: &NewRoot, target: &Path) -> Result<OwnedFd, String> {
    root.beneath
        .make_dirs(target, Links::Refuse)
        .map_err(|errno| {
            let help = advice::look_up(errno);
            match help {
                "" => format!(
                    "it must be mounted on ordinary directory, without links on the way ({errno})"
                ),
                help => format!("{errno}{help}"),
            }
        })
}

/// The file to mount on (`/etc/resolv.conf` may be a link into a `/run` that is fresh).
pub(super) fn file(root: &NewRoot, target: &Path) -> Result<OwnedFd, String> {
    root.beneath.resolve(target).or_else(|_| {
        let place = straight(root, target)?;
        root.beneath.create_file(&place).map_err(text)
    })
}

/// A path with every link along it followed, also those that lead to what is missing. Whoever uses
/// it still looks it up beneath the root: it may have changed meanwhile.
fn straight(root: &NewRoot, target: &Path) -> Result<PathBuf, String> {
    let mut place = PathBuf::from("/");
    let mut left: VecDeque<OsString> = parts(target).collect();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            place.pop();
            continue;
        }
        let Ok(link) = root.beneath.readlink(&place.join(&part)) else {
            place.push(part);
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.desc().to_owned());
        }
        if link.is_absolute() {
            place = PathBuf::from("/");
        }
        parts(&link).rev().for_each(|part| left.push_front(part));
    }
    Ok(place)
}

/// Names along a path, and `..`.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    })
}

/// Nothing may cover /proc but a proc file system, and nothing below it but some harmless files,
/// whatever links led to the place.
pub(super) fn guard_proc(
    root: &NewRoot,
    target: &Path,
    place: &OwnedFd,
    by: Coverer,
) -> Result<(), String> {
    let refused = || Err("it would cover a part of '/proc'".to_owned());
    let found = place_of(place).map_err(|errno| errno.to_string())?;
    let Ok(below) = found.strip_prefix(root.path.join("proc")) else {
        // A proc file system elsewhere in the container is nobody's business but its own.
        return match is_proc(place)? && target.starts_with("/proc") {
            true => refused(),
            false => Ok(()),
        };
    };
    let known = COVERABLE.iter().any(|name| below == Path::new(name));
    let over_all = below.as_os_str().is_empty() && by == Coverer::Proc;
    if known || over_all { Ok(()) } else { refused() }
}

/// Whether a descriptor is of a proc file system.
pub(super) fn is_proc(place: &OwnedFd) -> Result<bool, String> {
    let found = fstatfs(place).map_err(|errno| errno.to_string())?;
    Ok(found.filesystem_type() == PROC_SUPER_MAGIC)
}

fn place_of(place: &OwnedFd) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", place.as_raw_fd());
    nix::fcntl::readlink(link.as_str()).map(PathBuf::from)
}

fn text(errno: Errno) -> String {
    format!("{errno}{}", advice::look_up(errno))
}
