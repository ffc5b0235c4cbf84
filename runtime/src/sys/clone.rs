//! Making the container's first process: `clone3`, or `clone` where `clone3` is forbidden.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

/// What nix has no name for.
pub const TIME: CloneFlags = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);

/// In libc it overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The first process of a container, as its parent sees it.
#[derive(Debug)]
pub struct Child {
    /// Number of the process in our PID namespace.
    pub pid: Pid,
    /// A descriptor of the process; it becomes readable when the process ends.
    pub pidfd: OwnedFd,
    /// Whether it was born in the cgroup that was given.
    pub in_cgroup: bool,
}

/// Starts a copy of this process in the new namespaces `flags`, in which `run` is called.
///
/// `cgroup` is the directory of one of version 2 to be born in. To move there later takes the kernel
/// milliseconds on a machine at rest, for it waits until no processor can be amid a fork. Where
/// nobody can be born there (or, before Linux 5.7, anywhere) the child is where its parent is.
///
/// With CLONE_PARENT among `flags` it is no child of ours but of our parent.
///
/// `run`'s value is the exit status should it return. Memory is copied, not shared, so `run` may
/// do what any single-threaded program may; the caller must have no other threads.
pub fn spawn(
    flags: u64,
    cgroup: Option<BorrowedFd>,
    run: impl FnOnce() -> i32,
) -> nix::Result<Child> {
    let born = match cgroup.map(|cgroup| clone3(flags, Some(cgroup))) {
        None | Some(Err(_)) => clone3(flags, None),
        Some(born) => born,
    };
    match born {
        // systemd's RestrictNamespaces= answers clone3 with ENOSYS, because a filter cannot see
        // the flags behind its pointer; clone(2) has them in a register. A payload's own filter
        // that is older than clone3 says EPERM.
        Err(refusal @ (Errno::ENOSYS | Errno::EPERM)) => clone(flags).map_err(|_| refusal),
        other => other,
    }
    .map(|child| child.unwrap_or_else(|| leave(run())))
}

/// `Ok(None)` is the child.
fn clone3(flags: u64, cgroup: Option<BorrowedFd>) -> nix::Result<Option<Child>> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain numbers, for which zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // A sibling's is the one that its brother has.
    args.exit_signal = match flags & libc::CLONE_PARENT as u64 {
        0 => libc::SIGCHLD as u64,
        _ => 0,
    };
    // SAFETY: no wrapper exists in libc. The arguments live on this frame for the whole call and
    // the size is their own; without CLONE_VM the child gets a copy of all memory and its own
    // stack, and this process has one thread, so no lock can be held across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut args,
            std::mem::size_of_val(&args),
        )
    };
    taken(result, pidfd, cgroup.is_some())
}

fn clone(flags: u64) -> nix::Result<Option<Child>> {
    // The low byte of clone's flags is the signal, where CLONE_NEWTIME has its bit.
    if flags & libc::CLONE_NEWTIME as u64 != 0 {
        return Err(Errno::ENOSYS);
    }
    let mut pidfd: libc::c_int = -1;
    let flags = flags | libc::CLONE_PIDFD as u64 | libc::SIGCHLD as u64;
    // SAFETY: as for clone3; a null stack means "go on with the copied one", and with CLONE_PIDFD
    // the third argument receives the descriptor and lives on this frame.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    taken(result, pidfd, false)
}

fn taken(result: libc::c_long, pidfd: libc::c_int, in_cgroup: bool) -> nix::Result<Option<Child>> {
    match Errno::result(result)? {
        0 => Ok(None),
        pid => Ok(Some(Child {
            pid: Pid::from_raw(pid as libc::pid_t),
            // SAFETY: the call succeeded with CLONE_PIDFD, so the kernel has put a new descriptor
            // there that nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
            in_cgroup,
        })),
    }
}

/// Ends the child at once: destructors and exit handlers belong to the parent's copy.
fn leave(status: i32) -> ! {
    // SAFETY: _exit has no preconditions; it is unsafe only as a foreign function.
    unsafe { libc::_exit(status) }
}
