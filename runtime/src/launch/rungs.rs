//! The rungs of the ladder that a start and an exec have in common.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, geteuid};

use super::{Error, step};
use crate::inside;
use crate::ladder::{HostEnd, Said};
use crate::plan::Payload;
use crate::sys::clone::Child;
use crate::sys::process::{pidfd_open, wait};

/// From here on signals are the payload's; they wait until it can have them.
pub fn hold_signals() -> Result<(), Error> {
    SigSet::all()
        .thread_block()
        .map_err(|errno| step("hold signals back", errno))
}

/// Before the first namespace is entered or shared (but see [`is_root`]: a child without privileges
/// does it itself once its maps are written): else a process in it could trace us or open our
/// descriptors through /proc (CVE-2016-9962).
pub fn become_undumpable() -> Result<(), Error> {
    prctl::set_dumpable(false).map_err(|errno| step("become undumpable", errno))
}

/// Sets what holds for a child of ours. Without privileges that is the child's own to do.
pub fn score_and_limit(payload: &Payload, pid: Pid) -> Result<(), Error> {
    if !is_root() {
        return Ok(());
    }
    inside::score_and_limit(payload, Some(pid)).map_err(|error| Error::Inside(error.to_string()))
}

/// Gives a child its policy of the CPU scheduler.
pub fn schedule(payload: &Payload, pid: Pid) -> Result<(), Error> {
    let Some(attributes) = &payload.scheduling.processor else {
        return Ok(());
    };
    crate::sys::scheduling::set_scheduler(pid, attributes).map_err(|errno| {
        let why = payload.scheduling.refusal(errno);
        Error::Inside(format!("cannot set process.scheduler: {why}"))
    })
}

/// Lets a child run on these processors alone.
pub fn pin(pid: Pid, cpus: &[usize], field: &str) -> Result<(), Error> {
    let mut set = CpuSet::new();
    cpus.iter()
        .try_for_each(|cpu| set.set(*cpu))
        .and_then(|()| sched_setaffinity(pid, &set))
        .map_err(|errno| step(format!("set {field}"), errno))
}

/// Lets a child run on all processors that its cgroup has: ours are not the container's. A user
/// without privileges may not do that to somebody in another user namespace.
pub fn unpin(pid: Pid) -> Result<(), Error> {
    if !is_root() {
        return Ok(());
    }
    let all: Vec<usize> = (0..CpuSet::count()).collect();
    pin(pid, &all, "the processors of the container")
}

/// Whether we have the privileges of root. Those who do not can neither write to the files of a
/// child that is undumpable, nor change one that has become another user.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The process that `first` says it has made to go on in its place; `listener` as for `until_ready`.
pub fn await_successor(
    first: &Child,
    ladder: &HostEnd,
    listener: impl Fn(&Child, RawFd) -> Result<(), Error>,
) -> Result<Child, Error> {
    loop {
        match listen(ladder)? {
            Said::Joined(number) => return successor(first, number),
            Said::Listener(number) => listener(first, number)?,
            Said::Failed(sentence) => return Err(Error::Inside(sentence)),
            said => return Err(unexpected(said)),
        }
    }
}

/// Follows the child while it sets up; `sources` and `hooks` are what it may ask for on its way, and `listener`
/// takes a descriptor of its away to who listens to its filter. Another process may go on in its
/// place; then that one is `child`.
pub fn until_ready(
    ladder: &HostEnd,
    child: &mut Child,
    sources: impl FnOnce(&Child) -> Result<(), Error>,
    hooks: impl Fn(&Child) -> Result<(), Error>,
    listener: impl Fn(&Child, RawFd) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut sources = Some(sources);
    loop {
        match listen(ladder)? {
            Said::Sources => sources.take().map_or(Ok(()), |open| open(child))?,
            Said::Hooks => {
                hooks(child)?;
                go(ladder)?;
            }
            // It may have to wait for the one who listens, but not for us.
            Said::Listener(number) => listener(child, number)?,
            Said::Joined(number) => {
                *child = successor(child, number)?;
                let told = ladder.go_as(number);
                told.map_err(|errno| step("let the child go on", errno))?;
            }
            Said::Ready => return Ok(()),
            Said::Failed(sentence) => return Err(Error::Inside(sentence)),
            said @ (Said::Closed | Said::Next) => return Err(unexpected(said)),
        }
    }
}

/// The process that a child of ours has made beside it, as our child too, and that goes on.
pub fn successor(first: &Child, number: i32) -> Result<Child, Error> {
    // Nobody else reaps our child, so the number is still its own.
    let pid = Pid::from_raw(number);
    let pidfd = pidfd_open(pid).map_err(|errno| step("open the process in the container", errno));
    match wait(&first.pidfd) {
        // Gone, and systemd's child.
        Ok(_) | Err(Errno::ECHILD) => {}
        Err(errno) => return Err(step("wait for the process that joins", errno)),
    }
    Ok(Child {
        pid,
        pidfd: pidfd?,
        in_cgroup: false,
    })
}

/// Lets the payload begin, and returns once it has: its exec is done.
pub fn release(ladder: &HostEnd) -> Result<(), Error> {
    go(ladder)?;
    match listen(ladder)? {
        Said::Closed => Ok(()),
        Said::Failed(sentence) => Err(Error::Inside(sentence)),
        said => Err(unexpected(said)),
    }
}

/// A child that has closed its end has died; the others are not for this rung.
fn unexpected(said: Said) -> Error {
    match said {
        Said::Closed => Error::Died(String::new()),
        said => Error::Died(format!("unexpected message {said:?}")),
    }
}

/// Lets the child go on.
pub fn go(ladder: &HostEnd) -> Result<(), Error> {
    ladder
        .go()
        .map_err(|errno| step("let the child go on", errno))
}

/// What the child says next.
pub fn listen(ladder: &HostEnd) -> Result<Said, Error> {
    ladder
        .listen()
        .map_err(|errno| step("listen to the child", errno))
}
