//! Before anything else: our own executable, and the descriptors that we were given.
//!
//! A payload can reach the file that the runtime was executed from, as /proc/PID/exe, and could
//! write to it (CVE-2019-5736). So verbs that enter a container run from a sealed copy in memory,
//! which nobody can change and which goes away with its last process.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use nix::sys::prctl;
use nix::unistd::execveat;

use crate::cli::Verb;
use crate::inside::Passed;
use crate::sys;

const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Runs on from a sealed copy, with all descriptors that we were given: a file that the command line
/// names can be one of them. Returns when this process already does.
pub fn seal() -> Result<()> {
    let itself = File::open("/proc/self/exe").context("cannot open our own executable")?;
    // Only a memfd has seals; whoever made this one, nobody can change it any more.
    let seals = fcntl(itself.as_raw_fd(), FcntlArg::F_GET_SEALS).unwrap_or(0);
    if SealFlag::from_bits_truncate(seals).contains(SEALS) {
        // Else process lists show the name of the memory that we run from.
        return prctl::set_name(c"sysc-runtime").context("cannot set our own name");
    }
    let copy = sealed_copy(itself).context("cannot copy our own executable to memory")?;
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
        Some(copy.as_raw_fd()),
        c"",
        &args,
        &env,
        AtFlags::AT_EMPTY_PATH,
    )
    .context("cannot execute the sealed copy")?;
    Ok(())
}

fn sealed_copy(mut from: File) -> std::io::Result<OwnedFd> {
    let flags = MemFdCreateFlag::MFD_CLOEXEC | MemFdCreateFlag::MFD_ALLOW_SEALING;
    let executable = MemFdCreateFlag::from_bits_retain(libc::MFD_EXEC);
    let copy = match memfd_create(c"sysc-runtime", flags | executable) {
        // Before Linux 6.3 there is no such flag, and every memfd can be executed.
        Err(Errno::EINVAL) => memfd_create(c"sysc-runtime", flags),
        other => other,
    }?;
    let mut file = File::from(copy);
    std::io::copy(&mut from, &mut file)?;
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

/// What of our descriptors is the payload's: sockets that systemd listens on, then those that
/// `--preserve-fds` counts. One that is promised but closed is an error, since its number would
/// soon be one of ours.
pub fn inherited(verb: &Verb) -> Result<Passed> {
    let Some(preserved) = verb.preserved_descriptors() else {
        return Ok(Passed::default());
    };
    let variable = |name| std::env::var(name).ok();
    let for_us =
        variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let sockets = match variable("LISTEN_FDS").and_then(|count| count.parse().ok()) {
        Some(count) if for_us && count > 0 => Some((count, variable("LISTEN_FDNAMES"))),
        _ => None,
    };
    let count = preserved + sockets.as_ref().map_or(0, |(count, _)| *count);
    if let Some(closed) = sys::descriptors::first_closed(3, count) {
        bail!("descriptor {closed} is to be passed on, but it is not open");
    }
    Ok(Passed { count, sockets })
}
