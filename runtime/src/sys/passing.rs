//! Descriptors on their way between processes.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Sends one descriptor over `socket`, with a name for it.
pub fn send(socket: impl AsFd, name: &str, passed: impl AsFd) -> nix::Result<()> {
    let passed = [passed.as_fd().as_raw_fd()];
    sendmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &[IoSlice::new(name.as_bytes())],
        &[ControlMessage::ScmRights(&passed)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map(drop)
}

/// Takes the one descriptor that is sent over `socket`.
pub fn receive(socket: impl AsFd) -> nix::Result<File> {
    let mut byte = [0; 64];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control
            && let Some(number) = numbers.first()
        {
            // SAFETY: the kernel has just made this descriptor for us alone.
            return Ok(unsafe { File::from_raw_fd(*number) });
        }
    }
    Err(Errno::ENOMSG)
}
