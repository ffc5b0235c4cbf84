//! Ending a container as its own init would: from inside its PID namespace.
//!
//! The first process of a PID namespace hears no signal from outside that it has no handler for, but
//! SIGKILL, after which systemd would count the service as failed. What reboot(2) does in a PID
//! namespace ends that process too, and it shows as ended by SIGINT, which is a clean end.

use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::Pid;

use super::{Error, rungs, step};
use crate::record::State;
use crate::sys::clone::spawn;
use crate::sys::descriptors;
use crate::sys::process::{End, await_end, pidfd_open, wait};

/// The host's own PID namespace, on every kernel.
const HOSTS: u64 = 0xefff_fffc;
const OUR_NAMESPACE: &str = "/proc/self/ns/pid";
/// Status of a helper that ended nothing.
const REFUSED: i32 = 1;

/// Ends all processes of the container's PID namespace, and returns when its first one has ended. One
/// that has ended already is fine.
pub fn power_off(state: &State) -> Result<(), Error> {
    let pid = state.init.pid;
    let failed = |what: &str, errno: Errno| step(what, errno);
    let pidfd = match pidfd_open(Pid::from_raw(pid)) {
        Err(Errno::ESRCH) => return Ok(()),
        other => other.map_err(|errno| failed("open the container's first process", errno))?,
    };
    let theirs = namespace(&format!("/proc/{pid}/ns/pid"));
    // Looked at after the descriptor holds it: the number cannot change hands any more.
    if !state.init.is_alive() {
        return Ok(());
    }
    let (theirs, ours) = (theirs?, namespace(OUR_NAMESPACE)?);
    if theirs == ours || theirs == HOSTS {
        return Err(Error::Usage("it has no PID namespace of its own"));
    }
    rungs::become_undumpable()?;
    setns(&pidfd, CloneFlags::CLONE_NEWPID)
        .map_err(|errno| failed("join the container's PID namespace", errno))?;
    let inside = spawn(0, None, || from_inside(theirs))
        .map_err(|errno| failed("make a process in the container", errno))?;
    match wait(&inside.pidfd) {
        Ok(End::Exited(REFUSED)) => Err(Error::Usage("its PID namespace cannot be ended")),
        // It has ended with the others, or by itself.
        _ => await_end(&pidfd).map_err(|errno| failed("wait for the container's end", errno)),
    }
}

/// In any other namespace this would switch the host off, or somebody else's container.
fn from_inside(theirs: u64) -> i32 {
    let is_there = namespace(OUR_NAMESPACE).is_ok_and(|found| found == theirs);
    if is_there && theirs != HOSTS && descriptors::close_all_but(&[]).is_ok() {
        // Returns only if it is refused.
        let _ = reboot(RebootMode::RB_POWER_OFF);
    }
    REFUSED
}

fn namespace(path: &str) -> Result<u64, Error> {
    let found = std::fs::metadata(path);
    found
        .map(|found| found.ino())
        .map_err(|error| step(format!("look at namespace '{path}'"), error))
}
