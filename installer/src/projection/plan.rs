//! Deciding: from what is wanted and what was written to the changes in between. Pure but for
//! the look at the host, which is passed in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::want::{Want, Wanted};
use super::{Change, Ledger};

/// What is found at a path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A file or link with content of this SHA-256.
    Content(String),
    Dir,
}

/// How this room learns what there is.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub look: &'a dyn Fn(&Path) -> Found,
    /// Whether a unit is enabled.
    pub enabled: &'a dyn Fn(&str) -> bool,
    /// Whose /etc this is; empty where that is not known.
    pub identity: &'a str,
}

impl Host<'_> {
    /// What `ledger` records was made on another /etc than this.
    pub fn is_another(&self, ledger: &Ledger) -> bool {
        let known = !self.identity.is_empty() && !ledger.host.is_empty();
        known && self.identity != ledger.host
    }
}

/// The changes that take the host from what `ledger` says to what `want` asks.
pub(super) fn plan(want: Option<&Want>, ledger: Option<&Ledger>, host: Host) -> Vec<Change> {
    match (want, ledger) {
        (None, None) => Vec::new(),
        (None, Some(ledger)) => take_down(ledger, host),
        (Some(want), Some(ledger))
            if ledger.complete && ledger.serial == want.serial && !host.is_another(ledger) =>
        {
            Vec::new()
        }
        (Some(want), ledger) => bring_up(want, ledger, host),
    }
}

fn bring_up(want: &Want, ledger: Option<&Ledger>, host: Host) -> Vec<Change> {
    let mut record = opening(want, ledger, host);
    let mut changes = vec![Change::Record(Box::new(record.clone()))];
    let gone = ledger
        .and_then(|ledger| ledger.unit.clone())
        .filter(|unit| want.unit.as_ref() != Some(unit));
    if let Some(unit) = gone.clone() {
        changes.extend([Change::Stop(unit.clone()), Change::Disable(unit)]);
    }
    for (path, wanted) in &want.files {
        changes.extend(place(path, wanted, ledger, want, host));
    }
    if let Some(ledger) = ledger {
        let old = ledger.paths().into_iter();
        changes.extend(
            old.filter(|path| !want.files.contains_key(*path))
                .map(|path| remove(path, ledger, host)),
        );
    }
    changes.push(Change::Reload);
    changes.extend(gone.map(Change::ResetFailed));
    changes.extend(want.tmpfiles.clone().map(Change::CreateTmpfiles));
    changes.extend(enablement(&record, ledger, host));
    changes.push(Change::Sync(want.files.keys().cloned().collect()));
    record.complete = true;
    record.former.clear();
    changes.push(Change::Record(Box::new(record)));
    changes
}

/// All that is going to be ours on the host, and all that already is.
fn opening(want: &Want, ledger: Option<&Ledger>, host: Host) -> Ledger {
    let mut record = Ledger::new(&want.name, want.serial);
    record.unit.clone_from(&want.unit);
    record.install.clone_from(&want.install);
    record.own.clone_from(&want.own);
    host.identity.clone_into(&mut record.host);
    record.enabled = match ledger {
        // Whether it stays enabled is for the administrator to say.
        Some(ledger) if ledger.unit == want.unit => match &ledger.unit {
            Some(unit) if ledger.complete && !host.is_another(ledger) => (host.enabled)(unit),
            _ => ledger.enabled,
        },
        _ => want.unit.is_some(),
    };
    let ours = |path: &Path| {
        ledger.is_some_and(|ledger| ledger.written(path).is_some()) || want.own.contains(path)
    };
    record.files = want
        .files
        .iter()
        .filter(|(path, _)| ours(path) || (host.look)(path) == Found::Nothing)
        .map(|(path, wanted)| (path.clone(), wanted.sha256().cloned()))
        .collect();
    for path in ledger.into_iter().flat_map(Ledger::paths) {
        let written = ledger.and_then(|ledger| ledger.written(path));
        let written = written.into_iter().flatten().map(str::to_owned);
        record.former.insert(path.to_owned(), written.collect());
    }
    record.directories = ledger
        .map(|ledger| ledger.directories.clone())
        .unwrap_or_default();
    let parents = want.files.keys().filter_map(|path| path.parent());
    let wanted = want.directories.iter().map(PathBuf::as_path).chain(parents);
    record.directories.extend(missing(wanted, host));
    record
}

