//! The ledger: what was written on the host for a container, `.storage/ledger/NAME.json`.
//!
//! It is written before the first change, with all that is going to be written and all that the
//! former generation wrote, so that after a crash nothing of ours is taken for somebody else's;
//! and once more, marked complete, after the last change and after what it did is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::durable;

const FORMAT: u32 = 1;

/// The record of one container's traces on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ledger {
    /// Version of this format.
    pub format: u32,
    /// The container.
    pub name: String,
    /// The generation that was projected.
    pub serial: u64,
    /// Whose /etc it was made on: after a change of the host (an upgrade, a way back) /etc may be
    /// another one, and what differs in it is nobody's decision.
    #[serde(default)]
    pub host: String,
    /// Every change was made.
    pub complete: bool,
    /// The unit, if there is one (`NAME.service`).
    pub unit: Option<String>,
    /// The unit's `[Install]` section, line by line: what enabling it depends on.
    #[serde(default)]
    pub install: Vec<String>,
    /// Whether the unit is to be enabled: at first, and then as the administrator has it.
    #[serde(default)]
    pub enabled: bool,
    /// Those of the files that are of no use without the container: unit and tmpfiles lines.
    #[serde(default)]
    pub own: BTreeSet<PathBuf>,
    /// Files, and the SHA-256 (hexadecimal) of the content that they were given; of a link, that
    /// of its target's text. A directory has none.
    pub files: BTreeMap<PathBuf, Option<String>>,
    /// While a projection is under way: what earlier ones wrote, and what it had as content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Directories that were made for these files and by tmpfiles lines of ours.
    pub directories: BTreeSet<PathBuf>,
    /// What a later version added.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Ledger {
    /// An empty ledger of generation `serial` of `name`.
    pub fn new(name: &str, serial: u64) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            serial,
            host: String::new(),
            complete: false,
            unit: None,
            install: Vec::new(),
            enabled: false,
            own: BTreeSet::new(),
            files: BTreeMap::new(),
            former: BTreeMap::new(),
            directories: BTreeSet::new(),
            other: serde_json::Map::new(),
        }
    }

    /// What was ever written to `path`; `None` where that path is not ours.
    pub fn written(&self, path: &Path) -> Option<BTreeSet<&str>> {
        let now = self.files.get(path);
        let former = self.former.get(path);
        (now.is_some() || former.is_some()).then(|| {
            let former = former.into_iter().flatten().map(String::as_str);
            now.into_iter()
                .flatten()
                .map(String::as_str)
                .chain(former)
                .collect()
        })
    }

    /// Every path that is ours.
    pub fn paths(&self) -> BTreeSet<&Path> {
        let paths = self.files.keys().chain(self.former.keys());
        paths.map(PathBuf::as_path).collect()
    }

    /// The ledger of `name`. `None`: nothing was ever written for it, or all of it was removed.
    pub fn read(storage: &Path, name: &str) -> Result<Option<Self>, Error> {
        let path = file(storage, name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("read", &path, source)),
        };
        let ledger: Self = serde_json::from_slice(&text).map_err(|source| Error::Ledger {
            path: path.clone(),
            source,
        })?;
        if ledger.format > FORMAT {
            return Err(Error::NewerLedger {
                path,
                format: ledger.format,
            });
        }
        Ok(Some(ledger))
    }

    /// Writes it, durably.
    pub fn write(&self, storage: &Path) -> Result<(), Error> {
        let path = file(storage, &self.name);
        let failed = |source| Error::io("write", &path, source);
        if let Some(parent) = path.parent() {
            durable::make_dir(parent, 0o700).map_err(failed)?;
        }
        let text = serde_json::to_vec_pretty(self).map_err(|source| Error::Ledger {
            path: path.clone(),
            source,
        })?;
        durable::replace(&path, &text, 0o600).map_err(failed)
    }

    /// Forgets the ledger of `name`.
    pub fn remove(storage: &Path, name: &str) -> Result<(), Error> {
        let path = file(storage, name);
        durable::remove(&path)
            .map(drop)
            .map_err(|source| Error::io("remove", &path, source))
    }

    /// The containers that have a ledger.
    pub fn names(storage: &Path) -> Result<BTreeSet<String>, Error> {
        let dir = storage.join("ledger");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeSet::new());
            }
            Err(source) => return Err(Error::io("read", &dir, source)),
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(|source| Error::io("read", &dir, source))?;
            if let Some(name) = entry
                .file_name()
                .to_str()
                .and_then(|file| file.strip_suffix(".json"))
            {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    }
}

fn file(storage: &Path, name: &str) -> PathBuf {
    storage.join("ledger").join(format!("{name}.json"))
}
