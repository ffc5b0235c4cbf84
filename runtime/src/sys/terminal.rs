//! Sizes of terminals.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::pty::Winsize;

/// The size of the terminal behind `fd`; `None` when it is no terminal.
pub fn size(fd: impl AsFd) -> Option<Winsize> {
    let mut size = Winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ fills in one Winsize, which lives on this frame.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    (result == 0).then_some(size)
}

/// Sets the size of the terminal behind `fd`.
pub fn set_size(fd: impl AsFd, size: &Winsize) -> nix::Result<()> {
    // SAFETY: TIOCSWINSZ reads one Winsize.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCSWINSZ, size) };
    Errno::result(result).map(drop)
}

/// Opens the other end of the terminal of which `master` is one, wherever its file system is mounted.
pub fn peer(master: impl AsFd) -> nix::Result<OwnedFd> {
    let how = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes flags as open(2) has them, by value, and returns a new descriptor.
    let result = unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTPEER, how) };
    let number = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes the terminal behind `fd` that of our session, which we lead.
pub fn control(fd: impl AsFd) -> nix::Result<()> {
    // SAFETY: TIOCSCTTY takes a number: 0 is "not if it is another session's".
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop)
}
