//! What releases a payload that is ready.
//!
//! `run` and `create` differ in this alone. The parent of `run` is still there and says GO. The one
//! of `create` has left, and whoever calls `start` later finds two named pipes in the container's
//! state directory: it writes a byte to the first and reads the outcome from the second.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use super::{Error, failed};
use crate::ladder::ChildEnd;
use crate::sys::signals::end_on_request;

/// Who releases the payload.
#[derive(Debug)]
pub enum StartGate {
    /// The parent, over the ladder.
    Parent,
    /// Whoever calls `start`.
    Pipes {
        /// Read by us. Open for writing too, so that waiting never sees an end of file.
        start: File,
        /// Written by us when the start fails; closed by a successful exec. Open for reading too,
        /// so that writing never blocks or kills.
        outcome: File,
    },
}

impl StartGate {
    /// Opens both pipes, which exist already.
    pub fn open(start: &Path, outcome: &Path) -> std::io::Result<StartGate> {
        let open = |path| OpenOptions::new().read(true).write(true).open(path);
        Ok(StartGate::Pipes {
            start: open(start)?,
            outcome: open(outcome)?,
        })
    }

    /// Descriptors that must stay open until the start.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        match self {
            StartGate::Parent => Vec::new(),
            StartGate::Pipes { start, outcome } => vec![start.as_raw_fd(), outcome.as_raw_fd()],
        }
    }

    pub(super) fn wait(&self, ladder: &ChildEnd) -> Result<(), Error> {
        match self {
            StartGate::Parent => match ladder.await_go() {
                Ok(true) => Ok(()),
                _ => Err(Error::Orphaned),
            },
            StartGate::Pipes { start, .. } => end_on_request()
                .map_err(std::io::Error::from)
                .and_then(|()| (&mut &*start).read_exact(&mut [0]))
                .map_err(|error| failed("wait for 'start'", error)),
        }
    }

    pub(super) fn failed(&self, sentence: &str) {
        if let StartGate::Pipes { outcome, .. } = self {
            // A `start` that has gone away does not want to know.
            let _ = (&mut &*outcome).write_all(sentence.as_bytes());
        }
    }
}
