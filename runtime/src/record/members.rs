//! All processes of a container.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Pid;

use super::State;
use super::alive::parent_of;
use crate::cgroup;

/// Numbers of all processes, as far as they can be told from others: those in the cgroup that was
/// made for it; without one, those in its PID namespace and their offspring; without that, the
/// offspring of its first process.
pub fn members(state: &State) -> Vec<Pid> {
    if let Some(path) = &state.cgroup {
        return cgroup::processes(path);
    }
    if !state.init.is_alive() {
        return Vec::new();
    }
    let namespace = |pid: i32| Some(std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?.ino());
    let own = namespace(state.init.pid).filter(|_| state.own_pid_namespace);
    let all: Vec<i32> = numbers();
    let mut found: HashSet<i32> = all
        .iter()
        .copied()
        .filter(|pid| own.is_some() && namespace(*pid) == own)
        .chain([state.init.pid])
        .collect();
    let parents: Vec<(i32, i32)> = all
        .iter()
        .filter_map(|pid| Some((*pid, parent_of(*pid)?)))
        .collect();
    loop {
        let before = found.len();
        let children = parents.iter().filter(|(_, parent)| found.contains(parent));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        if found.len() == before {
            let mut sorted: Vec<i32> = found.into_iter().collect();
            sorted.sort_unstable();
            return sorted.into_iter().map(Pid::from_raw).collect();
        }
    }
}

fn numbers() -> Vec<i32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
