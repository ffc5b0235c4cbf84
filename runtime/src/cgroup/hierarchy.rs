//! Where cgroups are mounted, and which one a process is in.

use std::path::{Component, Path, PathBuf};

use super::MOUNTS;
use crate::facts::CgroupMode;

/// One mounted tree of cgroups: the only one with version 2, one for each set of controllers with
/// version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its controllers as /proc/PID/cgroup names them; empty for version 2.
    pub controllers: String,
}

impl Hierarchy {
    /// A cgroup's directory.
    pub fn directory(&self, path: &Path) -> PathBuf {
        self.mount.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether it is one of version 2.
    pub fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether it is all there is.
    pub fn is_only(&self) -> bool {
        self.mount == Path::new(MOUNTS)
    }

    /// Whether it has this controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|name| name == controller)
    }

    /// The path in it out of a /proc/PID/cgroup. `None` for a process that is outside of what we
    /// can see.
    pub fn path_in(&self, table: &str) -> Option<PathBuf> {
        table.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let found = parts.next()? == self.controllers;
            let path = Path::new(parts.next()?);
            let seen = path.components().all(|part| part != Component::ParentDir);
            (found && seen).then(|| path.to_owned())
        })
    }
}

/// How this host's cgroups are mounted.
pub fn mode() -> CgroupMode {
    if is_unified() {
        CgroupMode::Unified
    } else if all().is_empty() {
        CgroupMode::None
    } else {
        CgroupMode::Legacy
    }
}

/// Whether cgroup2 is all there is.
pub fn is_unified() -> bool {
    Path::new(MOUNTS).join("cgroup.controllers").exists()
}

/// All that are mounted.
pub fn all() -> Vec<Hierarchy> {
    let mounts = Path::new(MOUNTS);
    if is_unified() {
        return vec![Hierarchy {
            mount: mounts.to_owned(),
            controllers: String::new(),
        }];
    }
    let entries = std::fs::read_dir(mounts).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        // Not every directory here has one mounted on it.
        .filter(|entry| entry.path().join("cgroup.procs").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| Hierarchy {
            mount: mounts.join(&name),
            controllers: match name.as_str() {
                "unified" => String::new(),
                "systemd" => "name=systemd".to_owned(),
                _ => name,
            },
        })
        .collect()
}

/// /proc/PID/cgroup; empty when the process is gone.
pub fn table_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

/// The unit of systemd that a process is in, if any.
pub fn unit_of(pid: i32) -> Option<PathBuf> {
    let table = table_of(pid);
    let mut all = all();
    // Where systemd itself counts; somebody may have moved the process in another one.
    all.sort_by_key(|hierarchy| !hierarchy.has("name=systemd"));
    let mut paths = all.iter().filter_map(|hierarchy| hierarchy.path_in(&table));
    paths.find_map(|path| unit_in(&path))
}

/// The innermost unit along a path.
pub fn unit_in(path: &Path) -> Option<PathBuf> {
    let is_unit = |name: &&str| name.ends_with(".service") || name.ends_with(".scope");
    let mut names = path.iter().rev().filter_map(|name| name.to_str());
    names.find(is_unit).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_in_each_hierarchy() {
        let table = "5:cpu,cpuacct:/a\n2:name=systemd:/b:c\n1:pids:/../x\n0::/d\n";
        let found = |controllers: &str| {
            let mount = "/m".into();
            let controllers = controllers.to_owned();
            Hierarchy { mount, controllers }.path_in(table)
        };
        assert_eq!(found("cpu,cpuacct"), Some("/a".into()));
        assert_eq!(found("name=systemd"), Some("/b:c".into()));
        assert_eq!(found(""), Some("/d".into()));
        assert_eq!(found("pids"), None);
        assert_eq!(found("memory"), None);
    }

    #[test]
    fn the_innermost_unit_is_found() {
        let table = [
            ("/system.slice/web.service", Some("web.service")),
            ("/a.service/b.scope/payload", Some("b.scope")),
            ("/user.slice", None),
            ("/", None),
        ];
        for (path, unit) in table {
            assert_eq!(unit_in(Path::new(path)), unit.map(PathBuf::from));
        }
    }
}
