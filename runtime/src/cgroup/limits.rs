//! Joining a cgroup and setting its limits.

use std::path::Path;

use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager,
};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use super::{Error, MOUNTS};

/// Puts a process into the cgroup, which is made when it is missing, and limits it.
pub fn join(path: &Path, resources: &LinuxResources, pid: Pid) -> Result<(), Error> {
    manager(path)?
        .add_task(pid)
        .map_err(|error| join_failed(path, error))?;
    limit(path, resources)
}

/// Sets limits on a cgroup; what is not said stays as it is.
pub fn limit(path: &Path, resources: &LinuxResources) -> Result<(), Error> {
    check_controllers(path, resources)?;
    manager(path)?
        .apply(&ControllerOpt {
            resources,
            disable_oom_killer: false,
            oom_score_adj: None,
            freezer_state: None,
        })
        .map_err(|error| Error::Limit {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

fn manager(path: &Path) -> Result<AnyCgroupManager, Error> {
    create_cgroup_manager(CgroupConfig {
        cgroup_path: path.to_owned(),
        systemd_cgroup: false,
        container_name: String::new(),
    })
    .map_err(|error| join_failed(path, error))
}

fn join_failed(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Join {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// With version 2 a controller is in a cgroup only if all above have passed it on; else the files
/// of its limits are not there.
fn check_controllers(path: &Path, resources: &LinuxResources) -> Result<(), Error> {
    let directory = Path::new(MOUNTS).join(path.strip_prefix("/").unwrap_or(path));
    let Ok(available) = std::fs::read_to_string(directory.join("cgroup.controllers")) else {
        return Ok(());
    };
    match needed(resources)
        .into_iter()
        .find(|(_, name)| !has(&available, name))
    {
        None => Ok(()),
        Some((field, controller)) => Err(Error::Controller {
            field,
            controller,
            path: path.to_owned(),
        }),
    }
}

fn has(available: &str, controller: &str) -> bool {
    available.split_whitespace().any(|name| name == controller)
}

fn needed(resources: &LinuxResources) -> Vec<(&'static str, &'static str)> {
    let cpu = resources.cpu().as_ref();
    let time = cpu.is_some_and(|cpu| {
        cpu.shares().is_some()
            || cpu.quota().is_some()
            || cpu.period().is_some()
            || cpu.idle().is_some()
    });
    let places = cpu.is_some_and(|cpu| cpu.cpus().is_some() || cpu.mems().is_some());
    let pages = resources
        .hugepage_limits()
        .as_ref()
        .is_some_and(|list| !list.is_empty());
    [
        (
            resources.memory().is_some(),
            "linux.resources.memory",
            "memory",
        ),
        (resources.pids().is_some(), "linux.resources.pids", "pids"),
        (time, "linux.resources.cpu", "cpu"),
        (places, "linux.resources.cpu.cpus", "cpuset"),
        (
            resources.block_io().is_some(),
            "linux.resources.blockIO",
            "io",
        ),
        (pages, "linux.resources.hugepageLimits", "hugetlb"),
    ]
    .into_iter()
    .filter(|(asked, _, _)| *asked)
    .map(|(_, field, controller)| (field, controller))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_know_their_controllers() {
        let resources: LinuxResources = serde_json::from_value(serde_json::json!({
            "pids": {"limit": 5}, "cpu": {"cpus": "0"}, "hugepageLimits": []}))
        .unwrap();
        let controllers: Vec<_> = needed(&resources)
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(controllers, ["pids", "cpuset"]);
        assert!(has("hugetlb pids", "pids") && !has("hugetlb pids_max", "pids"));
    }
}
