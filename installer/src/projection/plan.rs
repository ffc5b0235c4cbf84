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

/// The changes that take the host from what `ledger` says to what `want` asks.
pub(super) fn plan(
    want: Option<&Want>,
    ledger: Option<&Ledger>,
    look: &dyn Fn(&Path) -> Found,
) -> Vec<Change> {
    match (want, ledger) {
        (None, None) => Vec::new(),
        (None, Some(ledger)) => take_down(ledger, look),
        (Some(want), Some(ledger)) if ledger.complete && ledger.serial == want.serial => Vec::new(),
        (Some(want), ledger) => bring_up(want, ledger, look),
    }
}

fn bring_up(want: &Want, ledger: Option<&Ledger>, look: &dyn Fn(&Path) -> Found) -> Vec<Change> {
    let mut record = record(want, ledger, look);
    let mut changes = vec![Change::Record(Box::new(record.clone()))];
    for (path, wanted) in &want.files {
        if look(path) != found(wanted) {
            changes.push(write(path, wanted));
        }
    }
    let old = ledger.iter().flat_map(|ledger| &ledger.files);
    changes.extend(
        old.filter(|(path, _)| !want.files.contains_key(*path))
            .map(|(path, sha256)| remove(path, sha256.as_ref(), look)),
    );
    changes.push(Change::Reload);
    changes.extend(want.tmpfiles.clone().map(Change::CreateTmpfiles));
    // Only the first time: whether it stays enabled is for the administrator to say.
    if ledger.is_none_or(|ledger| ledger.unit.is_none() || !ledger.complete) {
        changes.extend(want.unit.clone().map(Change::Enable));
    }
    record.complete = true;
    changes.push(Change::Record(Box::new(record)));
    changes
}

/// All that is going to be on the host, and what of the former generation still is.
fn record(want: &Want, ledger: Option<&Ledger>, look: &dyn Fn(&Path) -> Found) -> Ledger {
    let mut record = Ledger::new(&want.name, want.serial);
    record.unit.clone_from(&want.unit);
    record.files = want
        .files
        .iter()
        .map(|(path, wanted)| (path.clone(), wanted.sha256().cloned()))
        .collect();
    record.directories = ledger
        .map(|ledger| ledger.directories.clone())
        .unwrap_or_default();
    let parents = want.files.keys().filter_map(|path| path.parent());
    let wanted = want.directories.iter().map(PathBuf::as_path).chain(parents);
    record.directories.extend(missing(wanted, look));
    record
}

/// Those of `directories`, and of the directories above them, that do not exist.
fn missing<'a>(
    directories: impl Iterator<Item = &'a Path>,
    look: &dyn Fn(&Path) -> Found,
) -> BTreeSet<PathBuf> {
    directories
        .flat_map(|directory| {
            directory
                .ancestors()
                .take_while(|path| look(path) == Found::Nothing)
        })
        .map(Path::to_owned)
        .collect()
}

