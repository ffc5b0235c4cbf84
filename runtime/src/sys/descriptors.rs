//! Descriptors as a whole: which are inherited, which survive an exec, which are handed over.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::Mode;

/// Opens /dev/null for each of 0, 1 and 2 that is closed: else the next file that is opened would be
/// taken for standard output.
pub fn fill_standard() -> nix::Result<()> {
    while let Some(number) = first_closed(0, 3) {
        // The lowest that is free.
        let opened = open(c"/dev/null", OFlag::O_RDWR, Mode::empty())?;
        if opened != number {
            return Err(Errno::EBADF);
        }
    }
    Ok(())
}

/// Sets close-on-exec on every descriptor from `first` upwards.
pub fn close_on_exec_from(first: u32) -> nix::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from 3 upwards but those in `keep`.
///
/// For a child that never returns: what closes behind the back of its owners in the copied memory
/// is neither used nor dropped there any more.
pub fn close_all_but(keep: &[RawFd]) -> nix::Result<()> {
    let mut keep: Vec<u32> = keep
        .iter()
        .filter_map(|number| u32::try_from(*number).ok())
        .collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep.into_iter().filter(|number| *number >= 3) {
        if kept > first {
            close_range(first, kept - 1, 0)?;
        }
        first = kept + 1;
    }
    close_range(first, u32::MAX, 0)
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> nix::Result<()> {
    // SAFETY: touches descriptors only; the callers say why closing them is sound.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(result).map(drop)
}

/// Takes close-on-exec from `count` descriptors from `first` upwards; EBADF if one is not open.
pub fn pass_on(first: RawFd, count: u32) -> nix::Result<()> {
    (first..).take(count as usize).try_for_each(|number| {
        // SAFETY: only a flag changes; a closed number gives EBADF.
        Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).map(drop)
    })
}

/// The first of `count` descriptors from `first` upwards that is not open.
pub fn first_closed(first: RawFd, count: u32) -> Option<RawFd> {
    (first..).take(count as usize).find(|number| {
        // SAFETY: F_GETFD only asks; a closed number gives EBADF.
        unsafe { libc::fcntl(*number, libc::F_GETFD) < 0 }
    })
}

/// Sends bytes over `socket`, and a descriptor with them.
pub fn send(socket: impl AsFd, bytes: &[u8], passed: impl AsFd) -> nix::Result<usize> {
    let passed = [passed.as_fd().as_raw_fd()];
    sendmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &[IoSlice::new(bytes)],
        &[ControlMessage::ScmRights(&passed)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
}

/// Takes what is sent over `socket`: how many bytes, and the descriptor that came with them.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> nix::Result<(usize, Option<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(bytes)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            return Ok((message.bytes, own(numbers).into_iter().next()));
        }
    }
    Ok((message.bytes, None))
}

/// Descriptors that came with a message, as `recvmsg` has just told their numbers.
pub fn own(numbers: Vec<RawFd>) -> Vec<OwnedFd> {
    // SAFETY: the kernel has made each of them with the message, for us alone.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    numbers.into_iter().map(own).collect()
}
