//! A container's cgroup and its first process: the cgroup is made and limited first, so that the
//! process can be born in it. Only systemd makes one around a process that is there.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::limits::{limit, restrict};
use super::{Error, Made, Seats, Unit, aside, ownership, scope};
use crate::plan::{DeviceRules, Own, Place, Scope};
use crate::sys::clone::Child;

/// A cgroup that waits for its first process.
#[derive(Debug)]
pub enum Nursery<'a> {
    /// Made and limited by us.
    Made(Made, Seats),
    /// To be made by systemd.
    Asked(&'a Scope, &'a Own),
}

/// A container's cgroup with its first process in it.
#[derive(Debug)]
pub struct Settled {
    /// What is to be removed with the container.
    pub made: Made,
    seats: Seats,
}

impl Settled {
    /// Whether all rules for devices come into force at once. With version 1 they come one by one, and
    /// nothing is allowed before the first.
    pub fn restricts_at_once(&self) -> bool {
        self.seats.legacy("devices").is_none()
    }

    /// Sets the rules for devices. That takes the kernel longer than all limits, and nothing uses a
    /// device before the payload.
    pub fn restrict(&self, rules: &DeviceRules) -> Result<(), Error> {
        restrict(&self.seats, rules)
    }
}

impl Nursery<'_> {
    /// Makes what can be made before there is a process.
    pub fn prepare(own: &Own) -> Result<Nursery<'_>, Error> {
        match &own.place {
            Place::Scope(scope) => Ok(Nursery::Asked(scope, own)),
            Place::Path(path) => {
                let made = Made {
                    path: path.clone(),
                    unit: None,
                };
                aside::step(path);
                let seats = furnish(&made, own)?;
                Ok(Nursery::Made(made, seats))
            }
        }
    }

    /// Where a process is to be born, if one can be.
    pub fn birthplace(&self) -> Option<OwnedFd> {
        match self {
            Nursery::Made(_, seats) => seats.unified().and_then(open),
            Nursery::Asked(..) => None,
        }
    }

    /// Puts the first process in, as far as it was not born there. When that fails nothing is left.
    pub fn admit(self, child: &Child) -> Result<Settled, Error> {
        let (made, seats) = match self {
            Nursery::Made(made, seats) => (made, seats),
            Nursery::Asked(scope, own) => {
                let made = Made {
                    path: scope::start(scope, own, child.pid)?,
                    unit: Some(Unit {
                        name: scope.unit.clone(),
                        of_user: scope.of_user,
                    }),
                };
                let seats = furnish(&made, own)?;
                (made, seats)
            }
        };
        match seats.put(child) {
            Ok(()) => Ok(Settled { made, seats }),
            Err(error) => Err(abandon(&made, error)),
        }
    }

    /// Removes it: there will be no process.
    pub fn close(self) {
        if let Nursery::Made(made, _) = self {
            // What cannot be removed now is removed when the name is used again.
            let _ = made.remove();
        }
    }
}

/// The directory of a cgroup of version 2 to be born in.
pub fn open(directory: &Path) -> Option<OwnedFd> {
    let mut options = File::options();
    let options = options
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY);
    options.open(directory).ok().map(OwnedFd::from)
}

fn furnish(made: &Made, own: &Own) -> Result<Seats, Error> {
    let furnished = Seats::make(&made.path).and_then(|seats| {
        limit(&seats, &own.resources)?;
        if let Some(owner) = own.owner {
            ownership::give(&made.path, owner)?;
        }
        Ok(seats)
    });
    furnished.map_err(|error| abandon(made, error))
}

/// The first failure is the one to tell.
fn abandon(made: &Made, error: Error) -> Error {
    let _ = made.remove();
    error
}
