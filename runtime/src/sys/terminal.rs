//! Sizes of terminals.

use std::os::fd::{AsFd, AsRawFd};

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
