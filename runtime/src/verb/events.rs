//! `events`: what a container uses, once or again and again.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Tools;
use crate::cgroup;
use crate::cli::EventsArgs;
use crate::record::{Id, State, Status};
use crate::report;
use crate::sys::process::pidfd_open;

/// How long a kill for want of memory may go unnoticed.
const GLANCE: Duration = Duration::from_secs(1);

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
    let mut kills = cgroup::oom_kills(&state.home());
    let mut next = Instant::now() + args.interval;
    loop {
        let left = next.saturating_duration_since(Instant::now()).min(GLANCE);
        if ends_within(&init, left)? {
            return Ok(0);
        }
        let now = cgroup::oom_kills(&state.home());
        let mut told = Ok(());
        if now > kills {
            told = report::tell(&json!({"type": "oom", "id": state.id}).to_string());
        }
        kills = now;
        if Instant::now() >= next {
            told = told.and_then(|()| report::tell(&stats(&state).to_string()));
            next += args.interval;
        }
        if told.is_err() {
            // Nobody reads any more.
            return Ok(0);
        }
    }
}

fn stats(state: &State) -> Value {
    json!({"type": "stats", "id": state.id, "data": cgroup::figures(&state.home())})
}

fn ends_within(init: &OwnedFd, limit: Duration) -> Result<bool> {
    // At least one, or a limit of less would not wait at all.
    let limit = limit.as_millis().clamp(1, 60_000) as u16;
    let mut watched = [PollFd::new(init.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, PollTimeout::from(limit)) {
        Err(Errno::EINTR) => Ok(false),
        other => Ok(other? > 0),
    }
}
