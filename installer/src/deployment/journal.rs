//! What cannot be seen on disk of a container's life: `.journal/NAME.json`.
//!
//! Which generations were current and why, which one is staged, whether updates are held off, and
//! the one intent that is under way. It is replaced whole, durably, so an intent begins and ends
//! with one rename. Everybody may read it: it holds no values.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ContainerName, Error, Info};
use crate::durable;

const FORMAT: u32 = 1;
/// Older events are forgotten.
const EVENTS: usize = 100;

/// The record of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Journal {
    /// Version of this format.
    pub format: u32,
    /// The container.
    pub name: String,
    /// Updates are held off.
    #[serde(default)]
    pub hold: bool,
    /// The generation that the next switch makes current.
    #[serde(default)]
    pub staged: Option<u64>,
    /// What is under way.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// Each time that another generation became current, oldest first.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What a later version added.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// A change of the current generation that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The generation that was current; `None` at an installation.
    pub from: Option<u64>,
    /// The one that shall be.
    pub to: u64,
    /// Why.
    pub why: Why,
    /// What went wrong, where that is why.
    #[serde(default)]
    pub reason: Option<String>,
    /// The service ran, and shall run again.
    pub restart: bool,
    /// The boot in which it ran: after another one systemd has started it by itself.
    pub boot: String,
}

/// Why a generation became current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// `sysc install`
    Install,
    /// `sysc update`
    Update,
    /// `sysc switch`, or the boot after an update was staged.
    Switch,
    /// `sysc rollback`
    Rollback,
    /// The generation before it did not do.
    Rejected,
}

impl Why {
    /// A generation that became current for this reason and does not do is taken back. Going
    /// back is not: sysc tries that once.
    pub fn can_be_taken_back(self) -> bool {
        matches!(self, Self::Update | Self::Switch)
    }
}

/// A generation became current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// When, in seconds since 1970.
    pub when: u64,
    /// Why.
    pub why: Why,
    /// What was wrong with the generation before, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The generation.
    #[serde(flatten)]
    pub generation: Brief,
}

/// What everybody may know of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Brief {
    /// The container.
    pub name: String,
    /// Its number.
    pub serial: u64,
    /// Its directory.
    pub deployment: PathBuf,
    /// The image's name.
    pub image: String,
    /// Where the image came from.
    pub source: String,
    /// The image's id.
    pub revision: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// There is a service.
    pub has_container_service: bool,
    /// The runtime.
    pub runtime: String,
    /// What it runs.
    pub command: Vec<String>,
}

impl Brief {
    /// Of the deployment in `dir`.
    pub fn of(info: &Info, dir: &Path) -> Self {
        Self {
            name: info.name.clone(),
            serial: info.serial,
            deployment: dir.to_owned(),
            image: info.image.clone(),
            source: info.source.clone(),
            revision: info.revision.clone(),
            created: info.created,
            has_container_service: info.has_container_service,
            runtime: info.runtime.clone(),
            command: info.command.clone(),
        }
    }
}

impl Journal {
    /// An empty journal of `name`.
    pub fn new(name: &ContainerName) -> Self {
        Self {
            format: FORMAT,
            name: name.to_string(),
            hold: false,
            staged: None,
            intent: None,
            events: Vec::new(),
            other: serde_json::Map::new(),
        }
    }

