//! Whether the container gets a cgroup of its own.
//!
//! A container that asks for no limits stays where it was started: below a systemd unit that is
//! the unit's cgroup, and a payload that left it would be lost to systemd.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxDeviceCgroup, LinuxDeviceType, LinuxPids, LinuxResources};

use super::Error;
use crate::facts::{CgroupMode, Facts};

/// Where the container's processes are accounted.
#[derive(Clone, Debug, PartialEq)]
pub enum Cgroup {
    /// In the cgroup that the runtime was started in.
    Stay,
    /// In one of its own.
    Own {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// What it is limited to.
        resources: Box<LinuxResources>,
    },
}

impl Cgroup {
    /// What remains where none can be made: staying, unless there is something to limit.
    pub fn without_permission(&self) -> Result<Cgroup, Error> {
        match self {
            Cgroup::Own { path, resources } if asks_for_limits(resources) => {
                let reason = format!(
                    "cgroup '{}' cannot be made by this user\nhelp: have a cgroup delegated \
                     (Delegate=yes), or remove the limits",
                    path.display()
                );
                Err(refused("linux.resources", &reason))
            }
            _ => Ok(Cgroup::Stay),
        }
    }
}

/// Decides, and refuses what could not be applied.
pub fn plan(linux: &Linux, facts: &Facts, id: &str) -> Result<Cgroup, Error> {
    let asked = linux
        .cgroups_path()
        .as_deref()
        .filter(|path| !path.as_os_str().is_empty());
    let resources = linux.resources().clone().unwrap_or_default();
    let resources = self::resources(resources, facts.cgroup_mode)?;
    if asked.is_none() && !asks_for_limits(&resources) {
        return Ok(Cgroup::Stay);
    }
    if facts.cgroup_mode == CgroupMode::None {
        let field = if asked.is_some() {
            "linux.cgroupsPath"
        } else {
            "linux.resources"
        };
        return Err(refused(
            field,
            "this host has no cgroups at '/sys/fs/cgroup'",
        ));
    }
    Ok(Cgroup::Own {
        path: place(asked, facts, id)?,
        resources: Box::new(resources),
    })
}

/// Limits as a cgroup of this host can hold them.
pub fn resources(mut resources: LinuxResources, mode: CgroupMode) -> Result<LinuxResources, Error> {
    refuse(&resources, mode)?;
    mend_pids(&mut resources);
    if mode == CgroupMode::Unified {
        resources.set_devices(None);
    }
    Ok(resources)
}

/// An absolute path is one from the root of the hierarchy; a relative one, or none, is below ours.
fn place(asked: Option<&Path>, facts: &Facts, id: &str) -> Result<PathBuf, Error> {
    let path = asked.unwrap_or(Path::new(id));
    if path.to_string_lossy().contains(':') {
        let reason = "the form 'slice:prefix:name' of the systemd driver is not supported";
        return Err(refused("linux.cgroupsPath", reason));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("linux.cgroupsPath", "must not contain '..'"));
    }
    let path = facts.own_cgroup.join(path);
    if path == Path::new("/") {
        return Err(refused(
            "linux.cgroupsPath",
            "the root cgroup cannot be a container's",
        ));
    }
    Ok(path)
}

/// What no cgroup of this host could hold.
fn refuse(resources: &LinuxResources, mode: CgroupMode) -> Result<(), Error> {
    let unified = mode == CgroupMode::Unified;
    let has_own_rules = !has_default_rules(resources);
    if has_own_rules && unified {
        let reason = "rules beyond the default ones are not supported with cgroup v2";
        return Err(refused("linux.resources.devices", reason));
    }
    if resources
        .rdma()
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        return Err(refused("linux.resources.rdma", "is not supported"));
    }
    if !unified
        && resources
            .unified()
            .as_ref()
            .is_some_and(|map| !map.is_empty())
    {
        return Err(refused("linux.resources.unified", "needs cgroup v2"));
    }
    Ok(())
}

/// The default device rules alone are no reason for a cgroup.
fn asks_for_limits(resources: &LinuxResources) -> bool {
    let mut others = resources.clone();
    others.set_devices(None);
    !has_default_rules(resources) || !is_empty(&others)
}

