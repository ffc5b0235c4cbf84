//! Carrying bytes between our own streams and the payload's terminal.
//!
//! Each way has a buffer with an end: what is not taken on one side is not read on the other. No
//! side is ever waited for alone, so neither a payload that does not read nor a reader that is slow
//! keeps the other way, or a signal, from going through.

use std::fs::File;
use std::io::{Stdin, Stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};

use crate::sys::terminal;

/// What a pipe that is ready to be written takes without keeping us waiting.
const PIECE: usize = 4096;

/// Both ways of one terminal.
pub struct Relay<'a> {
    master: &'a File,
    stdin: Stdin,
    stdout: Stdout,
    /// The payload's end, held so that a payload which closes all of its own can open it again.
    _peer: Option<OwnedFd>,
    input: Way,
    output: Way,
}

/// One way: what was read and not written yet.
struct Way {
    open: bool,
    held: Vec<u8>,
}

/// What can happen to a relay.
#[derive(Clone, Copy)]
enum Event {
    /// Our input has something, or has ended.
    Typed,
    /// The payload takes something.
    Takes,
    /// The payload has written something.
    Written,
    /// Whoever reads our output takes something.
    Shows,
}

impl<'a> Relay<'a> {
    /// Serves the terminal behind `master`.
    pub fn new(master: &'a File) -> nix::Result<Relay<'a>> {
        fcntl(master.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Relay {
            master,
            stdin: std::io::stdin(),
            stdout: std::io::stdout(),
            _peer: terminal::peer(master).ok(),
            input: Way::new(),
            output: Way::new(),
        })
    }

    /// What is worth waking up for. What is not asked for is left out, since a descriptor at its end
    /// would wake us again and again.
    pub fn wants(&self) -> impl Iterator<Item = PollFd<'_>> {
        let events = self.events().into_iter();
        events.map(|event| match event {
            Event::Typed => PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN),
            Event::Takes => PollFd::new(self.master.as_fd(), PollFlags::POLLOUT),
            Event::Written => PollFd::new(self.master.as_fd(), PollFlags::POLLIN),
            Event::Shows => PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT),
        })
    }

    /// Carries on after a poll of what was wanted: `happened` is in the same order.
    pub fn carry(&mut self, happened: &[bool]) {
        let events = self.events().into_iter().zip(happened);
        for (event, _) in events.filter(|(_, happened)| **happened) {
            match event {
                Event::Typed => self.input.fill(self.stdin.as_fd()),
                Event::Takes => self.input.empty(self.master),
                Event::Written => self.output.fill(self.master.as_fd()),
                Event::Shows => self.output.empty(&self.stdout),
            }
        }
    }

    /// Shows what is left once the payload has ended.
    pub fn finish(mut self) {
        while self.output.open {
            self.output.empty(&self.stdout);
            if self.output.held.is_empty() && !self.output.more(self.master.as_fd()) {
                break;
            }
        }
    }

    fn events(&self) -> Vec<Event> {
        let all = [
            (self.input.wants_more(), Event::Typed),
            (self.input.has_some(), Event::Takes),
            (self.output.wants_more(), Event::Written),
            (self.output.has_some(), Event::Shows),
        ];
        let wanted = all.into_iter().filter(|(wanted, _)| *wanted);
        wanted.map(|(_, event)| event).collect()
    }
}

impl Way {
    fn new() -> Way {
        Way {
            open: true,
            held: Vec::new(),
        }
    }

    fn wants_more(&self) -> bool {
        self.open && self.held.is_empty()
    }

    fn has_some(&self) -> bool {
        self.open && !self.held.is_empty()
    }

    /// Reads what there is; the end of it closes the way.
    fn fill(&mut self, from: BorrowedFd) {
        let mut piece = [0; PIECE];
        match nix::unistd::read(from.as_raw_fd(), &mut piece) {
            Ok(length @ 1..) => self.held.extend_from_slice(&piece[..length]),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => self.open = false,
        }
    }

    /// Whether there was something to read.
    fn more(&mut self, from: BorrowedFd) -> bool {
        self.fill(from);
        !self.held.is_empty()
    }

    /// Writes what is taken; nobody to take it closes the way.
    fn empty(&mut self, to: impl AsFd) {
        match nix::unistd::write(to, &self.held) {
            Ok(length) => drop(self.held.drain(..length)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.open = false,
        }
    }
}
