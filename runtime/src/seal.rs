//! Before anything else: our own executable.
//!
//! A payload can reach the file that the runtime was executed from, as /proc/PID/exe, and could
//! write to it (CVE-2019-5736). So verbs that enter a container execute themselves anew:
//!
//! - from a read-only clone of the mount that holds the file, attached nowhere. Only who holds a
//!   descriptor of the clone, or shares a mount namespace that it is attached in, could make it
//!   writable again: there is no such namespace, and the only descriptor closes with the exec. It costs
//!   three calls and no memory, and needs CAP_SYS_ADMIN.
//! - else from a copy in memory, sealed against writing, which goes away with its last process.
//!
//! Whether this has been done is asked of the kernel; nothing in the environment is believed.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::{self as flags, LinuxSyscall, MountAttr};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use nix::sys::prctl;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::execveat;

const ITSELF: &str = "/proc/self/exe";

const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Runs on from a file that nobody can write to, with all descriptors that we were given: one that
/// the command line names can be among them. Returns when this process already does.
pub fn seal() -> Result<()> {
    let file = match clone_of_mount() {
        Ok(tree) => tree,
        // What is attached nowhere cannot be cloned: it may be our own clone. Nor can anything by
        // whoever may not mount.
        Err(errno) if is_sealed() || (errno == Errno::EINVAL && is_clone()) => {
            // Else process lists show the number of a descriptor.
            return prctl::set_name(c"sysc-runtime").context("cannot set our own name");
        }
        Err(_) => sealed_copy().context("cannot copy our own executable to memory")?,
    };
    execute(&file).context("cannot execute ourselves from a protected file")
}

/// Our file on a read-only mount of its own, attached nowhere.
fn clone_of_mount() -> nix::Result<OwnedFd> {
    let errno = |error: libcontainer::syscall::SyscallError| match error {
        libcontainer::syscall::SyscallError::Nix(errno) => errno,
        _ => Errno::EINVAL,
    };
    let tree = LinuxSyscall
        .open_tree(
            libc::AT_FDCWD,
            Some(ITSELF),
            libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC,
        )
        .map_err(errno)?;
    let read_only = MountAttr {
        attr_set: flags::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    LinuxSyscall
        .mount_setattr(
            tree.as_fd(),
            Path::new(""),
            flags::AT_EMPTY_PATH,
            &read_only,
            std::mem::size_of::<MountAttr>(),
        )
        .map_err(errno)?;
    Ok(tree)
}

/// Whether our file is on a read-only mount that is attached nowhere: there it has no path but that of
/// the root of all that there is.
fn is_clone() -> bool {
    let is_read_only =
        statvfs(ITSELF).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY));
    is_read_only && std::fs::read_link(ITSELF).is_ok_and(|path| path == Path::new("/"))
}

/// Only a memfd has seals; whoever made this one, nobody can change it any more.
fn is_sealed() -> bool {
    let seals = |file: File| fcntl(file.as_raw_fd(), FcntlArg::F_GET_SEALS).ok();
    let seals = File::open(ITSELF).ok().and_then(seals).unwrap_or(0);
    SealFlag::from_bits_truncate(seals).contains(SEALS)
}

fn execute(file: &OwnedFd) -> Result<()> {
    let texts = |items: &mut dyn Iterator<Item = Vec<u8>>| -> Result<Vec<CString>> {
        Ok(items.map(CString::new).collect::<Result<_, _>>()?)
    };
    let args = texts(&mut std::env::args_os().map(|arg| arg.as_bytes().to_vec()))?;
    let env = texts(&mut std::env::vars_os().map(|(name, value)| {
        [
            name.as_bytes(),
            OsStr::new("=").as_bytes(),
            value.as_bytes(),
        ]
        .concat()
    }))?;
    execveat(
        Some(file.as_raw_fd()),
        c"",
        &args,
        &env,
        AtFlags::AT_EMPTY_PATH,
    )?;
    Ok(())
}

fn sealed_copy() -> std::io::Result<OwnedFd> {
    let flags = MemFdCreateFlag::MFD_CLOEXEC | MemFdCreateFlag::MFD_ALLOW_SEALING;
    let executable = MemFdCreateFlag::from_bits_retain(libc::MFD_EXEC);
    let copy = match memfd_create(c"sysc-runtime", flags | executable) {
        // Before Linux 6.3 there is no such flag, and every memfd can be executed.
        Err(Errno::EINVAL) => memfd_create(c"sysc-runtime", flags),
        other => other,
    }?;
    let mut file = File::from(copy);
    std::io::copy(&mut File::open(ITSELF)?, &mut file)?;
    add_seals(&file)?;
    Ok(file.into())
}

/// Pages that were just written can be in the kernel's own hands for a moment, on a busy machine
/// for longer than the 150 ms that the call waits for them: then it says EBUSY, and no more.
fn add_seals(file: &File) -> nix::Result<()> {
    const ATTEMPTS: u32 = 20;
    let mut attempt = 1;
    loop {
        match fcntl(file.as_raw_fd(), FcntlArg::F_ADD_SEALS(SEALS)) {
            Err(Errno::EBUSY) if attempt < ATTEMPTS => attempt += 1,
            other => return other.map(drop),
        }
    }
}
