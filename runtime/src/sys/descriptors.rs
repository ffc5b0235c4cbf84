//! Descriptors as a whole: which are inherited, which survive an exec.

use std::os::fd::RawFd;

use nix::errno::Errno;

/// Sets close-on-exec on every descriptor from `first` upwards.
pub fn close_on_exec_from(first: u32) -> nix::Result<()> {
    // SAFETY: only flags of descriptors change; nothing is closed here.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
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
