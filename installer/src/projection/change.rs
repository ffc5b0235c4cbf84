//! The changes that a projection is made of.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Ledger;

/// One effect on the host. Each can be made again without harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes the ledger: before the first change, and complete after the last.
    Record(Box<Ledger>),
    /// Copies a file out of the deployment, in one step.
    Write {
        /// Where it goes.
        path: PathBuf,
        /// The file in the deployment.
        from: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Makes a symbolic link.
    Link {
        /// Where it goes.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// Makes a directory, and those above it.
    MakeDir(PathBuf),
    /// Removes a file or link that we wrote.
    Remove(PathBuf),
    /// Leaves a file that somebody changed since we wrote it.
    Keep(PathBuf),
    /// Leaves a file that was there before us.
    Leave(PathBuf),
    /// Keeps a changed file of ours under another name, where nobody reads it.
    SetAside(PathBuf),
    /// Makes durable what was done on the file systems of these paths.
    Sync(BTreeSet<PathBuf>),
    /// Lets systemd read its unit files again.
    Reload,
    /// Lets systemd-tmpfiles create what this configuration file asks for.
    CreateTmpfiles(PathBuf),
    /// Enables a unit.
    Enable(String),
    /// Enables a unit anew, since its `[Install]` section has changed.
    Reenable(String),
    /// Stops a unit and waits for its end.
    Stop(String),
    /// Removes the links that enable a unit.
    Disable(String),
    /// Forgets that a unit has failed.
    ResetFailed(String),
    /// Removes a directory that we made, if nothing is in it.
    RemoveDirIfEmpty(PathBuf),
    /// Forgets the ledger: nothing of the container is left on the host.
    Forget(String),
}

impl Change {
    /// What the user should hear of: what was found to be somebody else's.
    pub fn is_noteworthy(&self) -> bool {
        matches!(self, Self::Keep(_) | Self::Leave(_) | Self::SetAside(_))
    }
}

/// The name under which a changed file is kept.
pub(super) fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.sysc-saved"))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(ledger) => write!(f, "record what is written for '{}'", ledger.name),
            Self::Write { path, .. } => write!(f, "write '{}'", path.display()),
            Self::Link { path, target } => {
                write!(f, "link '{}' to '{}'", path.display(), target.display())
            }
            Self::MakeDir(path) => write!(f, "create the directory '{}'", path.display()),
            Self::Remove(path) => write!(f, "remove '{}'", path.display()),
            Self::Keep(path) => {
                write!(
                    f,
                    "keep '{}', which was changed on this host",
                    path.display()
                )
            }
            Self::Leave(path) => write!(
                f,
                "'{}' exists already and is left as it is",
                path.display()
            ),
            Self::SetAside(path) => write!(
                f,
                "'{}' was changed on this host; the change is kept as '{}'",
                path.display(),
                aside(path).display()
            ),
            Self::Sync(_) => f.write_str("make all of it durable"),
            Self::Reload => f.write_str("reload systemd"),
            Self::CreateTmpfiles(path) => {
                write!(f, "create the temporary files of '{}'", path.display())
            }
            Self::Enable(unit) => write!(f, "enable '{unit}'"),
            Self::Reenable(unit) => write!(f, "enable '{unit}' anew"),
            Self::Stop(unit) => write!(f, "stop '{unit}'"),
            Self::Disable(unit) => write!(f, "disable '{unit}'"),
            Self::ResetFailed(unit) => write!(f, "reset '{unit}'"),
            Self::RemoveDirIfEmpty(path) => {
                write!(
                    f,
                    "remove the directory '{}' if it is empty",
                    path.display()
                )
            }
            Self::Forget(name) => write!(f, "forget '{name}'"),
        }
    }
}
