//! What can go wrong with deployments.

use std::io;
use std::path::{Path, PathBuf};

/// A deployment that could not be read, built, switched to or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} '{path}'")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An `info` record is not what it should be.
    #[error(
        "the record '{path}' cannot be understood\n\
         help: only this container is held up by it; 'sysc uninstall' removes it"
    )]
    Info {
        /// The record.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: serde_json::Error,
    },
    /// A journal is not what it should be.
    #[error("the journal '{path}' cannot be understood")]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: serde_json::Error,
    },
    /// A step that does not lead on from where a container stands.
    #[error("a container that is {from:?} cannot {step:?}")]
    WrongMove {
        /// Where it stands.
        from: super::State,
        /// The step.
        step: super::Move,
    },
    /// A deployment that is to be removed still has processes.
    #[error("'{path}' is still used by process {pid}; it is removed after that has ended")]
    InUse {
        /// The deployment.
        path: PathBuf,
        /// The process.
        pid: u32,
    },
    /// An `info` record of a later sysc.
    #[error(
        "the record '{path}' has format {format}, which a later version of sysc wrote\n\
         help: install a sysc that is at least as new as the one that made this deployment"
    )]
    NewerFormat {
        /// The record.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The path of a container's link is taken by a deployment of another container.
    #[error(
        "'{name}' cannot be a container's name here: '{path}' is a deployment of the container \
         '{owner}'\nhelp: choose another name with --name, for example '{name}-1'"
    )]
    NameTaken {
        /// The name that was asked for.
        name: String,
        /// The path that its link would have.
        path: PathBuf,
        /// The container that has it.
        owner: String,
    },
    /// Something that is not ours is where a link or deployment has to be.
    #[error("'{path}' is in the way: {what}\nhelp: move it away, or choose another --name")]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file system is mounted below a directory that is to be removed.
    #[error(
        "'{path}' cannot be removed: '{mount}' is mounted in it\n\
         help: unmount it, then call the same command again"
    )]
    Mounted {
        /// The deployment.
        path: PathBuf,
        /// The mount point below it.
        mount: PathBuf,
    },
    /// A record names a container as none can be called.
    #[error(transparent)]
    Name(#[from] super::InvalidName),
    /// The tree could not be taken out of the repository.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Error {
    /// A failed file operation.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
