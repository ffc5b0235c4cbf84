//! `events`: what a container uses, once or again and again.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Tools;
use crate::cgroup::{self, OomWatch};
use crate::cli::EventsArgs;
use crate::record::{Id, State, Status};
use crate::report;
use crate::sys::process::pidfd_open;

/// One line of JSON per event, until the container or the reader is gone.
pub fn events(tools: &Tools, args: &EventsArgs) -> Result<u8> {
    let (state, status) = tools.registry.look(&Id::parse(&args.id)?)?;
    if status == Status::Stopped {
        bail!("container '{}' is not running", args.id);
    }
    if args.stats {
        report::answer(&stats(&state).to_string());
        return Ok(0);
    }
    let init = pidfd_open(Pid::from_raw(state.init.pid))
        .with_context(|| format!("container '{}' is not running", args.id))?;
    let mut kills = OomWatch::new(&state.home());
    let mut next = Instant::now() + args.interval;
    loop {
        let told = match wait(&init, kills.as_ref(), next)? {
            Event::Ended => return Ok(0),
            Event::Memory if kills.as_mut().is_some_and(OomWatch::was_kill) => {
                report::tell(&json!({"type": "oom", "id": state.id}).to_string())
            }
            Event::Memory => Ok(()),
            Event::Time => {
                next += args.interval;
                report::tell(&stats(&state).to_string())
            }
        };
        if told.is_err() {
            // Nobody reads any more.
            return Ok(0);
        }
    }
}

/// What there is to react to.
enum Event {
    /// The first process is gone.
    Ended,
    /// Something about memory.
    Memory,
    /// The next figures are due.
    Time,
}

/// A kill is told even when the container ends of it.
fn wait(init: &OwnedFd, kills: Option<&OomWatch>, next: Instant) -> Result<Event> {
    loop {
        let left = next.saturating_duration_since(Instant::now()).as_millis();
        if left == 0 {
            return Ok(Event::Time);
        }
        let mut watched = vec![PollFd::new(init.as_fd(), PollFlags::POLLIN)];
        watched.extend(kills.map(|kills| PollFd::new(kills.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, PollTimeout::from(left.min(60_000) as u16)) {
            Err(Errno::EINTR) | Ok(0) => continue,
            other => other?,
        };
        let is_ready = |watched: &PollFd| watched.any() == Some(true);
        return Ok(match watched.get(1).is_some_and(is_ready) {
            true => Event::Memory,
            false => Event::Ended,
        });
    }
}

fn stats(state: &State) -> Value {
    json!({"type": "stats", "id": state.id, "data": cgroup::figures(&state.home())})
}
