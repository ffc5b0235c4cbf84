//! Other processes by descriptor, and limits set on them.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Opens a descriptor for the process `pid`; ESRCH when there is none.
pub fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: takes two numbers and returns a new descriptor.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = match Errno::result(result) {
        // So kernels before 6.15 say it of a process that is gone while a session has its number.
        Err(Errno::EINVAL) => return Err(Errno::ESRCH),
        other => other?,
    };
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Sends `signal` (a number, since real-time signals have no name in `nix`) to a process.
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: libc::c_int) -> nix::Result<()> {
    // SAFETY: a null siginfo asks the kernel to fill in the usual one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// A copy of the descriptor that has this `number` in another process.
pub fn copy_descriptor(pidfd: impl AsFd, number: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers and returns a new descriptor.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_fd().as_raw_fd(), number, 0) };
    let fd = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// How a process of ours ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
}

impl End {
    /// The status as shells have it: the process's own, or 128 and the signal's number.
    pub fn status(self) -> u8 {
        match self {
            End::Exited(code) => (code & 0xff) as u8,
            End::Killed(signal) => (128 + signal) as u8,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exited(code) => write!(formatter, "exit status {code}"),
            End::Killed(libc::SIGSYS) => {
                write!(
                    formatter,
                    "SIGSYS: a filter forbids a system call that set-up needs"
                )
            }
            End::Killed(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(formatter, "{signal}"),
                Err(_) => write!(formatter, "signal {number}"),
            },
        }
    }
}

/// Waits for the end of a process. ECHILD, but only then, if it is no child of ours.
pub fn wait(pidfd: impl AsFd) -> nix::Result<End> {
    loop {
        // SAFETY: siginfo_t is plain data that the call fills in.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: nix's waitid knows no real-time signals and fails on them; this one is given an
        // open descriptor and a siginfo of this frame.
        let result = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                pidfd.as_fd().as_raw_fd() as libc::id_t,
                &mut info,
                libc::WEXITED,
            )
        };
        match Errno::result(result) {
            Err(Errno::EINTR) => continue,
            Err(Errno::ECHILD) => return await_end(&pidfd, None).and(Err(Errno::ECHILD)),
            Err(errno) => return Err(errno),
            Ok(_) => {
                // SAFETY: waitid succeeded, so the SIGCHLD member of the union is the valid one.
                let status = unsafe { info.si_status() };
                return Ok(match info.si_code {
                    libc::CLD_EXITED => End::Exited(status),
                    _ => End::Killed(status),
                });
            }
        }
    }
}

/// Waits for the end of a process, whosever child it is; `false` if it has not come within `limit`.
pub fn await_end(pidfd: impl AsFd, limit: Option<Duration>) -> nix::Result<bool> {
    let end = limit.map(|limit| Instant::now() + limit);
    loop {
        let timeout = end.map_or(PollTimeout::NONE, |end| {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            PollTimeout::try_from(left as i32).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, timeout) {
            Err(Errno::EINTR) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}

/// Sets a resource limit (a `RLIMIT_` number) on another process.
pub fn set_limit(pid: Pid, resource: u32, soft: u64, hard: u64) -> nix::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the new limit lives on this frame; a null old limit is not written.
    let result =
        unsafe { libc::prlimit(pid.as_raw(), resource as _, &limit, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

/// Leaves the session keyring that we came with for a new, empty one. Where keyrings are missing
/// or forbidden (as below systemd-nspawn), the payload cannot reach one either.
pub fn new_session_keyring() -> nix::Result<()> {
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING with a null name makes an anonymous keyring.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    match Errno::result(result) {
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        other => other.map(drop),
    }
}

/// Sets the execution domain (`PER_LINUX32` and kin).
pub fn set_personality(domain: u64) -> nix::Result<()> {
    // SAFETY: takes a number and changes how later calls answer, no memory.
    let result = unsafe { libc::personality(domain as libc::c_ulong) };
    Errno::result(result).map(drop)
}

/// Sets the NIS domain name of this UTS namespace.
pub fn set_domain_name(name: &str) -> nix::Result<()> {
    // SAFETY: the pointer and length are those of a live slice; the kernel copies it.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    Errno::result(result).map(drop)
}
