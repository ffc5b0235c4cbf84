//! Which namespaces are made with the clone, which later, and which are joined.

use std::path::PathBuf;

use nix::sched::CloneFlags;
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

/// What is done about namespaces, and when.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// An existing user namespace. It is entered before any other is made or joined, so that they
    /// belong to it.
    pub join_user: Option<Join>,
    /// Made by the clone itself.
    pub clone_flags: u64,
    /// Existing ones that the parent enters just for the clone, since only children feel it.
    pub join_before: Vec<Join>,
    /// Existing ones that the child enters.
    pub join: Vec<Join>,
    /// An existing one of PIDs that is entered when all is set up, by the process that goes on.
    pub join_last: Option<Join>,
    /// Made by the child once it is in its cgroup, which becomes the namespace's root.
    pub new_cgroup: bool,
    /// A time namespace: its clocks must be set before anybody is in it.
    pub new_time: Option<Vec<String>>,
    /// Users and groups of a new user namespace.
    pub mapping: Option<Mapping>,
}

/// A namespace that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its kind, as setns(2) has it.
    pub kind: CloneFlags,
    /// A file that holds it.
    pub path: PathBuf,
}

impl Join {
    fn is_pid(&self) -> bool {
        self.kind == CloneFlags::CLONE_NEWPID
    }
}

/// Lines of uid_map and gid_map: first id inside, first id outside, how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Users.
    pub users: Vec<(u32, u32, u32)>,
    /// Groups.
    pub groups: Vec<(u32, u32, u32)>,
}

impl Mapping {
    /// Who a user of the container is on the host.
    pub fn user_outside(&self, user: u32) -> Option<u32> {
        self.users.iter().find_map(|(inside, outside, count)| {
            let offset = user.checked_sub(*inside).filter(|offset| offset < count)?;
            outside.checked_add(offset)
        })
    }
}

impl Namespaces {
    /// Whether the container's mounts are its own.
    pub fn has_mount(&self) -> bool {
        self.has(CloneFlags::CLONE_NEWNS)
    }

    /// Whether the container's users are not the host's.
    pub fn has_user(&self) -> bool {
        self.join_user.is_some() || self.has(CloneFlags::CLONE_NEWUSER)
    }

    /// Whether a cgroup namespace hides the host's cgroups.
    pub fn has_cgroup(&self) -> bool {
        self.new_cgroup || self.has(CloneFlags::CLONE_NEWCGROUP)
    }

    /// What the first of two clones makes, if one alone cannot do: what is made or borrowed for the
    /// last clone belongs to the user namespace, so somebody must be in that before. Only root can
    /// enter from outside what belongs to others.
    pub fn ahead(&self, is_root: bool) -> Option<u64> {
        let user = self.clone_flags & CloneFlags::CLONE_NEWUSER.bits() as u64;
        let belongs = match is_root {
            true => self.new_time.is_some() && self.join_before.is_empty(),
            false => self.new_time.is_some() || !self.join_before.is_empty(),
        };
        let needed = self.join_user.is_some() || (belongs && user != 0);
        needed.then_some(user)
    }

    /// Whether the child is number 1 of new processes.
    pub fn has_new_pid(&self) -> bool {
        self.clone_flags & CloneFlags::CLONE_NEWPID.bits() as u64 != 0
    }

    /// Whether the network is a new one, with nothing but a loopback device that is down.
    pub fn has_new_network(&self) -> bool {
        self.clone_flags & CloneFlags::CLONE_NEWNET.bits() as u64 != 0
    }

    /// Whether anything at all separates the child from us.
    pub fn any(&self) -> bool {
        self.clone_flags != 0
            || self.join_user.is_some()
            || !self.join.is_empty()
            || !self.join_before.is_empty()
            || self.join_last.is_some()
    }

    /// Whether an existing PID namespace may be entered last: in another user namespace nobody has
    /// the right to enter it any more.
    pub fn can_join_last(&self) -> bool {
        !self.has_user() && self.join_before.iter().any(Join::is_pid)
    }

    /// Enters an existing PID namespace last.
    pub(super) fn join_last(&mut self) -> Option<&Join> {
        let at = self.join_before.iter().position(Join::is_pid)?;
        self.join_last = Some(self.join_before.remove(at));
        self.join_last.as_ref()
    }

    /// Whether one of this kind is made or joined.
    pub fn has(&self, kind: CloneFlags) -> bool {
        self.clone_flags & kind.bits() as u64 != 0 || self.join.iter().any(|join| join.kind == kind)
    }
}

