//! Kernel parameters: only those that belong to a namespace of the container's own.

use oci_spec::runtime::{Linux, LinuxNamespaceType as Kind};

use super::Error;
use crate::bundle::Names;

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// As configured, for messages.
    pub name: String,
    /// Where it is below /proc/sys.
    pub path: String,
    /// What is written.
    pub value: String,
}

impl Sysctl {
    /// Whether it belongs to the network.
    pub fn is_of_network(&self) -> bool {
        self.path.starts_with("net/")
    }
}

/// Parameters that each IPC namespace has for itself.
const OF_IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// In the order of their names.
pub fn plan(linux: &Linux, names: &Names) -> Result<Vec<Sysctl>, Error> {
    let mut list = linux
        .sysctl()
        .iter()
        .flatten()
        .map(|(name, value)| {
            let sysctl = Sysctl {
                name: name.clone(),
                path: path(name),
                value: value.clone(),
            };
            match check(&sysctl, linux, names) {
                Ok(()) => Ok(sysctl),
                Err(reason) => Err(Error::Field {
                    field: "linux.sysctl".to_owned(),
                    reason: format!("'{name}' {reason}"),
                }),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    list.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(list)
}

/// As sysctl(8): the separator that comes first is the one between parts, and the other is part of
/// a name (`net/ipv4/conf/eth0.5/…`, or with both exchanged).
fn path(name: &str) -> String {
    let dots = name
        .find(['.', '/'])
        .is_some_and(|at| name[at..].starts_with('.'));
    let exchanged = name.chars().map(|letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    });
    match dots {
        true => exchanged.collect(),
        false => name.to_owned(),
    }
}

fn check(sysctl: &Sysctl, linux: &Linux, names: &Names) -> Result<(), String> {
    let has = |kind| {
        let mut namespaces = linux.namespaces().iter().flatten();
        namespaces.any(|namespace| namespace.typ() == kind)
    };
    let needs = |kind: Kind| match has(kind) {
        true => Ok(()),
        false => Err(format!(
            "needs a namespace of type '{kind}' of the container's own"
        )),
    };
    let path = sysctl.path.as_str();
    if path.contains('\0') || path.split('/').any(|part| part.is_empty() || part == "..") {
        return Err("is not a name".to_owned());
    }
    match path {
        "kernel/hostname" => Err("conflicts with the field 'hostname'".to_owned()),
        "kernel/domainname" if names.domain.as_ref().is_some_and(|it| *it != sysctl.value) => {
            Err("conflicts with the field 'domainname'".to_owned())
        }
        "kernel/domainname" => needs(Kind::Uts),
        _ if OF_IPC.contains(&path) || path.starts_with("fs/mqueue/") => needs(Kind::Ipc),
        _ if path.starts_with("net/") => needs(Kind::Network),
        _ if path.starts_with("user/") => needs(Kind::User),
        _ => Err("is not in a separate kernel namespace".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_separator_decides() {
        let table = [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            (
                "net/ipv4/conf/eth0.5/rp_filter",
                "net/ipv4/conf/eth0.5/rp_filter",
            ),
            (
                "net.ipv4.conf.eth0/5.rp_filter",
                "net/ipv4/conf/eth0.5/rp_filter",
            ),
            ("kernel", "kernel"),
        ];
        for (name, wanted) in table {
            assert_eq!(path(name), wanted);
        }
    }

    #[test]
    fn a_name_has_one_value() {
        let named = |value: &str| {
            plan_with(|config| {
                config["domainname"] = json!("one");
                config["linux"]["sysctl"] = json!({"kernel.domainname": value});
            })
        };
        assert!(named("one").is_ok());
        let Error::Field { reason, .. } = named("other").unwrap_err();
        assert!(reason.contains("'domainname'"), "{reason}");
    }

    #[test]
    fn each_needs_its_namespace() {
        let table = [
            ("kernel.shmmax", "ipc", true),
            ("fs/mqueue/msg_max", "ipc", true),
            ("net.core.somaxconn", "network", true),
            ("kernel.domainname", "uts", true),
            ("user.max_user_namespaces", "user", true),
            ("kernel.shmmax", "network", false),
            ("net.core.somaxconn", "ipc", false),
            ("user.max_user_namespaces", "pid", false),
            ("kernel.hostname", "uts", false),
            ("kernel.sysrq", "pid", false),
            ("vm.swappiness", "mount", false),
            ("net/../kernel/sysrq", "network", false),
            ("net..core", "network", false),
            ("", "network", false),
        ];
        for (name, kind, good) in table {
            let result = plan_with(|config| {
                let map = json!([{"containerID": 0, "hostID": 0, "size": 9}]);
                config["hostname"] = json!("");
                config["linux"] = json!({
                    "namespaces": [{"type": kind}, {"type": "mount"}],
                    "sysctl": {name: "1"},
                });
                if kind == "user" {
                    config["linux"]["uidMappings"] = map.clone();
                    config["linux"]["gidMappings"] = map;
                }
                if kind == "mount" {
                    config["linux"]["namespaces"] = json!([{"type": "mount"}]);
                }
            });
            match result {
                Ok(plan) => assert!(good && plan.sysctls[0].name == name, "{name} {kind}"),
                Err(Error::Field { field, reason }) => {
                    assert!(!good && field == "linux.sysctl", "{name} {kind}: {reason}");
                }
            }
        }
    }
}
