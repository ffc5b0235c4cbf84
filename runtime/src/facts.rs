//! What this host is: read once, as far as somebody asks.

use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::{FSCONFIG_SET_STRING, LinuxSyscall};
use nix::unistd::geteuid;

use crate::cgroup;

/// How the host's cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMode {
    /// cgroup2 at /sys/fs/cgroup.
    Unified,
    /// Version 1 controllers, with or without an empty cgroup2 beside them.
    Legacy,
    /// No cgroup file system that we know.
    None,
}

/// The host as far as a plan depends on it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which cgroups there are.
    pub cgroup_mode: CgroupMode,
    /// The cgroup that we were started in, from the root of its hierarchy.
    pub own_cgroup: PathBuf,
    /// Whether we have the privileges of root, be it of a user namespace only.
    pub is_root: bool,
    /// Whether the host's root did not start us: some things then cannot be had, and a container
    /// does without.
    pub rootless: bool,
}

impl Facts {
    /// Looks at the host.
    pub fn read() -> Facts {
        let cgroup_mode = cgroup::mode();
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Facts {
            is_root: geteuid().is_root(),
            rootless: Facts::is_rootless(),
            cgroup_mode,
            own_cgroup: own_cgroup(&text, cgroup_mode),
        }
    }

    /// Whether we are not the host's root: not root, or root in a user namespace only.
    pub fn is_rootless() -> bool {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        !geteuid().is_root() || is_partial(&map)
    }

    /// Whether a service of systemd's is what we run in. A session's scope is none: whoever calls us
    /// from there expects what runc does.
    pub fn is_service(&self) -> bool {
        self.service_cgroup().is_some()
    }

    /// That service's cgroup: ours, or one above (`DelegateSubgroup=`).
    pub fn service_cgroup(&self) -> Option<&Path> {
        let unit = cgroup::unit_in(&self.own_cgroup)?;
        let is_service = unit.to_string_lossy().ends_with(".service");
        let mut above = self.own_cgroup.ancestors().filter(|_| is_service);
        above.find(|path| path.file_name() == Some(unit.as_os_str()))
    }
}

/// Whether a proc file system can be made of a PID namespace that its maker is not in (Linux 6.17).
pub fn proc_takes_namespace() -> bool {
    let Ok(context) = LinuxSyscall.fsopen(Some("proc"), libc::FSOPEN_CLOEXEC) else {
        return false;
    };
    let (set, own) = (FSCONFIG_SET_STRING as u32, Some("/proc/self/ns/pid"));
    let told = LinuxSyscall.fsconfig(context.as_fd(), set, Some("pidns"), own, 0);
    told.is_ok()
}

/// Our cgroup out of /proc/self/cgroup. Version 1 has one per hierarchy: systemd's own is the one
/// that says where systemd put us.
fn own_cgroup(text: &str, mode: CgroupMode) -> PathBuf {
    let wanted = match mode {
        CgroupMode::Unified => "",
        CgroupMode::Legacy | CgroupMode::None => "name=systemd",
    };
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?))
        })
        .find(|(controllers, _)| *controllers == wanted)
        .map(|(_, path)| Path::new(path))
        // One that is outside of what we can see has no path here.
        .filter(|path| !path.components().any(|part| part == Component::ParentDir))
        .map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// Whether a uid_map leaves users out, as that of every user namespace but the first does.
fn is_partial(map: &str) -> bool {
    let mut numbers = map.split_whitespace();
    let all = ["0", "0", "4294967295"];
    !map.is_empty() && !all.iter().all(|number| numbers.next() == Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_namespace_is_known_by_its_map() {
        assert!(!is_partial("         0          0 4294967295\n"));
        assert!(is_partial("         0       1000          1\n"));
        assert!(is_partial("0 0 65536\n"));
        assert!(!is_partial(""));
    }

    #[test]
    fn services_are_told_from_sessions() {
        let service = Some("/system.slice/web.service");
        let table = [
            ("/system.slice/web.service", service),
            ("/system.slice/web.service/payload", service),
            ("/user.slice/user-0.slice/session-1.scope", None),
            (
                "/user.slice/user-1.slice/user@1.service/app.slice/x.scope",
                None,
            ),
            ("/", None),
        ];
        for (path, wanted) in table {
            let facts = Facts {
                cgroup_mode: CgroupMode::Unified,
                own_cgroup: path.into(),
                is_root: true,
                rootless: false,
            };
            assert_eq!(facts.service_cgroup(), wanted.map(Path::new), "{path}");
        }
    }

    #[test]
    fn our_cgroup_is_found_in_both_versions() {
        let text = "4:memory:/other\n1:name=systemd:/system.slice/a:b.service\n0::/unified\n";
        let table = [
            (CgroupMode::Unified, "/unified"),
            (CgroupMode::Legacy, "/system.slice/a:b.service"),
        ];
        for (mode, path) in table {
            assert_eq!(own_cgroup(text, mode), Path::new(path));
        }
        for text in ["", "0::/../elsewhere"] {
            assert_eq!(own_cgroup(text, CgroupMode::Unified), Path::new("/"));
        }
    }
}
