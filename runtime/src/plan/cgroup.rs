//! Whether the container gets a cgroup of its own.
//!
//! A container that asks for no limits and is started by a service of systemd's stays in the service's
//! cgroup, which holds limits already, and a payload that left it would be lost to systemd. Any other
//! gets one of its own.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::rules::{self, Rule};
use super::scope::{self, Scope};
use super::{Error, Wishes};
use crate::bundle::Bundle;
use crate::facts::{CgroupMode, Facts};

/// Where the container's processes are accounted.
#[derive(Clone, Debug, PartialEq)]
pub enum Cgroup {
    /// In the cgroup that the runtime was started in.
    Stay,
    /// In one of its own.
    Own(Box<Own>),
}

/// A cgroup of the container's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// Where, and who makes it.
    pub place: Place,
    /// What it is limited to.
    pub resources: LinuxResources,
    /// Which devices may be used in it.
    pub devices: DeviceRules,
    /// Who may divide it further, as the host knows them.
    pub owner: Option<u32>,
}

/// Who makes a cgroup.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// We do, at this path from the root of the hierarchy.
    Path(PathBuf),
    /// systemd does, as a unit.
    Scope(Scope),
}

/// Device rules and how much depends on them.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceRules {
    /// The last one that speaks of a device holds.
    pub list: Vec<Rule>,
    /// Whether the container may do without them: nobody in it could make a node, and the
    /// configuration has no rules of its own.
    pub dispensable: bool,
}

impl Cgroup {
    /// What remains where none can be made: staying, unless there is something to limit.
    pub fn without_permission(&self) -> Result<Cgroup, Error> {
        match self {
            Cgroup::Own(own) if asks_for_limits(&own.resources) => {
                let reason = match &own.place {
                    Place::Path(path) => format!("cgroup '{}'", path.display()),
                    Place::Scope(scope) => format!("scope '{}'", scope.unit),
                } + " cannot be made by this user\nhelp: have a cgroup delegated (Delegate=yes), or \
                     remove the limits";
                Err(refused("linux.resources", &reason))
            }
            _ => Ok(Cgroup::Stay),
        }
    }
}

/// Decides, and refuses what could not be applied.
pub fn plan(
    bundle: &Bundle,
    facts: &Facts,
    (id, wishes): (&str, Wishes),
    owner: Option<u32>,
) -> Result<Cgroup, Error> {
    let linux = &bundle.linux;
    let asked = linux
        .cgroups_path()
        .as_deref()
        .filter(|path| !path.as_os_str().is_empty());
    let mut resources = linux.resources().clone().unwrap_or_default();
    let devices = DeviceRules {
        list: rules::plan(resources.devices().as_deref().unwrap_or_default())?,
        dispensable: facts.rootless && rules::are_default(&resources),
    };
    let asks = asked.is_some() || asks_for_limits(&resources) || wishes.systemd_cgroup;
    let nothing_to_make = facts.cgroup_mode == CgroupMode::None || facts.is_service();
    if !asks && nothing_to_make {
        return Ok(Cgroup::Stay);
    }
    if facts.cgroup_mode == CgroupMode::None {
        let field = if asked.is_some() {
            "linux.cgroupsPath"
        } else {
            "linux.resources"
        };
        let reason = "this host has no cgroups at '/sys/fs/cgroup'";
        return Err(refused(field, reason));
    }
    let place = match wishes.systemd_cgroup {
        true => Place::Scope(scope::plan(asked, id, &bundle.annotations, facts)?),
        false => Place::Path(place(asked, facts, id)?),
    };
    resources.set_devices(None);
    Ok(Cgroup::Own(Box::new(Own {
        place,
        resources,
        devices,
        owner,
    })))
}

/// An absolute path is one from the root of the hierarchy; a relative one, or none, is below ours.
/// With version 2 it is beside ours instead, for a cgroup with processes has no limited ones below; but
/// in a service it is below the service's, which may have been given to it alone.
fn place(asked: Option<&Path>, facts: &Facts, id: &str) -> Result<PathBuf, Error> {
    let path = asked.unwrap_or(Path::new(id));
    if !path.is_absolute() && path.to_string_lossy().matches(':').count() == 2 {
        let reason = "the form 'slice:prefix:name' needs --systemd-cgroup";
        return Err(refused("linux.cgroupsPath", reason));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("linux.cgroupsPath", "must not contain '..'"));
    }
    let unified = facts.cgroup_mode == CgroupMode::Unified;
    let base = match (facts.service_cgroup(), facts.own_cgroup.parent()) {
        (Some(service), _) if unified => service,
        (None, Some(above)) if unified => above,
        _ => &facts.own_cgroup,
    };
    let path = base.join(path);
    if path == Path::new("/") {
        return Err(refused(
            "linux.cgroupsPath",
            "the root cgroup cannot be a container's",
        ));
    }
    Ok(path)
}

/// The default device rules alone are no reason for a cgroup.
fn asks_for_limits(resources: &LinuxResources) -> bool {
    let mut others = resources.clone();
    others.set_devices(None);
    !rules::are_default(resources) || !is_empty(&others)
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

    fn own(path: Value, resources: Value) -> Own {
        match decide(path, resources).unwrap() {
            Cgroup::Own(own) => *own,
            Cgroup::Stay => panic!("it stays"),
        }
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
            (json!("/a:b:c"), "/a:b:c"),
            (json!("x"), "/system.slice/web.service/x"),
        ];
        for (asked, wanted) in table {
            let own = own(asked, json!(null));
            assert_eq!(own.place, Place::Path(wanted.into()));
        }
        let own = own(json!(null), json!({"pids": {"limit": 0}}));
        let path = "/system.slice/web.service/web".into();
        assert_eq!(own.place, Place::Path(path));
        assert!(!own.devices.list.is_empty());
    }

    #[test]
    fn rules_beyond_the_default_ones_are_a_reason_for_a_cgroup() {
        let fuse = json!({"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229}]});
        let own = own(json!(null), fuse);
        assert_eq!(own.devices.list[0].minor, Some(229));
        assert!(!own.devices.dispensable);
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        for path in ["/../../x", "/", "system.slice:sysc:web"] {
            let Error::Field { field, .. } = decide(json!(path), json!(null)).unwrap_err();
            assert_eq!(field, "linux.cgroupsPath");
        }
    }
}
