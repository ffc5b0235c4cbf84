//! Who owns the container's cgroup: with version 2 the user of a program that may divide it further.
//!
//! So says the specification ("Cgroup ownership"): where the container has a cgroup namespace of its
//! own and can write to its cgroup.

use libcontainer::syscall::linux::MOUNT_ATTR_RDONLY;

use super::mounts::{MountStep, What};
use super::namespaces::Namespaces;
use crate::bundle::Bundle;
use crate::facts::{CgroupMode, Facts};

/// The number that the host has for the program's user, if that is to be the owner.
pub fn owner(
    bundle: &Bundle,
    facts: &Facts,
    namespaces: &Namespaces,
    mounts: &[MountStep],
) -> Option<u32> {
    let divides = facts.cgroup_mode == CgroupMode::Unified && namespaces.new_cgroup;
    if !divides || facts.rootless || !mounts.iter().any(is_writable) {
        return None;
    }
    let user = bundle.process.user().uid();
    let owner = match (&namespaces.mapping, &namespaces.join_user) {
        (Some(mapping), _) => mapping.user_outside(user)?,
        // Its map is that of others.
        (None, Some(_)) => return None,
        (None, None) => user,
    };
    Some(owner).filter(|owner| *owner != 0)
}

fn is_writable(step: &MountStep) -> bool {
    let readonly = (step.attributes.set | step.attributes.set_all) & MOUNT_ATTR_RDONLY;
    step.what == What::Cgroup && readonly == 0
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use crate::plan::Cgroup;
    use serde_json::{Value, json};

    fn owner(change: impl FnOnce(&mut Value)) -> Option<u32> {
        let plan = plan_with(|config| {
            config["linux"]["cgroupsPath"] = json!("/a");
            let map = json!([{"containerID": 0, "hostID": 1000, "size": 9}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["linux"]["namespaces"] =
                json!([{"type": "user"}, {"type": "cgroup"}, {"type": "mount"}, {"type": "uts"}]);
            config["mounts"] = json!([{"destination": "/c", "type": "cgroup"}]);
            change(config);
        });
        match plan.unwrap().cgroup {
            Cgroup::Own(own) => own.owner,
            Cgroup::Stay => None,
        }
    }

    #[test]
    fn the_owner_is_the_programs_user() {
        assert_eq!(owner(|_| {}), Some(1000));
        assert_eq!(
            owner(|c| c["process"]["user"]["uid"] = json!(8)),
            Some(1008)
        );
        assert_eq!(owner(|c| c["process"]["user"]["uid"] = json!(9)), None);
        assert_eq!(owner(|c| c["mounts"][0]["options"] = json!(["ro"])), None);
        assert_eq!(
            owner(|c| c["linux"]["namespaces"][1] = json!({"type": "ipc"})),
            None
        );
    }

    #[test]
    fn without_a_user_namespace_numbers_are_the_hosts() {
        let on_host = |user: u32| {
            owner(|config| {
                let linux = config["linux"].as_object_mut().unwrap();
                linux.retain(|key, _| !key.ends_with("Mappings"));
                linux["namespaces"][0] = json!({"type": "ipc"});
                config["process"]["user"]["uid"] = json!(user);
            })
        };
        assert_eq!((on_host(0), on_host(33)), (None, Some(33)));
    }
}
