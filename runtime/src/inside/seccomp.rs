//! The system call filter: loaded once, as late as it can be.

use std::os::fd::{AsRawFd, OwnedFd};

use super::{Child, Error, failed};
use crate::plan::{Payload, Seccomp};
use crate::sys;

/// Before what a filter is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While we may still do everything: what allows new privileges needs CAP_SYS_ADMIN.
    Identity,
    /// While the runtime is there that takes the listener's descriptor away: a later `start` knows
    /// nothing of it.
    Start,
    /// With the last hooks; so that it need allow nothing but these.
    Exec,
}

/// Loads the filter, if this is the moment for it. Gives the listener's descriptor, whose number
/// the parent has been told.
pub fn load(payload: &Payload, now: Moment, child: &Child) -> Result<Option<OwnedFd>, Error> {
    let Some(seccomp) = payload.seccomp.as_ref().filter(|it| moment(it) == now) else {
        return Ok(None);
    };
    let listener = sys::seccomp::load(&seccomp.program, seccomp.flags)
        .map_err(|errno| failed("load the seccomp filter", errno))?;
    if let Some(descriptor) = &listener {
        let told = child.ladder.listener(descriptor.as_raw_fd());
        told.map_err(|_| Error::Orphaned)?;
    }
    Ok(listener)
}

fn moment(seccomp: &Seccomp) -> Moment {
    match (seccomp.before_identity, &seccomp.listener) {
        (true, _) => Moment::Identity,
        (false, Some(_)) => Moment::Start,
        (false, None) => Moment::Exec,
    }
}
