//! Where things live on this host.

use std::path::{Path, PathBuf};

use crate::settings::Settings;

/// The directories and files that sysc reads and writes, for the system (root) instance.
#[derive(Clone, Debug)]
pub struct Places {
    /// Deployments: `NAME.0`, `NAME.1`, … and the symlink `NAME` to the current one.
    pub deployments: PathBuf,
    /// The repository that was asked for, if any; otherwise see [`Places::repositories`].
    repository: Option<PathBuf>,
    /// Units as the administrator's directory has them.
    pub units: PathBuf,
    /// Configuration of systemd-tmpfiles.
    pub tmpfiles: PathBuf,
    /// Deployments that came with the host.
    pub vendor: PathBuf,
}

/// Deployments that came with the host, where every host has them.
pub const VENDOR: &str = "/usr/lib/containers/atomic";

impl Places {
    /// The places of a root installation, as atomic had them, with what `settings` moves.
    pub fn system(settings: &Settings) -> Self {
        Self {
            deployments: settings
                .deployments
                .clone()
                .unwrap_or_else(|| PathBuf::from("/var/lib/containers/atomic")),
            repository: settings.repository.clone(),
            units: PathBuf::from("/etc/systemd/system"),
            tmpfiles: PathBuf::from("/etc/tmpfiles.d"),
            vendor: PathBuf::from(VENDOR),
        }
    }

    /// sysc's own records: lock, ledgers and, by default, the repository.
    pub fn storage(&self) -> PathBuf {
        self.deployments.join(".storage")
    }

    /// The repositories to try, best first: what was asked for and nothing else; or the host's
    /// own, so that containers share files with the host, and then one beside the deployments.
    pub fn repositories(&self) -> Vec<PathBuf> {
        if let Some(asked) = &self.repository {
            return vec![asked.clone()];
        }
        let host = Path::new("/ostree/repo");
        let own = self.storage().join("ostree");
        if host.join("config").exists() {
            vec![host.to_owned(), own]
        } else {
            vec![own]
        }
    }

    /// The unit file of the container `name`.
    pub fn unit(&self, name: &str) -> PathBuf {
        self.units.join(format!("{name}.service"))
    }

    /// The tmpfiles configuration of the container `name`.
    pub fn tmpfile(&self, name: &str) -> PathBuf {
        self.tmpfiles.join(format!("{name}.conf"))
    }
}
