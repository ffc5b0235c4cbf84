//! Descriptors that we were given and the payload shall have.

use anyhow::{Result, bail};

use crate::cli::Verb;
use crate::inside::Passed;
use crate::sys;

/// What of our descriptors is the payload's: sockets that systemd listens on, then those that
/// `--preserve-fds` counts. One that is promised but closed is an error, since its number would
/// soon be one of ours.
pub fn inherited(verb: &Verb) -> Result<Passed> {
    let Some(preserved) = verb.preserved_descriptors() else {
        return Ok(Passed::default());
    };
    let variable = |name| std::env::var(name).ok();
    let for_us =
        variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let sockets = match variable("LISTEN_FDS").and_then(|count| count.parse().ok()) {
        Some(count) if for_us && count > 0 => Some((count, variable("LISTEN_FDNAMES"))),
        _ => None,
    };
    let count = preserved + sockets.as_ref().map_or(0, |(count, _)| *count);
    if let Some(closed) = sys::descriptors::first_closed(3, count) {
        bail!("descriptor {closed} is to be passed on, but it is not open");
    }
    Ok(Passed {
        count,
        sockets,
        watchdog: None,
    })
}
