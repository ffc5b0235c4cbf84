//! Staying with a payload in the foreground.
//!
//! One `poll` watches the process by its descriptor, the signals sent to us, and the terminal. The
//! descriptor stays readable once the process has ended, so an end cannot be missed, however early.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::{Error, Terminal, step};
use crate::sys::clone::Child;
use crate::sys::process::{End, pidfd_send_signal, wait};

/// Hands signals and terminal through until the payload ends.
pub fn supervise(child: &Child, terminal: Option<&Terminal>) -> Result<End, Error> {
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&SigSet::all(), flags)
        .map_err(|errno| step("watch for signals", errno))?;
    let _raw = terminal.and_then(|_| RawMode::enter());
    let mut relay = terminal.map(Relay::new);
    loop {
        let mut watched = vec![
            PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(relay) = &relay {
            relay.watch(&mut watched);
        }
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other.map_err(|errno| step("wait for the payload", errno))?,
        };
        let ready = |index: usize| {
            watched
                .get(index)
                .is_some_and(|fd: &PollFd| fd.any().unwrap_or(false))
        };
        let (ended, output, input) = (ready(0), ready(2), ready(3));
        forward(&signals, child, relay.as_ref());
        if let Some(relay) = &mut relay {
            relay.carry(output, input);
        }
        if ended {
            if let Some(relay) = &mut relay {
                relay.drain();
            }
            return wait(&child.pidfd).map_err(|errno| step("wait for the payload", errno));
        }
    }
}

/// All signals are the payload's, but for the two that are about ourselves.
fn forward(signals: &SignalFd, child: &Child, relay: Option<&Relay>) {
    while let Ok(Some(signal)) = signals.read_signal() {
        let number = signal.ssi_signo as libc::c_int;
        if number == Signal::SIGWINCH as libc::c_int && relay.is_some() {
            relay.into_iter().for_each(|relay| relay.terminal.fit());
        } else if number != Signal::SIGCHLD as libc::c_int {
            // A payload that has just ended needs no signal any more.
            let _ = pidfd_send_signal(&child.pidfd, number);
        }
    }
}

/// Carries bytes between our own streams and the payload's terminal.
struct Relay<'a> {
    terminal: &'a Terminal,
    master: &'a File,
    stdin: std::io::Stdin,
    input_open: bool,
    output_open: bool,
}

impl<'a> Relay<'a> {
    fn new(terminal: &'a Terminal) -> Relay<'a> {
        Relay {
            terminal,
            master: &terminal.0,
            stdin: std::io::stdin(),
            input_open: true,
            output_open: true,
        }
    }

    fn watch<'b>(&'b self, watched: &mut Vec<PollFd<'b>>) {
        let flags = |open| {
            if open {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            }
        };
        // A descriptor at its end would wake us again and again, even when nothing is asked of it.
        if self.output_open {
            watched.push(PollFd::new(self.master.as_fd(), flags(true)));
            if self.input_open {
                watched.push(PollFd::new(self.stdin.as_fd(), flags(true)));
            }
        }
    }

    fn carry(&mut self, output: bool, input: bool) {
        if output {
            self.output_open = self.show();
        }
        if input {
            let mut buffer = [0; 4096];
            let read = nix::unistd::read(0, &mut buffer).unwrap_or(0);
            self.input_open = read > 0 && (&mut &*self.master).write_all(&buffer[..read]).is_ok();
        }
    }

    /// Shows what the payload has written; `false` at the end.
    fn show(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match (&mut &*self.master).read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                let mut stdout = std::io::stdout();
                stdout
                    .write_all(&buffer[..length])
                    .and_then(|()| stdout.flush())
                    .is_ok()
            }
            Err(error) => error.kind() == ErrorKind::Interrupted,
        }
    }

    /// What is left once the payload has ended.
    fn drain(&mut self) {
        let ready = |master: &File| {
            let mut watched = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
            poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0)
        };
        while self.output_open && ready(self.master) {
            self.output_open = self.show();
        }
    }
}

/// Our own terminal passes all input through, and output but for the ends of lines, which the
/// payload's leaves to it. It is as before when this is dropped.
struct RawMode(Termios);

impl RawMode {
    fn enter() -> Option<RawMode> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        raw.output_flags |= OutputFlags::OPOST;
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(RawMode(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
