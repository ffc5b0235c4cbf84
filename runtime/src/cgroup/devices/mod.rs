//! Rules for devices, enforced by the kernel: by a program with version 2, by two files with
//! version 1.

mod legacy;
mod program;

use std::fs::File;
use std::path::Path;

use super::{Error, Seats};
use crate::plan::{Rule, allow_all};
use crate::sys::bpf;

/// Sets these rules on a cgroup, in the place of those that were set before.
pub fn enforce(seats: &Seats, rules: &[Rule]) -> Result<(), Error> {
    let failed = |source: std::io::Error| Error::Devices {
        path: seats.path().to_owned(),
        source,
    };
    if let Some(directory) = seats.legacy("devices") {
        return legacy::write(directory, rules).map_err(failed);
    }
    match seats.unified() {
        Some(directory) => filter(directory, rules).map_err(failed),
        None => Err(Error::Controller {
            field: "linux.resources.devices".to_owned(),
            controller: "devices".to_owned(),
            path: seats.path().to_owned(),
        }),
    }
}

/// One program is exchanged at once, so that there is no moment without rules. Whoever has set
/// several (systemd sets its own beside ours) keeps those that are not in our place.
fn filter(directory: &Path, rules: &[Rule]) -> std::io::Result<()> {
    let cgroup = File::open(directory)?;
    if allow_all(rules) {
        // Nothing to decide. Only for a cgroup that is there already is there something to undo.
        for old in bpf::attached(&cgroup).unwrap_or_default() {
            bpf::detach(&cgroup, &old)?;
        }
        return Ok(());
    }
    let program = bpf::load(&program::program(rules))?;
    let attached = bpf::attached(&cgroup)?;
    match &attached[..] {
        [only] => bpf::attach(&cgroup, &program, Some(only))?,
        several => {
            bpf::attach(&cgroup, &program, None)?;
            for old in several {
                bpf::detach(&cgroup, old)?;
            }
        }
    }
    Ok(())
}
