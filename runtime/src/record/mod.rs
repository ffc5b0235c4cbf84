//! What outlives a call: one directory per container.
//!
//! ```text
//! ROOT/               1700, --root, by default /run/sysc-runtime or $XDG_RUNTIME_DIR/sysc-runtime
//!                     stays when it is empty: a unit that starts may have it mounted
//!   ID/               made by the one that creates the container; its lock is held meanwhile
//!     cgroup          path of the one that is about to be made; what counts is state.json's
//!     state.json      written once, complete when it appears
//!     notify          socket for what the program says to systemd
//!     config.json     what it was made from, as it was then
//!     start           named pipe; while it is there the container waits to be started
//!     outcome         named pipe; says how the start went
//! ```
//!
//! Only what cannot be observed is stored. That a container runs is seen from its process, that it
//! waits from the pipe, that it is paused from the freezer: so no crash can leave a status that is wrong.

mod alive;
mod file;
mod id;
mod lock;
mod members;
mod root;

use std::path::PathBuf;

pub use alive::ProcessId;
pub use file::{HookState, OCI_VERSION, State};
pub use id::Id;
pub use lock::{Claim, Registry, write_whole};
pub use members::members;
pub use root::{default_root, make_root};

/// Why a record cannot be read, made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name breaks the rules.
    #[error(
        "invalid container id '{id}': {reason}\nhelp: use letters, digits and '_', '+', '-', '.', \
         not beginning with '.', at most 255 of them"
    )]
    Name {
        /// As given.
        id: String,
        /// Which rule.
        reason: &'static str,
    },
    /// There is no such container.
    #[error("container '{id}' does not exist")]
    Missing {
        /// As given.
        id: String,
    },
    /// The name is in use.
    #[error("container with id '{id}' exists already and is {status}")]
    Exists {
        /// As given.
        id: String,
        /// What it does.
        status: Status,
    },
    /// A file or directory of the record.
    #[error("cannot {what} '{path}'")]
    File {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// What a start that was cut short has left.
    #[error("cannot end what an earlier start of container '{id}' has left")]
    Leftovers {
        /// Its name.
        id: String,
        /// Why.
        #[source]
        source: Box<crate::cgroup::Error>,
    },
    /// A state file that is not one.
    #[error("'{path}' is not a state file")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What a container does, as far as it can be seen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Set up; waits for `start`.
    Created,
    /// The payload runs.
    Running,
    /// It runs, but its processes are held.
    Paused,
    /// Its first process is gone.
    Stopped,
}

impl Status {
    /// The word that the specification has for it.
    pub fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.word())
    }
}

fn failed(what: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Error {
    Error::File {
        what,
        path: path.into(),
        source,
    }
}
