//! Writing to /proc, where what the container has there cannot be trusted.
//!
//! What is written goes to a proc file system of our own, that no path leads to and nobody can mount
//! over. Where the kernel gives us none (a user namespace that sees only parts of /proc), the
//! container's serves if it is one; what is mounted over parts of it is then refused (CVE-2025-52881).
//!
//! `pathrs` does the same, but panics on its way to an error where /proc is none.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::fstat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::trees::new_tree;
use crate::plan::Tuning;
use crate::sys::open::open_resolved;

/// The number of the root directory in every proc file system.
const ROOT: libc::ino_t = 1;

/// A proc file system.
pub struct Proc(OwnedFd);

impl Proc {
    /// One of our own, or the container's.
    pub fn open() -> Result<Proc, String> {
        let proc = new_tree("proc", "proc", &Tuning::default()).or_else(|_| containers())?;
        match is_root_of_proc(&proc) {
            Ok(true) => Ok(Proc(proc)),
            _ => Err("'/proc' is not a proc file system".to_owned()),
        }
    }

    /// Writes to a file that is in this file system and no other.
    pub fn write(&self, path: &Path, text: &str) -> std::io::Result<()> {
        let only_here = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_XDEV
            | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let file = open_resolved(self.0.as_fd(), path, OFlag::O_WRONLY, only_here)?;
        File::from(file).write_all(text.as_bytes())
    }
}

fn containers() -> Result<OwnedFd, String> {
    let how = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let proc = File::options().read(true).custom_flags(how).open("/proc");
    proc.map(OwnedFd::from).map_err(|error| error.to_string())
}

fn is_root_of_proc(directory: &OwnedFd) -> nix::Result<bool> {
    let magic = fstatfs(directory)?.filesystem_type();
    Ok(magic == PROC_SUPER_MAGIC && fstat(directory.as_raw_fd())?.st_ino == ROOT)
}
