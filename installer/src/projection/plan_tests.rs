//! What is planned for what is found.

use super::*;

const UNIT: &str = "/etc/systemd/system/web.service";
const CTL: &str = "/usr/local/bin/webctl";

fn file(sha256: &str) -> Wanted {
    Wanted::File {
        from: "/d/u".into(),
        mode: 0o644,
        sha256: sha256.into(),
    }
}

fn want() -> Want {
    Want {
        name: "web".into(),
        serial: 2,
        unit: Some("web.service".into()),
        install: vec!["WantedBy=multi-user.target".into()],
        own: [UNIT.into()].into(),
        files: [(UNIT.into(), file("u1")), (CTL.into(), file("c1"))].into(),
        tmpfiles: None,
        directories: vec!["/var/lib/web/data".into()],
    }
}

/// A host with the usual directories, and these files.
fn with(files: &'static [(&str, &str)]) -> impl Fn(&Path) -> Found {
    |path| {
        let content = files.iter().find(|(there, _)| path == Path::new(there));
        if let Some((_, sha256)) = content {
            return Found::Content((*sha256).to_owned());
        }
        let usual = ["/var/lib", "/etc/systemd/system", "/usr/local/bin"];
        if usual.iter().any(|dir| Path::new(dir).starts_with(path)) {
            Found::Dir
        } else {
            Found::Nothing
        }
    }
}

fn decide(
    want: Option<&Want>,
    ledger: Option<&Ledger>,
    files: &'static [(&str, &str)],
) -> Vec<Change> {
    decide_on("here", true, want, ledger, files)
}

fn decide_on(
    identity: &str,
    enabled: bool,
    want: Option<&Want>,
    ledger: Option<&Ledger>,
    files: &'static [(&str, &str)],
) -> Vec<Change> {
    let (look, enabled) = (with(files), |_: &str| enabled);
    let host = Host {
        look: &look,
        enabled: &enabled,
        identity,
    };
    plan(want, ledger, host)
}

fn records(changes: &[Change]) -> Vec<&Ledger> {
    fn record(change: &Change) -> Option<&Ledger> {
        match change {
            Change::Record(ledger) => Some(ledger),
            _ => None,
        }
    }
    changes.iter().filter_map(record).collect()
}

fn writes(changes: &[Change]) -> Vec<&str> {
    fn path(change: &Change) -> Option<&str> {
        match change {
            Change::Write { path, .. } => path.to_str(),
            _ => None,
        }
    }
    changes.iter().filter_map(path).collect()
}

/// Generation 1 as it was projected: unit `u0`, control program `c0`, and a file that is gone
/// from generation 2.
fn former() -> Ledger {
    let mut ledger = Ledger::new("web", 1);
    ledger.host = "here".into();
    ledger.complete = true;
    ledger.enabled = true;
    ledger.unit = Some("web.service".into());
    ledger.install = vec!["WantedBy=multi-user.target".into()];
    ledger.own = [UNIT.into()].into();
    ledger.files = [
        (UNIT.into(), Some("u0".into())),
        (CTL.into(), Some("c0".into())),
        ("/etc/web.old".into(), Some("o0".into())),
    ]
    .into();
    ledger
}

const AS_FORMER: &[(&str, &str)] = &[(UNIT, "u0"), (CTL, "c0"), ("/etc/web.old", "o0")];

#[test]
fn a_first_projection_records_before_and_after() {
    let changes = decide(Some(&want()), None, &[]);
    let records = records(&changes);
    assert!(matches!(changes.first(), Some(Change::Record(ledger)) if !ledger.complete));
    assert!(matches!(changes.last(), Some(Change::Record(ledger)) if ledger.complete));
    assert!(matches!(
        changes[changes.len() - 2],
        Change::Sync(ref paths) if paths.contains(Path::new(UNIT))
    ));
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
    let first = decide(Some(&want()), None, &[]);
    let ledger = records(&first)[1].clone();
    assert_eq!(decide(Some(&want()), Some(&ledger), &[]), []);
}

#[test]
fn an_interrupted_projection_is_made_whole() {
    let first = decide(Some(&want()), None, &[]);
    let ledger = records(&first)[0].clone();
    let again = decide(Some(&want()), Some(&ledger), &[(UNIT, "u1")]);
    assert!(again.contains(&Change::Reenable("web.service".into())));
    assert_eq!(writes(&again), [CTL]);
}

#[test]
fn a_new_generation_replaces_what_is_ours_and_does_not_enable_again() {
    let changes = decide(Some(&want()), Some(&former()), AS_FORMER);
    assert_eq!(writes(&changes), [UNIT, CTL]);
    assert!(changes.contains(&Change::Remove("/etc/web.old".into())));
    assert!(changes.contains(&Change::Reload));
    let enabling = |change: &Change| matches!(change, Change::Enable(_) | Change::Reenable(_));
    assert!(!changes.iter().any(enabling));
}

