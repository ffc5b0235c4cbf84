//! `tmpcopyup`: a new tmpfs that starts with a copy of what it covers.
//!
//! What it covers may be a volume that another container changes meanwhile. So every entry is opened
//! by its name in a directory that is held, never through a link: what is copied is what lay there.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{File, Permissions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};

use crate::sys::open::open_resolved;

/// Copies the directory `from` into the root of the mount `to`, with owners and modes.
pub fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), String> {
    open(from.as_fd(), c".", OFlag::O_DIRECTORY)
        .map_err(std::io::Error::from)
        .and_then(|from| copy_dir(&from, to.as_fd()))
        .map_err(|error| format!("copy of what it covers: {error}"))
}

fn copy_dir(from: &File, to: BorrowedFd) -> std::io::Result<()> {
    let mut entries = Dir::from_fd(from.try_clone()?.into_raw_fd())?;
    for entry in entries.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let found = fstatat(Some(from.as_raw_fd()), name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match SFlag::from_bits_truncate(found.st_mode & libc::S_IFMT) {
            SFlag::S_IFLNK => copy_link(from.as_raw_fd(), to.as_raw_fd(), name, &found)?,
            SFlag::S_IFDIR => copy_below(from.as_fd(), to, name)?,
            SFlag::S_IFREG => copy_file(from.as_fd(), to, name)?,
            kind => copy_node(to.as_raw_fd(), name, kind, &found)?,
        }
    }
    Ok(())
}

fn copy_link(from: RawFd, to: RawFd, name: &CStr, found: &FileStat) -> nix::Result<()> {
    let leads_to: OsString = readlinkat(Some(from), name)?;
    symlinkat(leads_to.as_os_str(), Some(to), name)?;
    give_to_owner(to, name, found)
}

/// A device, pipe or socket. In a user namespace nobody may make devices, and a copy does without.
fn copy_node(to: RawFd, name: &CStr, kind: SFlag, found: &FileStat) -> nix::Result<()> {
    match mknodat(Some(to), name, kind, Mode::empty(), found.st_rdev) {
        Err(Errno::EPERM) => return Ok(()),
        other => other?,
    }
    give_to_owner(to, name, found)?;
    let mode = Mode::from_bits_truncate(found.st_mode);
    fchmodat(Some(to), name, mode, FchmodatFlags::FollowSymlink)
}

fn give_to_owner(to: RawFd, name: &CStr, found: &FileStat) -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid));
    let how = AtFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(Some(to), name, Some(user), Some(group), how)
}

fn copy_below(from: BorrowedFd, to: BorrowedFd, name: &CStr) -> std::io::Result<()> {
    let source = open(from, name, OFlag::O_DIRECTORY)?;
    mkdirat(Some(to.as_raw_fd()), name, Mode::S_IRWXU)?;
    let target = open(to, name, OFlag::O_DIRECTORY)?;
    copy_dir(&source, target.as_fd())?;
    copy_owner(&source, &target)
}

fn copy_file(from: BorrowedFd, to: BorrowedFd, name: &CStr) -> std::io::Result<()> {
    let mut source = open(from, name, OFlag::O_NONBLOCK)?;
    if !source.metadata()?.is_file() {
        // It was one a moment ago.
        return Ok(());
    }
    let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut target = open(to, name, new)?;
    std::io::copy(&mut source, &mut target)?;
    copy_owner(&source, &target)
}

/// The mode after the owner, whose change takes set-user-id away.
fn copy_owner(from: &File, to: &File) -> std::io::Result<()> {
    let meta = from.metadata()?;
    fchown(to, Some(meta.uid()), Some(meta.gid()))?;
    to.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))
}

fn open(directory: BorrowedFd, name: &CStr, how: OFlag) -> nix::Result<File> {
    let name = Path::new(OsStr::from_bytes(name.to_bytes()));
    let alone = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    open_resolved(directory, name, how, alone).map(File::from)
}