/// Those of `directories`, and of the directories above them, that do not exist.
fn missing<'a>(directories: impl Iterator<Item = &'a Path>, host: Host) -> BTreeSet<PathBuf> {
    directories
        .flat_map(|directory| {
            directory
                .ancestors()
                .take_while(|path| (host.look)(path) == Found::Nothing)
        })
        .map(Path::to_owned)
        .collect()
}

/// What is to be done at one path, by whose it is.
fn place(
    path: &Path,
    wanted: &Wanted,
    ledger: Option<&Ledger>,
    want: &Want,
    host: Host,
) -> Vec<Change> {
    let found = (host.look)(path);
    if found == wanted.found() {
        return Vec::new();
    }
    let written = ledger.and_then(|ledger| ledger.written(path));
    let own = want.own.contains(path);
    match (found, written) {
        (Found::Nothing, _) => vec![write(path, wanted)],
        // It came with another /etc, and nobody meant it.
        (_, Some(_)) if ledger.is_some_and(|ledger| host.is_another(ledger)) => {
            vec![write(path, wanted)]
        }
        (Found::Content(found), Some(written)) if written.contains(found.as_str()) => {
            vec![write(path, wanted)]
        }
        // The unit of another generation would not start: an administrator has drop-ins.
        (Found::Content(_), _) if own => {
            vec![Change::SetAside(path.to_owned()), write(path, wanted)]
        }
        (_, Some(_)) => vec![Change::Keep(path.to_owned())],
        (_, None) => vec![Change::Leave(path.to_owned())],
    }
}

fn enablement(record: &Ledger, ledger: Option<&Ledger>, host: Host) -> Option<Change> {
    let unit = record.unit.clone()?;
    let moved = ledger.is_some_and(|ledger| host.is_another(ledger));
    if !record.enabled {
        return (moved && (host.enabled)(&unit)).then_some(Change::Disable(unit));
    }
    match ledger {
        Some(_) if moved => (!(host.enabled)(&unit)).then_some(Change::Enable(unit)),
        Some(ledger) if ledger.unit.is_some() && ledger.complete => {
            (ledger.install != record.install).then_some(Change::Reenable(unit))
        }
        // What was interrupted may have been anywhere between the two.
        Some(ledger) if ledger.unit.is_some() => Some(Change::Reenable(unit)),
        _ => Some(Change::Enable(unit)),
    }
}

fn take_down(ledger: &Ledger, host: Host) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(unit) = &ledger.unit {
        changes.push(Change::Stop(unit.clone()));
        changes.push(Change::Disable(unit.clone()));
    }
    let paths = ledger.paths();
    changes.extend(paths.iter().map(|path| {
        // The unit and the tmpfiles lines make no sense without us, even if edited.
        if ledger.own.contains(*path) {
            Change::Remove(path.to_path_buf())
        } else {
            remove(path, ledger, host)
        }
    }));
    changes.push(Change::Reload);
    changes.extend(ledger.unit.clone().map(Change::ResetFailed));
    // Backwards in the order of paths a directory comes before the one above it.
    changes.extend(
        ledger
            .directories
            .iter()
            .rev()
            .cloned()
            .map(Change::RemoveDirIfEmpty),
    );
    changes.push(Change::Sync(
        paths.into_iter().map(Path::to_owned).collect(),
    ));
    changes.push(Change::Forget(ledger.name.clone()));
    changes
}

fn remove(path: &Path, ledger: &Ledger, host: Host) -> Change {
    let written = ledger.written(path).unwrap_or_default();
    match (host.look)(path) {
        Found::Content(found) if !written.contains(found.as_str()) => Change::Keep(path.to_owned()),
        Found::Dir => Change::RemoveDirIfEmpty(path.to_owned()),
        _ => Change::Remove(path.to_owned()),
    }
}

fn write(path: &Path, wanted: &Wanted) -> Change {
    let path = path.to_owned();
    match wanted {
        Wanted::File { from, mode, .. } => Change::Write {
            path,
            from: from.clone(),
            mode: *mode,
        },
        Wanted::Link { target, .. } => Change::Link {
            path,
            target: target.clone(),
        },
        Wanted::Dir => Change::MakeDir(path),
    }
}

impl Wanted {
    /// What is found where it is.
    fn found(&self) -> Found {
        self.sha256()
            .map_or(Found::Dir, |sha256| Found::Content(sha256.clone()))
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
