//! Performing: the changes, one after the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::change::aside;
use super::plan::Found;
use super::want::link_sha256;
use super::{Change, Error, Ledger};
use crate::durable;
use crate::host::{self, Systemd};
use crate::image::Digest;

/// The hands that changes are made with.
pub(super) struct Hands<'a> {
    pub systemd: &'a Systemd,
    pub storage: &'a Path,
    /// Where units are, and the links that enable them.
    pub units: &'a Path,
}

impl Hands<'_> {
    /// Makes `changes` in their order. Removing goes on after a failure, and all failures are
    /// returned; anything else that fails ends it, and so do failures before the ledger is
    /// closed: it stays open, and the next projection goes on from it.
    pub fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        let mut failures = Vec::new();
        for change in changes {
            let closes = match change {
                Change::Record(ledger) => ledger.complete,
                change => matches!(change, Change::Forget(_)),
            };
            if closes && !failures.is_empty() {
                break;
            }
            match (self.make(change), change) {
                (Ok(()), _) => {}
                (Err(error), Change::Remove(_) | Change::RemoveDirIfEmpty(_)) => {
                    failures.push(error);
                }
                (Err(error), _) => {
                    failures.push(error);
                    break;
                }
            }
        }
        Error::all(failures)
    }

    fn make(&self, change: &Change) -> Result<(), Error> {
        let host = |done: Result<(), host::Error>| {
            done.map_err(|source| Error::Host {
                change: change.to_string(),
                source,
            })
        };
        match change {
            Change::Record(ledger) => ledger.write(self.storage),
            Change::Write { path, from, mode } => write(path, from, *mode),
            Change::Link { path, target } => durable::replace_link(path, target)
                .map_err(|source| Error::io("write the link", path, source)),
            Change::MakeDir(path) => make_dir(path),
            Change::Remove(path) => durable::remove(path)
                .map(drop)
                .map_err(|source| Error::io("remove", path, source)),
            Change::Keep(_) | Change::Leave(_) => Ok(()),
            Change::SetAside(path) => set_aside(path),
            Change::Sync(paths) => sync(paths),
            Change::Reload => host(self.systemd.reload()),
            Change::CreateTmpfiles(path) => host(host::create_tmpfiles(path)),
            Change::Enable(unit) => host(self.systemd.enable(unit)),
            Change::Reenable(unit) => host(
                self.systemd
                    .disable(unit)
                    .and_then(|()| self.systemd.enable(unit)),
            ),
            Change::Stop(unit) => host(self.stop(unit)),
            Change::Disable(unit) => self.disable(unit),
            Change::ResetFailed(unit) => {
                self.systemd.reset_failed(unit);
                Ok(())
            }
            Change::RemoveDirIfEmpty(path) => remove_dir_if_empty(path),
            Change::Forget(name) => Ledger::remove(self.storage, name),
        }
    }

    /// systemd does not disable a unit that it does not find any more; its links are removed all
    /// the same.
    fn disable(&self, unit: &str) -> Result<(), Error> {
        if self.units.join(unit).exists() {
            return self.systemd.disable(unit).map_err(|source| Error::Host {
                change: Change::Disable(unit.to_owned()).to_string(),
                source,
            });
        }
        let entries = std::fs::read_dir(self.units)
            .into_iter()
            .flatten()
            .flatten();
        for link in entries.map(|entry| entry.path().join(unit)) {
            durable::remove(&link).map_err(|source| Error::io("remove", &link, source))?;
        }
        Ok(())
    }

    /// A service may run although its unit file was deleted by hand; one that does not run may be
    /// unknown, and then cannot be stopped.
    fn stop(&self, unit: &str) -> Result<(), host::Error> {
        let state = self.systemd.show(unit)?;
        match state.get("ActiveState") {
            // While a host boots, its turn may be still to come.
            "inactive" | "failed" if !state.get("Job").is_empty() => self.systemd.stop_later(unit),
            "inactive" | "failed" => Ok(()),
            _ => self.systemd.stop(unit),
        }
    }
}

/// The links in `units` that enable `unit`: in the folders of what wants it, and its other names.
pub(super) fn links(units: &Path, unit: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(units).into_iter().flatten().flatten();
    let wanted = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let of_folder = path.join(unit);
        if of_folder.is_symlink() {
            return Some(of_folder);
        }
        let target = std::fs::read_link(&path).ok()?;
        (target.file_name()? == unit).then_some(path)
    };
    entries.filter_map(wanted).collect()
}

/// What is at `path` of the host. Something that cannot be read counts as changed by somebody.
pub(super) fn look(path: &Path) -> Found {
    let Ok(metadata) = path.symlink_metadata() else {
        return Found::Nothing;
    };
    if metadata.is_dir() {
        Found::Dir
    } else if metadata.is_symlink() {
        let target = std::fs::read_link(path).unwrap_or_default();
        Found::Content(link_sha256(&target))
    } else if metadata.is_file() {
        let content = std::fs::read(path).map(|content| Digest::of(&content).hex().to_owned());
        Found::Content(content.unwrap_or_default())
    } else {
        Found::Content(String::new())
    }
}

fn write(path: &Path, from: &Path, mode: u32) -> Result<(), Error> {
    let content = std::fs::read(from).map_err(|source| Error::io("read", from, source))?;
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    durable::replace_like(path, &content, mode, from)
        .map_err(|source| Error::io("write", path, source))
}

fn set_aside(path: &Path) -> Result<(), Error> {
    durable::rename(path, &aside(path)).map_err(|source| Error::io("rename", path, source))
}

fn sync(paths: &BTreeSet<PathBuf>) -> Result<(), Error> {
    durable::sync_file_systems(paths.iter().map(PathBuf::as_path)).map_err(|source| {
        let first = paths.first().cloned().unwrap_or_default();
        Error::io("sync the file system of", &first, source)
    })
}

fn make_dir(path: &Path) -> Result<(), Error> {
    durable::make_dirs(path).map_err(|source| Error::io("create", path, source))
}

fn remove_dir_if_empty(path: &Path) -> Result<(), Error> {
    durable::remove_empty_dir(path)
        .map(drop)
        .map_err(|source| Error::io("remove", path, source))
}
