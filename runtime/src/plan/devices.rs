//! Which device nodes the container's /dev gets, and how.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};

use super::mounts::{MountStep, What};
use super::namespaces::Namespaces;

/// How many nodes each container has.
pub const USUAL: usize = ALWAYS.len();

/// What is put into /dev.
#[derive(Clone, Debug)]
pub struct Devices {
    /// The nodes.
    pub nodes: Vec<Device>,
    /// How they are placed.
    pub placing: Placing,
}

/// How device nodes come into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Made. Where making is forbidden, bound from the host instead.
    Make,
    /// Bound from the host: a new user namespace may make none.
    Bind,
    /// Not at all: /dev is the host's own, whose nodes and links are none of our business.
    Leave,
}

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where, in the container.
    pub path: PathBuf,
    /// What.
    pub kind: Kind,
    /// Numbers.
    pub major: u64,
    /// Numbers.
    pub minor: u64,
    /// Permissions.
    pub mode: u32,
    /// User and group in the container.
    pub owner: (u32, u32),
}

/// Kinds of device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Character,
    /// Blocks.
    Block,
    /// A named pipe.
    Fifo,
}

/// Devices that the specification promises to every container.
const ALWAYS: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The default devices, each unless the configuration has its own at that path, then the
/// configured ones.
pub fn plan(linux: &Linux, mounts: &[MountStep], namespaces: &Namespaces) -> Devices {
    let configured: Vec<Device> = linux
        .devices()
        .iter()
        .flatten()
        // The link to the container's own terminals is made in any case.
        .filter(|device| device.path() != Path::new("/dev/ptmx"))
        .filter_map(device)
        .collect();
    let mut nodes: Vec<Device> = ALWAYS
        .iter()
        .map(|(path, major, minor)| Device {
            path: PathBuf::from(path),
            kind: Kind::Character,
            major: *major,
            minor: *minor,
            mode: 0o666,
            owner: (0, 0),
        })
        .filter(|default| configured.iter().all(|device| device.path != default.path))
        .collect();
    nodes.extend(configured);
    Devices {
        nodes,
        placing: placing(mounts, namespaces),
    }
}

fn placing(mounts: &[MountStep], namespaces: &Namespaces) -> Placing {
    let over_dev = mounts
        .iter()
        .rev()
        .find(|mount| mount.target == Path::new("/dev"));
    let is_host = over_dev.is_some_and(|mount| matches!(mount.what, What::Bind(_)));
    // Without mounts of its own, a container has what its image has.
    let has_own = namespaces.has_mount() || over_dev.is_some();
    if is_host || !has_own {
        Placing::Leave
    } else if namespaces.has_user() {
        Placing::Bind
    } else {
        Placing::Make
    }
}

fn device(device: &LinuxDevice) -> Option<Device> {
    let kind = match device.typ() {
        LinuxDeviceType::B => Kind::Block,
        LinuxDeviceType::C | LinuxDeviceType::U => Kind::Character,
        LinuxDeviceType::P => Kind::Fifo,
        LinuxDeviceType::A => return None,
    };
    Some(Device {
        path: device.path().clone(),
        kind,
        major: device.major().try_into().unwrap_or(0),
        minor: device.minor().try_into().unwrap_or(0),
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configured_device_replaces_the_default_one() {
        let devices = plan_with(|config| {
            config["linux"]["devices"] =
                json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 420}]);
        })
        .unwrap()
        .devices;
        let nulls: Vec<_> = devices
            .nodes
            .iter()
            .filter(|node| node.path.ends_with("null"))
            .collect();
        assert_eq!(nulls.len(), 1);
        assert_eq!(nulls[0].mode, 0o644);
        assert_eq!(devices.placing, Placing::Make);
    }

    #[test]
    fn the_hosts_own_dev_is_left_alone() {
        let devices = plan_with(|config| {
            config["mounts"][1] =
                json!({"destination": "/dev", "source": "/dev", "options": ["rbind"]});
        })
        .unwrap()
        .devices;
        assert_eq!(devices.placing, Placing::Leave);
    }
}
