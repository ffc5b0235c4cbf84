//! Mount calls that neither `nix` nor libcontainer has.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Shows the files below a detached mount as those of others: `users` is a user namespace whose
/// maps are used.
pub fn map_owners(mount: impl AsFd, users: impl AsFd, recursive: bool) -> nix::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.as_fd().as_raw_fd() as u64,
    };
    let how = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: no wrapper takes the descriptor of a user namespace. The empty path is terminated,
    // the attributes live on this frame, and the size is their own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            how,
            &raw const attributes,
            std::mem::size_of_val(&attributes),
        )
    };
    Errno::result(result).map(drop)
}

/// Opens the file system that is mounted at `place`, to be reconfigured.
pub fn fspick(place: impl AsFd) -> nix::Result<OwnedFd> {
    const CLOEXEC: libc::c_int = 0x1;
    const EMPTY_PATH: libc::c_int = 0x8;
    // SAFETY: no wrapper exists. The empty path is terminated; the call returns a descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_fspick,
            place.as_fd().as_raw_fd(),
            c"".as_ptr(),
            CLOEXEC | EMPTY_PATH,
        )
    };
    let fd = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