fn has_default_rules(resources: &LinuxResources) -> bool {
    resources.devices().iter().flatten().all(is_default_rule)
}

/// "Nothing" and "everything", the two rules that default configurations begin with, and the
/// devices that the specification promises to each container. The first is not enforced without a
/// cgroup: what keeps a payload from other devices is that its /dev has none and that it lacks
/// CAP_MKNOD.
fn is_default_rule(rule: &LinuxDeviceCgroup) -> bool {
    const PROMISED: [(i64, Option<i64>); 9] = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
    ];
    let any = rule.typ().is_none_or(|typ| typ == LinuxDeviceType::A);
    let wildcard = |number: Option<i64>| number.filter(|number| *number >= 0);
    let (major, minor) = (wildcard(rule.major()), wildcard(rule.minor()));
    if any && major.is_none() && minor.is_none() {
        return true;
    }
    let promised = |(a, b): &(i64, Option<i64>)| major == Some(*a) && minor == *b;
    let mknod_only = rule.access().as_deref() == Some("m");
    rule.allow()
        && rule.typ() != Some(LinuxDeviceType::B)
        && (PROMISED.iter().any(promised) || mknod_only)
}

/// Zero is a limit like any other, but a container needs one process to begin with.
fn mend_pids(resources: &mut LinuxResources) {
    if resources
        .pids()
        .as_ref()
        .is_some_and(|pids| pids.limit() == 0)
    {
        let mut pids = LinuxPids::default();
        pids.set_limit(1);
        resources.set_pids(Some(pids));
    }
}

/// Whether a section like `"cpu": {}` is all there is.
fn is_empty(resources: &LinuxResources) -> bool {
    let text = serde_json::to_value(resources).unwrap_or_default();
    holds_nothing(&text)
}

fn holds_nothing(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(object) => object.values().all(holds_nothing),
        serde_json::Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    }
}

fn refused(field: &str, reason: &str) -> Error {
    Error::Field {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::{Value, json};

    fn decide(path: Value, resources: Value) -> Result<Cgroup, Error> {
        plan_with(|config| {
            config["linux"]["cgroupsPath"] = path;
            config["linux"]["resources"] = resources;
        })
        .map(|plan| plan.cgroup)
    }

    #[test]
    fn without_limits_nothing_is_joined() {
        let table = [
            json!(null),
            json!({}),
            json!({"devices": [{"allow": false, "access": "rwm"}]}),
            json!({"devices": [{"allow": true, "access": "rwm"}]}),
            json!({"devices": [{"allow": false, "type": "a", "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "c", "major": -1, "minor": -1, "access": "m"}]}),
            json!({"cpu": {}, "memory": {}, "devices": []}),
        ];
        for resources in table {
            assert_eq!(
                decide(json!(null), resources.clone()).unwrap(),
                Cgroup::Stay,
                "{resources}"
            );
        }
    }

    #[test]
    fn a_path_says_where() {
        let table = [
            (json!("/a/b"), "/a/b"),
            (json!("x"), "/system.slice/web.service/x"),
        ];
        for (asked, wanted) in table {
            let Cgroup::Own { path, .. } = decide(asked, json!(null)).unwrap() else {
                panic!()
            };
            assert_eq!(path, Path::new(wanted));
        }
        let own = decide(json!(null), json!({"pids": {"limit": 0}})).unwrap();
        let Cgroup::Own { path, resources } = own else {
            panic!()
        };
        assert_eq!(path, Path::new("/system.slice/web.service/web"));
        assert_eq!(resources.pids().as_ref().unwrap().limit(), 1);
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        let fuse = json!({"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229}]});
        let table = [
            (json!("/../../x"), json!(null), "linux.cgroupsPath"),
            (json!("/"), json!(null), "linux.cgroupsPath"),
            (
                json!("system.slice:sysc:web"),
                json!(null),
                "linux.cgroupsPath",
            ),
            (json!(null), fuse, "linux.resources.devices"),
        ];
        for (path, resources, name) in table {
            let Error::Field { field, .. } = decide(path, resources).unwrap_err();
            assert_eq!(field, name);
        }
    }
}