/// Sorts the configured namespaces by the moment at which each must be made.
pub fn plan(linux: &Linux) -> Namespaces {
    let mut namespaces = Namespaces::default();
    for namespace in linux.namespaces().iter().flatten() {
        let kind = kind(namespace.typ());
        match (namespace.path(), namespace.typ()) {
            (Some(path), LinuxNamespaceType::Pid | LinuxNamespaceType::Time) => {
                namespaces.join_before.push(Join {
                    kind,
                    path: path.clone(),
                });
            }
            (Some(path), LinuxNamespaceType::User) => {
                namespaces.join_user = Some(Join {
                    kind,
                    path: path.clone(),
                });
            }
            (Some(path), _) => namespaces.join.push(Join {
                kind,
                path: path.clone(),
            }),
            (None, LinuxNamespaceType::Cgroup) => namespaces.new_cgroup = true,
            (None, LinuxNamespaceType::Time) => namespaces.new_time = Some(offsets(linux)),
            (None, _) => namespaces.clone_flags |= kind.bits() as u64,
        }
    }
    // Entering a mount namespace changes what the paths of the others mean.
    namespaces
        .join
        .sort_by_key(|join| join.kind == CloneFlags::CLONE_NEWNS);
    if namespaces.clone_flags & CloneFlags::CLONE_NEWUSER.bits() as u64 != 0 {
        namespaces.mapping = Some(Mapping {
            users: ranges(linux.uid_mappings().as_deref()),
            groups: ranges(linux.gid_mappings().as_deref()),
        });
    }
    namespaces
}

fn kind(typ: LinuxNamespaceType) -> CloneFlags {
    match typ {
        LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
        LinuxNamespaceType::User => CloneFlags::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => CloneFlags::CLONE_NEWPID,
        LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
        LinuxNamespaceType::Time => CloneFlags::from_bits_retain(libc::CLONE_NEWTIME),
    }
}

/// Lines for timens_offsets.
fn offsets(linux: &Linux) -> Vec<String> {
    linux
        .time_offsets()
        .iter()
        .flatten()
        .map(|(clock, offset)| {
            let (seconds, nanoseconds) = (offset.secs(), offset.nanosecs());
            format!(
                "{clock} {} {}\n",
                seconds.unwrap_or(0),
                nanoseconds.unwrap_or(0)
            )
        })
        .collect()
}

pub(super) fn ranges(mappings: Option<&[LinuxIdMapping]>) -> Vec<(u32, u32, u32)> {
    let range = |map: &LinuxIdMapping| (map.container_id(), map.host_id(), map.size());
    mappings.unwrap_or_default().iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_has_its_moment() {
        let namespaces = plan_with(|config| {
            config["linux"]["namespaces"] = json!([
                {"type": "mount", "path": "/m"}, {"type": "pid", "path": "/p"},
                {"type": "network", "path": "/n"}, {"type": "uts"}, {"type": "cgroup"},
                {"type": "user"}, {"type": "time"},
            ]);
            config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 5}});
            config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 7, "size": 9}]);
            config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 8, "size": 9}]);
        })
        .unwrap()
        .namespaces;
        let kinds: Vec<_> = namespaces.join.iter().map(|join| join.kind).collect();
        assert_eq!(kinds, [CloneFlags::CLONE_NEWNET, CloneFlags::CLONE_NEWNS]);
        assert_eq!(namespaces.join_before[0].kind, CloneFlags::CLONE_NEWPID);
        assert!(namespaces.new_cgroup && namespaces.has_mount() && !namespaces.has_new_pid());
        assert_eq!(namespaces.new_time.unwrap(), ["boottime 5 0\n"]);
        let mapping = namespaces.mapping.unwrap();
        assert_eq!(
            (mapping.users, mapping.groups),
            (vec![(0, 7, 9)], vec![(0, 8, 9)])
        );
    }

    #[test]
    fn a_user_namespace_comes_before_what_belongs_to_it() {
        let planned = |kinds: serde_json::Value| {
            plan_with(|config| {
                config["linux"]["namespaces"] = kinds;
                config["linux"]["uidMappings"] =
                    json!([{"containerID": 0, "hostID": 7, "size": 9}]);
                config["linux"]["gidMappings"] =
                    json!([{"containerID": 0, "hostID": 8, "size": 9}]);
            })
            .unwrap()
            .namespaces
        };
        let made = CloneFlags::CLONE_NEWUSER.bits() as u64;
        let own = json!({"type": "user"});
        let joined = json!({"type": "user", "path": "/u"});
        let pid = json!({"type": "pid", "path": "/p"});
        let (mount, uts, time) = (
            json!({"type": "mount"}),
            json!({"type": "uts"}),
            json!({"type": "time"}),
        );
        for (kinds, as_root, as_user) in [
            (json!([own, mount, uts]), None, None),
            (json!([own, mount, uts, time]), Some(made), Some(made)),
            (json!([own, mount, uts, time, pid]), None, Some(made)),
            (json!([joined, mount, uts, time]), Some(0), Some(0)),
        ] {
            let namespaces = planned(kinds);
            assert!(namespaces.has_user());
            assert_eq!(namespaces.ahead(true), as_root);
            assert_eq!(namespaces.ahead(false), as_user);
        }
    }
}
