//! What this host is: read once, as far as somebody asks.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::{FSCONFIG_SET_STRING, LinuxSyscall};

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
}

impl Facts {
    /// Looks at the host.
    pub fn read() -> Facts {
        let cgroup_mode = match get_cgroup_setup() {
            Ok(CgroupSetup::Unified) => CgroupMode::Unified,
            Ok(CgroupSetup::Legacy | CgroupSetup::Hybrid) => CgroupMode::Legacy,
            Err(_) => CgroupMode::None,
        };
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Facts {
            cgroup_mode,
            own_cgroup: own_cgroup(&text, cgroup_mode),
        }
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
        .map_or_else(
            || PathBuf::from("/"),
            |(_, path)| Path::new(path).to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(own_cgroup("", CgroupMode::Unified), Path::new("/"));
    }
}
