//! `tmpcopyup`: a new tmpfs that starts with a copy of what it covers.

use std::fs::Metadata;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, fchown, lchown, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mknod};

/// Copies the directory `from` into the root of the mount `to`, with owners and modes.
pub fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), String> {
    let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let (from, to) = (path(from), path(to));
    copy_dir(Path::new(&from), Path::new(&to))
        .map_err(|error| format!("copy of what it covers: {error}"))
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry.metadata()?;
        if meta.is_symlink() {
            symlink(std::fs::read_link(&source)?, &target)?;
            lchown(&target, Some(meta.uid()), Some(meta.gid()))?;
        } else if meta.is_dir() {
            std::fs::create_dir(&target)?;
            copy_dir(&source, &target)?;
            lchown(&target, Some(meta.uid()), Some(meta.gid()))?;
            std::fs::set_permissions(&target, meta.permissions())?;
        } else if meta.is_file() {
            std::fs::copy(&source, &target)?;
            let file = std::fs::File::open(&target)?;
            fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
            // After the owner, whose change takes set-user-id away.
            file.set_permissions(meta.permissions())?;
        } else {
            copy_node(&target, &meta)?;
        }
    }
    Ok(())
}

/// A device, pipe or socket. In a user namespace nobody may make devices, and a copy does without.
fn copy_node(target: &Path, meta: &Metadata) -> std::io::Result<()> {
    let kind = SFlag::from_bits_truncate(meta.mode()) & SFlag::S_IFMT;
    match mknod(target, kind, Mode::empty(), meta.rdev()) {
        Err(Errno::EPERM) => return Ok(()),
        other => other?,
    }
    lchown(target, Some(meta.uid()), Some(meta.gid()))?;
    std::fs::set_permissions(target, meta.permissions())
}
