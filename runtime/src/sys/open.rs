//! Opening files where the kernel is told how names may be resolved.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

/// How often a look-up is tried that something moved underneath.
const ATTEMPTS: u32 = 128;

/// Opens `path` from `dir`, close-on-exec; a file that `how` makes has mode 0644.
pub fn open_resolved(
    dir: BorrowedFd,
    path: &Path,
    how: OFlag,
    resolve: ResolveFlag,
) -> nix::Result<OwnedFd> {
    let mode = match how.contains(OFlag::O_CREAT) {
        true => Mode::from_bits_truncate(0o644),
        false => Mode::empty(),
    };
    let how = OpenHow::new()
        .flags(how | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(resolve);
    for _ in 0..ATTEMPTS {
        match openat2(dir.as_raw_fd(), path, how) {
            // Somebody renames on the way: the kernel does not vouch for what it found.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // SAFETY: the kernel has just made this descriptor for us alone.
            other => return other.map(|number| unsafe { OwnedFd::from_raw_fd(number) }),
        }
    }
    Err(Errno::EAGAIN)
}
