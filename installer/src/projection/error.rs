//! What can go wrong between the deployments and the host.

use std::path::{Path, PathBuf};

/// A projection that could not be made. It is made again by the next command.
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
        source: std::io::Error,
    },
    /// A ledger is not what it should be.
    #[error("the ledger '{path}' cannot be understood")]
    Ledger {
        /// The ledger.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: serde_json::Error,
    },
    /// A ledger of a later sysc.
    #[error(
        "the ledger '{path}' has format {format}, which a later version of sysc wrote\n\
         help: install a sysc that is at least as new"
    )]
    NewerLedger {
        /// The ledger.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The running system refused.
    #[error("cannot {change}")]
    Host {
        /// The change that was attempted.
        change: String,
        /// The refusal.
        #[source]
        source: crate::host::Error,
    },
    /// There is no former generation.
    #[error("there is no former generation of '{name}' to go back to")]
    NothingBefore {
        /// The container.
        name: String,
    },
    /// More than one change failed; the others were made.
    #[error("{}", list(.0))]
    Several(Vec<Error>),
    /// A deployment could not be read or removed.
    #[error(transparent)]
    Deployment(#[from] crate::deployment::Error),
    /// A ref could not be dropped.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// One error for what failed, if anything did.
    pub(super) fn all(mut failures: Vec<Self>) -> Result<(), Self> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Self::Several(failures)),
        }
    }
}

fn list(errors: &[Error]) -> String {
    let with_cause = |error: &Error| {
        let causes =
            std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    };
    errors.iter().map(with_cause).collect::<Vec<_>>().join("\n")
}
