//! Holding all processes of a cgroup, and letting them go.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::hierarchy::{self, Hierarchy};
use super::{Error, Home};

/// How long processes may take to stop: one in the middle of a system call ends that first.
const PATIENCE: Duration = Duration::from_secs(10);

/// The files of a freezer, which differ between the versions.
enum Freezer {
    /// `freezer.state`
    Legacy(PathBuf),
    /// `cgroup.freeze`, and `cgroup.events` that says when it has come about.
    Unified(PathBuf),
}

/// Holds every process of the cgroup; returns once all are held. Else none is.
pub fn freeze(path: &Path) -> Result<(), Error> {
    let failed = |reason: String| Error::Freeze {
        path: path.to_owned(),
        reason,
    };
    let freezer = Freezer::of(path).ok_or_else(|| failed("it has no freezer".to_owned()))?;
    let end = Instant::now() + PATIENCE;
    loop {
        // Version 1 may have to be told again while processes come and go.
        freezer
            .ask(true)
            .map_err(|error| failed(error.to_string()))?;
        if freezer.holds_all() {
            return Ok(());
        }
        if Instant::now() > end {
            // What could be held would stay so; better none than some.
            let _ = freezer.ask(false);
            return Err(failed("its processes cannot be stopped".to_owned()));
        }
        sleep(Duration::from_millis(1));
    }
}

/// Lets them go. A cgroup without a freezer has nothing to let go.
pub fn thaw(path: &Path) -> Result<(), Error> {
    let asked = Freezer::of(path).map_or(Ok(()), |freezer| freezer.ask(false));
    asked.map_err(|error| Error::Freeze {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Whether whatever enters the cgroup will be held.
pub fn is_asked(path: &Path) -> bool {
    Freezer::of(path).is_some_and(|freezer| freezer.is_asked() || freezer.holds_all())
}

/// Whether the processes of a container are held, by us or (below a unit) by systemd.
pub fn is_frozen(home: &Home) -> bool {
    let freezer = match home.own {
        Some(path) => Freezer::of(path),
        None => Freezer::around(&hierarchy::table_of(home.init)),
    };
    freezer.is_some_and(|freezer| freezer.is_asked() || freezer.holds_all())
}

impl Freezer {
    fn of(path: &Path) -> Option<Freezer> {
        let all = hierarchy::all();
        let found = all
            .iter()
            .filter_map(|hierarchy| Freezer::in_hierarchy(hierarchy, path));
        found.min_by_key(|freezer| matches!(freezer, Freezer::Unified(_)))
    }

    fn around(table: &str) -> Option<Freezer> {
        let all = hierarchy::all();
        let found = all
            .iter()
            .filter_map(|hierarchy| Freezer::in_hierarchy(hierarchy, &hierarchy.path_in(table)?));
        found.min_by_key(|freezer| matches!(freezer, Freezer::Unified(_)))
    }

    /// The root of a hierarchy has none.
    fn in_hierarchy(hierarchy: &Hierarchy, path: &Path) -> Option<Freezer> {
        let directory = hierarchy.directory(path);
        let (name, freezer) = match hierarchy.controllers.is_empty() {
            true => ("cgroup.freeze", Freezer::Unified(directory)),
            false => ("freezer.state", Freezer::Legacy(directory)),
        };
        freezer.directory().join(name).exists().then_some(freezer)
    }

    fn directory(&self) -> &Path {
        match self {
            Freezer::Legacy(directory) | Freezer::Unified(directory) => directory,
        }
    }

    fn ask(&self, hold: bool) -> std::io::Result<()> {
        let (name, word) = match (self, hold) {
            (Freezer::Legacy(_), true) => ("freezer.state", "FROZEN"),
            (Freezer::Legacy(_), false) => ("freezer.state", "THAWED"),
            (Freezer::Unified(_), true) => ("cgroup.freeze", "1"),
            (Freezer::Unified(_), false) => ("cgroup.freeze", "0"),
        };
        std::fs::write(self.directory().join(name), word)
    }

    fn is_asked(&self) -> bool {
        match self {
            Freezer::Legacy(_) => self.read("freezer.self_freezing") == "1",
            Freezer::Unified(_) => self.read("cgroup.freeze") == "1",
        }
    }

    fn holds_all(&self) -> bool {
        match self {
            Freezer::Legacy(_) => self.read("freezer.state") == "FROZEN",
            Freezer::Unified(_) => self
                .read("cgroup.events")
                .lines()
                .any(|line| line == "frozen 1"),
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory().join(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}
