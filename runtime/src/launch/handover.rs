//! A container as the service itself: systemd takes our child for what it watches, and we leave.

use nix::unistd::Pid;

use super::{Error, Request};
use crate::manager::{Barrier, Filter, Manager, Ready};
use crate::record::Claim;
use crate::sys::clone::Child;

/// What is left to be said to systemd.
pub struct HandOver<'a> {
    /// systemd, if the service becomes another process.
    successor_of_us: Option<&'a Manager>,
    filter: Option<Filter>,
    named: Option<(Pid, Barrier)>,
}

impl<'a> HandOver<'a> {
    /// Makes the program's own socket, if it has something to say.
    pub fn prepare(request: &'a Request, claim: &Claim) -> Result<HandOver<'a>, Error> {
        let manager = request.manager.as_ref();
        let speaks = manager.filter(|manager| manager.ready == Ready::Payload);
        let filter = speaks.map(|manager| Filter::open(&claim.notify_socket(), manager));
        Ok(HandOver {
            successor_of_us: manager.filter(|_| request.is_handed_over()),
            filter: filter.transpose()?,
            named: None,
        })
    }

    /// Tells who will be the service. systemd reads it while the child sets up.
    pub fn name(&mut self, child: &Child) -> Result<(), Error> {
        if let Some(manager) = self.successor_of_us {
            self.named = Some((child.pid, manager.name_main(child)?));
        }
        Ok(())
    }

    /// Returns once systemd watches the child: nothing of its end can be lost any more.
    pub fn complete(mut self, child: &Child) -> Result<(), Error> {
        // Another process may have gone on in its place.
        if self.named.as_ref().is_none_or(|(pid, _)| *pid != child.pid) {
            self.name(child)?;
        }
        if let Some((_, barrier)) = self.named {
            barrier.pass()?;
        }
        match self.filter {
            Some(filter) => Ok(filter.serve(child)?),
            None => Ok(()),
        }
    }
}
