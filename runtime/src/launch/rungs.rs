//! The rungs of the ladder that a start and an exec have in common.

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

/// Whether we have the privileges of root. Those who do not can neither write to the files of a
/// child that is undumpable, nor change one that has become another user.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The one that `first` has made to go on in its place, and that is our child too.
pub fn successor(first: &Child, ladder: &HostEnd) -> Result<Child, Error> {
    let number = match listen(ladder)? {
        Said::Joined(number) => Pid::from_raw(number),
        Said::Failed(sentence) => return Err(Error::Inside(sentence)),
        _ => return Err(Error::Died(String::new())),
    };
    // Nobody else reaps our child, so the number is still its own.
    let pidfd =
        pidfd_open(number).map_err(|errno| step("open the process in the container", errno));
    wait(&first.pidfd).map_err(|errno| step("wait for the process that joins", errno))?;
    Ok(Child {
        pid: number,
        pidfd: pidfd?,
    })
}

/// Lets the child set up; `sources` and `hooks` are what it may ask for on its way.
pub fn until_ready(
    ladder: &HostEnd,
    sources: impl FnOnce() -> Result<(), Error>,
    hooks: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    go(ladder)?;
    let mut sources = Some(sources);
    loop {
        match listen(ladder)? {
            Said::Sources => sources.take().map_or(Ok(()), |open| open())?,
            Said::Hooks => {
                hooks()?;
                go(ladder)?;
            }
            Said::Ready => return Ok(()),
            Said::Failed(sentence) => return Err(Error::Inside(sentence)),
            said @ (Said::Closed | Said::Joined(_) | Said::Next) => return Err(unexpected(said)),
        }
    }
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
