//! `linux.netDevices`: devices of the host's network for the container's.

use nix::sched::CloneFlags;
use oci_spec::runtime::Linux;

use super::{Error, Namespaces};

/// The kernel's names are shorter than this.
const IFNAMSIZ: usize = 16;

/// One device that is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub name: String,
    /// Its name in the container.
    pub new_name: String,
}

/// The configured devices, in the order of their names.
pub fn plan(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<NetDevice>, Error> {
    let refused = |field: String, reason: &str| {
        let reason = reason.to_owned();
        Err(Error::Field { field, reason })
    };
    let mut devices = Vec::new();
    for (name, device) in linux.net_devices().iter().flatten() {
        let new_name = device.name().clone().filter(|name| !name.is_empty());
        let new_name = new_name.unwrap_or_else(|| name.clone());
        if !is_name(name) || !is_name(&new_name) {
            let field = format!("linux.netDevices['{name}']");
            return refused(field, "is not a name of a network device");
        }
        devices.push(NetDevice {
            name: name.clone(),
            new_name,
        });
    }
    if !devices.is_empty() && !namespaces.has(CloneFlags::CLONE_NEWNET) {
        let field = "linux.netDevices".to_owned();
        return refused(field, "needs a network namespace of the container's own");
    }
    devices.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(devices)
}

fn is_name(name: &str) -> bool {
    let bad = |letter: char| letter == '/' || letter == ':' || letter.is_whitespace();
    !matches!(name, "" | "." | "..") && name.len() < IFNAMSIZ && !name.contains(bad)
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_checked_and_default_to_the_hosts() {
        let planned = |devices: serde_json::Value| {
            plan_with(|config| config["linux"]["netDevices"] = devices).map(|it| it.net_devices)
        };
        let found = planned(json!({"eth1": {}, "eth0": {"name": "lan"}})).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|it| (it.name.as_str(), it.new_name.as_str()))
            .collect();
        assert_eq!(names, [("eth0", "lan"), ("eth1", "eth1")]);
        for name in ["", "..", "a/b", "a b", "sixteen-letters!", "a:1"] {
            assert!(planned(json!({name: {}})).is_err(), "{name}");
            if !name.is_empty() {
                assert!(planned(json!({"eth0": {"name": name}})).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn the_hosts_network_gets_none() {
        let result = plan_with(|config| {
            config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "uts"}]);
            config["linux"]["netDevices"] = json!({"eth0": {}});
        });
        let Err(Error::Field { field, .. }) = result else {
            panic!("accepted")
        };
        assert_eq!(field, "linux.netDevices");
    }
}