#[test]
fn the_opening_ledger_knows_both_generations() {
    let changes = decide(Some(&want()), Some(&former()), AS_FORMER);
    let opening = records(&changes)[0].clone();
    for (path, contents) in [
        (UNIT, vec!["u0", "u1"]),
        (CTL, vec!["c0", "c1"]),
        ("/etc/web.old", vec!["o0"]),
    ] {
        let written = opening.written(Path::new(path)).unwrap();
        assert_eq!(written.into_iter().collect::<Vec<_>>(), contents, "{path}");
    }
    // Cut off at any place, all of it is still ours: forwards, and to the last trace.
    let on = decide(Some(&want()), Some(&opening), &[(UNIT, "u1"), (CTL, "c0")]);
    assert_eq!(writes(&on), [CTL]);
    let down = decide(None, Some(&opening), AS_FORMER);
    assert!(!down.iter().any(Change::is_noteworthy), "{down:?}");
    assert!(down.contains(&Change::Remove("/etc/web.old".into())));
    assert_eq!(records(&changes)[1].former.len(), 0);
}

#[test]
fn an_administrators_change_wins() {
    let edited = &[(UNIT, "mine"), (CTL, "mine"), ("/etc/web.old", "mine")];
    let changes = decide(Some(&want()), Some(&former()), edited);
    assert_eq!(writes(&changes), [UNIT]);
    for change in [
        Change::SetAside(UNIT.into()),
        Change::Keep(CTL.into()),
        Change::Keep("/etc/web.old".into()),
    ] {
        assert!(changes.contains(&change), "{change}");
    }
    // And the next generation still knows that it was.
    let mut ledger = records(&changes)[1].clone();
    ledger.serial = 1;
    let again = decide(Some(&want()), Some(&ledger), &[(UNIT, "u1"), (CTL, "mine")]);
    assert!(again.contains(&Change::Keep(CTL.into())));
}

#[test]
fn what_was_there_before_is_not_ours() {
    let changes = decide(Some(&want()), None, &[(CTL, "theirs")]);
    assert!(changes.contains(&Change::Leave(CTL.into())));
    assert!(!records(&changes)[1].files.contains_key(Path::new(CTL)));
    // Not even when it happens to be the same.
    let changes = decide(Some(&want()), None, &[(CTL, "c1")]);
    assert!(!changes.contains(&Change::Leave(CTL.into())));
    assert!(!records(&changes)[1].files.contains_key(Path::new(CTL)));
}

#[test]
fn another_install_section_is_enabled_anew() {
    let mut other = want();
    other.install = vec!["RequiredBy=net.service".into()];
    let changes = decide(Some(&other), Some(&former()), AS_FORMER);
    assert!(changes.contains(&Change::Reenable("web.service".into())));
}

#[test]
fn a_unit_that_is_no_more_is_stopped_and_disabled() {
    let mut files_only = want();
    files_only.unit = None;
    files_only.own.clear();
    files_only.files.remove(Path::new(UNIT));
    let changes = decide(Some(&files_only), Some(&former()), AS_FORMER);
    let place = |wanted: &Change| changes.iter().position(|change| change == wanted).unwrap();
    assert!(
        place(&Change::Stop("web.service".into())) < place(&Change::Remove(UNIT.into())),
        "{changes:?}"
    );
    assert!(changes.contains(&Change::Disable("web.service".into())));
}

#[test]
fn removal_keeps_what_was_edited_and_goes_upwards() {
    let mut ledger = Ledger::new("web", 1);
    ledger.unit = Some("web.service".into());
    ledger.own = [UNIT.into()].into();
    ledger.files = [
        (UNIT.into(), Some("u0".into())),
        ("/usr/local/bin/a".into(), Some("a0".into())),
        ("/usr/local/bin/web.conf".into(), Some("b0".into())),
    ]
    .into();
    ledger.directories = ["/var/lib/web".into(), "/var/lib/web/data".into()].into();
    let found = &[
        (UNIT, "edited"),
        ("/usr/local/bin/a", "a0"),
        ("/usr/local/bin/web.conf", "edited"),
    ];
    let changes = decide(None, Some(&ledger), found);
    let paths = ledger.files.keys().cloned().collect();
    let expected = [
        Change::Stop("web.service".into()),
        Change::Disable("web.service".into()),
        Change::Remove(UNIT.into()),
        Change::Remove("/usr/local/bin/a".into()),
        Change::Keep("/usr/local/bin/web.conf".into()),
        Change::Reload,
        Change::ResetFailed("web.service".into()),
        Change::RemoveDirIfEmpty("/var/lib/web/data".into()),
        Change::RemoveDirIfEmpty("/var/lib/web".into()),
        Change::Sync(paths),
        Change::Forget("web".into()),
    ];
    assert_eq!(changes, expected);
}

/// After a way back of the host /etc is as it was then: what differs was nobody's decision.
#[test]
fn another_etc_gets_what_the_ledger_says() {
    let mut ledger = records(&decide(Some(&want()), None, &[]))[1].clone();
    assert_eq!(ledger.host, "here");
    let older = &[(UNIT, "u0")];
    let changes = decide_on("there", false, Some(&want()), Some(&ledger), older);
    assert_eq!(writes(&changes), [UNIT, CTL]);
    assert!(!changes.iter().any(Change::is_noteworthy), "{changes:?}");
    assert!(changes.contains(&Change::Enable("web.service".into())));
    assert_eq!(records(&changes)[1].host, "there");
    // What was disabled stays so, though the other /etc has the links.
    ledger.enabled = false;
    let changes = decide_on("there", true, Some(&want()), Some(&ledger), older);
    assert!(changes.contains(&Change::Disable("web.service".into())));
    // On the same host the same difference is the administrator's.
    assert_eq!(
        decide_on("here", false, Some(&want()), Some(&ledger), older),
        []
    );
}