    /// The journal of `name`, if it has one.
    pub fn read(storage: &Path, name: &ContainerName) -> Result<Option<Self>, Error> {
        let path = file(storage, name.as_str());
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("read", &path, source)),
        };
        let journal: Self = serde_json::from_slice(&text).map_err(|source| Error::Journal {
            path: path.clone(),
            source,
        })?;
        if journal.format > FORMAT {
            return Err(Error::NewerFormat {
                path,
                format: journal.format,
            });
        }
        Ok(Some(journal))
    }

    /// The journal of `name`, which may be empty.
    pub fn open(storage: &Path, name: &ContainerName) -> Result<Self, Error> {
        Ok(Self::read(storage, name)?.unwrap_or_else(|| Self::new(name)))
    }

    /// Writes it, durably.
    pub fn write(&self, storage: &Path) -> Result<(), Error> {
        let path = file(storage, &self.name);
        let failed = |source| Error::io("write", &path, source);
        let text = serde_json::to_vec_pretty(self).map_err(|source| Error::Journal {
            path: path.clone(),
            source,
        })?;
        if let Some(parent) = path.parent() {
            durable::make_dir(parent, 0o755).map_err(failed)?;
        }
        durable::replace(&path, &text, 0o644).map_err(failed)
    }

    /// Forgets the container `name`.
    pub fn remove(storage: &Path, name: &ContainerName) -> Result<(), Error> {
        let path = file(storage, name.as_str());
        durable::remove(&path).map_err(|source| Error::io("remove", &path, source))?;
        // Fails, as it should, where others are in it.
        let _ = std::fs::remove_dir(folder(storage));
        Ok(())
    }

    /// The containers that have a journal.
    pub fn names(storage: &Path) -> Result<BTreeSet<String>, Error> {
        let dir = folder(storage);
        match std::fs::read_dir(&dir) {
            Ok(entries) => Ok(entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
                .collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(source) => Err(Error::io("read", &dir, source)),
        }
    }

    /// Ends the intent: `generation` is current.
    pub fn settle(&mut self, generation: Brief, now: u64) {
        let Some(intent) = self.intent.take() else {
            return;
        };
        if self.staged == Some(intent.to) {
            self.staged = None;
        }
        self.events.push(Event {
            when: now,
            why: intent.why,
            reason: intent.reason,
            generation,
        });
        let surplus = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..surplus);
    }

    /// Serials by how recently each was current, the latest first.
    pub fn by_recency(&self) -> Vec<u64> {
        let mut seen = BTreeSet::new();
        let latest = self.events.iter().rev();
        latest
            .map(|event| event.generation.serial)
            .filter(|serial| seen.insert(*serial))
            .collect()
    }

    /// Generations that were taken back, and what was wrong with them.
    pub fn rejected(&self) -> Vec<(&Event, &str)> {
        let pairs = self.events.iter().zip(self.events.iter().skip(1));
        pairs
            .filter(|(_, next)| next.why == Why::Rejected)
            .map(|(event, next)| (event, next.reason.as_deref().unwrap_or_default()))
            .collect()
    }

    /// The generation to go back to from `current`: the last one before it that did, of those in
    /// `existing`.
    pub fn before(&self, current: u64, existing: &BTreeSet<u64>) -> Option<u64> {
        let rejected: BTreeSet<u64> = self
            .rejected()
            .iter()
            .map(|(event, _)| event.generation.serial)
            .collect();
        self.by_recency().into_iter().find(|serial| {
            *serial != current && existing.contains(serial) && !rejected.contains(serial)
        })
    }
}

/// Beside `storage`, which is root's alone.
fn folder(storage: &Path) -> PathBuf {
    storage.with_file_name(".journal")
}

fn file(storage: &Path, name: &str) -> PathBuf {
    folder(storage).join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(serial: u64) -> Brief {
        Brief {
            name: "web".into(),
            serial,
            deployment: format!("/a/web.{serial}").into(),
            image: "i".into(),
            source: "s".into(),
            revision: format!("r{serial}"),
            created: 0,
            has_container_service: true,
            runtime: "/r".into(),
            command: Vec::new(),
        }
    }

    fn after(moves: &[(Why, u64)]) -> Journal {
        let mut journal = Journal::new(&ContainerName::parse("web").unwrap());
        let mut from = None;
        for (why, to) in moves {
            journal.intent = Some(Intent {
                from,
                to: *to,
                why: *why,
                reason: (*why == Why::Rejected).then(|| "it failed".into()),
                restart: false,
                boot: String::new(),
            });
            journal.settle(brief(*to), 0);
            from = Some(*to);
        }
        journal
    }

    #[test]
    fn going_back_twice_returns() {
        let existing = BTreeSet::from([1, 2, 3]);
        let mut moves = vec![(Why::Install, 1), (Why::Update, 2), (Why::Update, 3)];
        assert_eq!(after(&moves).before(3, &existing), Some(2));
        moves.push((Why::Rollback, 2));
        assert_eq!(after(&moves).before(2, &existing), Some(3));
        assert_eq!(after(&moves).by_recency(), [2, 3, 1]);
        assert_eq!(after(&moves[..1]).before(1, &existing), None);
    }

    #[test]
    fn nobody_goes_back_to_what_was_rejected() {
        let moves = [
            (Why::Install, 1),
            (Why::Update, 2),
            (Why::Update, 3),
            (Why::Rejected, 2),
        ];
        let journal = after(&moves);
        assert_eq!(journal.rejected()[0].0.generation.serial, 3);
        assert_eq!(journal.before(2, &BTreeSet::from([1, 2, 3])), Some(1));
        assert_eq!(journal.before(2, &BTreeSet::from([2, 3])), None);
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let storage = dir.path().join(".storage");
        let journal = after(&[(Why::Install, 1)]);
        journal.write(&storage).unwrap();
        let name = ContainerName::parse("web").unwrap();
        assert_eq!(Journal::read(&storage, &name).unwrap(), Some(journal));
        Journal::remove(&storage, &name).unwrap();
        assert_eq!(Journal::read(&storage, &name).unwrap(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
