//! Staying with a payload in the foreground.
//!
//! One `poll` watches the process by its descriptor, the signals sent to us, and the terminal. The
//! descriptor stays readable once the process has ended, so an end cannot be missed, however early.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::raw_mode::RawMode;
use super::relay::Relay;
use super::{Error, Terminal, step};
use crate::sys::clone::Child;
use crate::sys::process::{End, pidfd_send_signal, wait};

/// Hands signals and terminal through until the payload ends.
pub fn supervise(child: &Child, terminal: Option<&Terminal>) -> Result<End, Error> {
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&SigSet::all(), flags)
        .map_err(|errno| step("watch for signals", errno))?;
    let mut relay = match terminal {
        Some(terminal) => {
            Some(Relay::new(&terminal.0).map_err(|errno| step("serve the terminal", errno))?)
        }
        None => None,
    };
    let _raw = terminal.and_then(|_| RawMode::enter());
    while !turn(child, &signals, &mut relay)? {
        forward(&signals, child, terminal);
    }
    if let Some(relay) = relay {
        relay.finish();
    }
    wait(&child.pidfd).map_err(|errno| step("wait for the payload", errno))
}

/// Waits for whatever happens next and hands it on; `true` when it was the payload's end.
fn turn(child: &Child, signals: &SignalFd, relay: &mut Option<Relay>) -> Result<bool, Error> {
    let (ended, carried) = {
        let mut watched = vec![
            PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        let ours = watched.len();
        watched.extend(relay.iter().flat_map(Relay::wants));
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(false),
            other => other.map_err(|errno| step("wait for the payload", errno))?,
        };
        let carried: Vec<bool> = watched[ours..].iter().map(happened).collect();
        (happened(&watched[0]), carried)
    };
    if let Some(relay) = relay {
        relay.carry(&carried);
    }
    Ok(ended)
}

fn happened(fd: &PollFd) -> bool {
    fd.any().unwrap_or(false)
}

/// All signals are the payload's, but for the two that are about ourselves.
fn forward(signals: &SignalFd, child: &Child, terminal: Option<&Terminal>) {
    while let Ok(Some(signal)) = signals.read_signal() {
        let number = signal.ssi_signo as libc::c_int;
        if let Some(terminal) = terminal.filter(|_| number == Signal::SIGWINCH as libc::c_int) {
            terminal.fit();
        } else if number != Signal::SIGCHLD as libc::c_int {
            // A payload that has just ended needs no signal any more.
            let _ = pidfd_send_signal(&child.pidfd, number);
        }
    }
}