fn take_down(ledger: &Ledger, look: &dyn Fn(&Path) -> Found) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(unit) = &ledger.unit {
        changes.push(Change::Stop(unit.clone()));
        changes.push(Change::Disable(unit.clone()));
    }
    let own = |path: &Path| {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        name == Some(&ledger.name)
            && path
                .extension()
                .is_some_and(|e| e == "service" || e == "conf")
    };
    changes.extend(ledger.files.iter().map(|(path, sha256)| {
        // The unit and the tmpfiles lines make no sense without us, even if edited.
        if own(path) {
            Change::Remove(path.clone())
        } else {
            remove(path, sha256.as_ref(), look)
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
    changes.push(Change::Forget(ledger.name.clone()));
    changes
}

fn remove(path: &Path, written: Option<&String>, look: &dyn Fn(&Path) -> Found) -> Change {
    match (look(path), written) {
        (Found::Content(found), Some(written)) if found != *written => {
            Change::Keep(path.to_owned())
        }
        (Found::Dir, _) => Change::RemoveDirIfEmpty(path.to_owned()),
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

fn found(wanted: &Wanted) -> Found {
    wanted
        .sha256()
        .map_or(Found::Dir, |sha256| Found::Content(sha256.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want() -> Want {
        let unit = Wanted::File {
            from: "/d/u".into(),
            mode: 0o644,
            sha256: "u1".into(),
        };
        Want {
            name: "web".into(),
            serial: 2,
            unit: Some("web.service".into()),
            files: [("/etc/systemd/system/web.service".into(), unit)].into(),
            tmpfiles: None,
            directories: vec!["/var/lib/web/data".into()],
        }
    }

    fn nothing_but_var_lib(path: &Path) -> Found {
        if Path::new("/var/lib").starts_with(path)
            || Path::new("/etc/systemd/system").starts_with(path)
        {
            Found::Dir
        } else {
            Found::Nothing
        }
    }

    fn records(changes: &[Change]) -> Vec<&Ledger> {
        changes
            .iter()
            .filter_map(|change| match change {
                Change::Record(ledger) => Some(&**ledger),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_first_projection_records_before_and_after() {
        let changes = plan(Some(&want()), None, &nothing_but_var_lib);
        let records = records(&changes);
        assert!(matches!(changes.first(), Some(Change::Record(ledger)) if !ledger.complete));
        assert!(matches!(changes.last(), Some(Change::Record(ledger)) if ledger.complete));
        assert!(changes.contains(&Change::Enable("web.service".into())));
        let made: Vec<_> = records[0]
            .directories
            .iter()
            .map(|path| path.to_str())
            .collect();
        assert_eq!(made, [Some("/var/lib/web"), Some("/var/lib/web/data")]);
    }

    #[test]
    fn projecting_again_changes_nothing() {
        let first = plan(Some(&want()), None, &nothing_but_var_lib);
        let ledger = records(&first)[1].clone();
        assert_eq!(plan(Some(&want()), Some(&ledger), &nothing_but_var_lib), []);
    }

    #[test]
    fn an_interrupted_projection_is_made_whole() {
        let first = plan(Some(&want()), None, &nothing_but_var_lib);
        let ledger = records(&first)[0].clone();
        let again = plan(Some(&want()), Some(&ledger), &|path| match path.to_str() {
            Some("/etc/systemd/system/web.service") => Found::Content("u1".into()),
            _ => nothing_but_var_lib(path),
        });
        assert!(again.contains(&Change::Enable("web.service".into())));
        assert!(
            !again
                .iter()
                .any(|change| matches!(change, Change::Write { .. }))
        );
    }

    #[test]
    fn a_new_generation_does_not_enable_again() {
        let mut ledger = Ledger::new("web", 1);
        ledger.complete = true;
        ledger.unit = Some("web.service".into());
        let changes = plan(Some(&want()), Some(&ledger), &nothing_but_var_lib);
        assert!(!changes.contains(&Change::Enable("web.service".into())));
        assert!(changes.contains(&Change::Reload));
    }

    #[test]
    fn removal_keeps_what_was_edited_and_goes_upwards() {
        let mut ledger = Ledger::new("web", 1);
        ledger.unit = Some("web.service".into());
        ledger.files = [
            ("/etc/systemd/system/web.service".into(), Some("u0".into())),
            ("/usr/local/bin/a".into(), Some("a0".into())),
            ("/usr/local/bin/b".into(), Some("b0".into())),
        ]
        .into();
        ledger.directories = ["/var/lib/web".into(), "/var/lib/web/data".into()].into();
        let changes = plan(None, Some(&ledger), &|path| match path.to_str() {
            Some("/usr/local/bin/a") => Found::Content("a0".into()),
            _ => Found::Content("edited".into()),
        });
        let expected = [
            Change::Stop("web.service".into()),
            Change::Disable("web.service".into()),
            Change::Remove("/etc/systemd/system/web.service".into()),
            Change::Remove("/usr/local/bin/a".into()),
            Change::Keep("/usr/local/bin/b".into()),
            Change::Reload,
            Change::ResetFailed("web.service".into()),
            Change::RemoveDirIfEmpty("/var/lib/web/data".into()),
            Change::RemoveDirIfEmpty("/var/lib/web".into()),
            Change::Forget("web".into()),
        ];
        assert_eq!(changes, expected);
    }
}
