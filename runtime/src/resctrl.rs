//! Intel's resource director, by the kernel's `resctrl` file system.
//!
//! In: a [`Resctrl`] of a plan. Out: a process in its class, or nothing of the class. What somebody
//! else has made is joined and never removed.
//!
//! ```text
//! /sys/fs/resctrl/
//!   CLASS/               tasks, schemata
//!     mon_groups/ID/     tasks
//! ```

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::plan::Resctrl;

/// Why a container has no class of service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file system.
    #[error(
        "linux.intelRdt: no resctrl file system is mounted\nhelp: where the processor has it, \
         'mount -t resctrl resctrl /sys/fs/resctrl'"
    )]
    Missing,
    /// A step that the kernel refused.
    #[error("linux.intelRdt: cannot {what} '{path}'{status}")]
    Step {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel says of its last command.
        status: String,
        /// Why.
        #[source]
        source: IoError,
    },
}

/// Puts a process into its class.
pub fn enter(wish: &Resctrl, id: &str, pid: Pid) -> Result<(), Error> {
    let root = mount_point()?;
    enter_below(&root, wish, id, pid).inspect_err(|_| {
        // What cannot be removed now is in nobody's way.
        let _ = remove(&own_below(&root, wish, id));
    })
}

/// The directories that go away with the container, in the order in which they can.
pub fn own(wish: &Resctrl, id: &str) -> Vec<PathBuf> {
    mount_point().map_or_else(|_| Vec::new(), |root| own_below(&root, wish, id))
}

/// Removes directories of classes; one that is gone already is fine.
pub fn remove(directories: &[PathBuf]) -> Result<(), Error> {
    directories.iter().try_for_each(|path| {
        match std::fs::remove_dir(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
        .map_err(|source| step("remove", path, String::new(), source))
    })
}

fn enter_below(root: &Path, wish: &Resctrl, id: &str, pid: Pid) -> Result<(), Error> {
    let class = root.join(&wish.class);
    let told = |what, path: &Path, source| step(what, path, last_status(root), source);
    if !wish.own && wish.schemata.is_empty() {
        // A class that nothing is said of must be there.
        let found = std::fs::metadata(&class).map(drop);
        found.map_err(|source| told("find", &class, source))?;
    }
    make(&class).map_err(|source| told("make", &class, source))?;
    let tasks = class.join("tasks");
    std::fs::write(&tasks, pid.to_string()).map_err(|source| told("write", &tasks, source))?;
    if wish.monitoring {
        let group = monitor(root, wish, id);
        make(&group).map_err(|source| told("make", &group, source))?;
        let tasks = group.join("tasks");
        std::fs::write(&tasks, pid.to_string()).map_err(|source| told("write", &tasks, source))?;
    }
    if !wish.schemata.is_empty() {
        let path = class.join("schemata");
        let text = format!("{}\n", wish.schemata.join("\n"));
        std::fs::write(&path, text).map_err(|source| told("write", &path, source))?;
    }
    Ok(())
}

fn own_below(root: &Path, wish: &Resctrl, id: &str) -> Vec<PathBuf> {
    match (wish.own, wish.monitoring) {
        (true, _) => vec![root.join(&wish.class)],
        (false, true) => vec![monitor(root, wish, id)],
        (false, false) => Vec::new(),
    }
}

fn monitor(root: &Path, wish: &Resctrl, id: &str) -> PathBuf {
    root.join(&wish.class).join("mon_groups").join(id)
}

fn make(directory: &Path) -> Result<(), IoError> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// The kernel's errors are few, its explanations are kept here.
fn last_status(root: &Path) -> String {
    let text = std::fs::read_to_string(root.join("info/last_cmd_status")).unwrap_or_default();
    match text.trim() {
        "" | "ok" => String::new(),
        status => format!(" ({status})"),
    }
}

fn mount_point() -> Result<PathBuf, Error> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mount_in(&mounts).ok_or(Error::Missing)
}

fn mount_in(mounts: &str) -> Option<PathBuf> {
    let line = mounts.lines().find(|line| {
        let kind = line
            .split_once(" - ")
            .and_then(|(_, rest)| rest.split(' ').next());
        kind == Some("resctrl")
    })?;
    Some(PathBuf::from(line.split(' ').nth(4)?))
}

fn step(what: &'static str, path: &Path, status: String, source: IoError) -> Error {
    Error::Step {
        what,
        path: path.to_owned(),
        status,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(own: bool, schemata: &[&str], monitoring: bool) -> Resctrl {
        Resctrl {
            class: "gold".to_owned(),
            own,
            schemata: schemata.iter().map(ToString::to_string).collect(),
            monitoring,
        }
    }

    #[test]
    fn the_mount_is_found_by_its_type() {
        let mounts = "22 1 0:5 / /sys rw - sysfs sysfs rw\n\
                      30 22 0:9 / /sys/fs/resctrl rw shared:3 - resctrl resctrl rw\n";
        assert_eq!(mount_in(mounts), Some("/sys/fs/resctrl".into()));
        assert_eq!(mount_in("22 1 0:5 / /sys rw - sysfs resctrl rw\n"), None);
    }

    #[test]
    fn a_class_of_its_own_is_made_and_filled() {
        let root = tempfile::tempdir().unwrap();
        let wish = wish(true, &["L3:0=f", "MB:0=20"], false);
        enter_below(root.path(), &wish, "web", Pid::from_raw(7)).unwrap();
        let read = |name: &str| std::fs::read_to_string(root.path().join("gold").join(name));
        assert_eq!(read("tasks").unwrap(), "7");
        assert_eq!(read("schemata").unwrap(), "L3:0=f\nMB:0=20\n");
        assert_eq!(
            own_below(root.path(), &wish, "web"),
            [root.path().join("gold")]
        );
    }

    #[test]
    fn a_class_of_others_must_be_there_and_stays() {
        let root = tempfile::tempdir().unwrap();
        let wish = wish(false, &[], true);
        let pid = Pid::from_raw(7);
        let error = enter_below(root.path(), &wish, "web", pid).unwrap_err();
        assert!(error.to_string().contains("cannot find"), "{error}");
        std::fs::create_dir_all(root.path().join("gold/mon_groups")).unwrap();
        enter_below(root.path(), &wish, "web", pid).unwrap();
        let own = own_below(root.path(), &wish, "web");
        assert_eq!(own, [root.path().join("gold/mon_groups/web")]);
        std::fs::remove_file(own[0].join("tasks")).unwrap();
        remove(&own).unwrap();
        remove(&own).unwrap();
        assert!(root.path().join("gold").exists());
    }
}
