//! Who the program is and what it may.

use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process};

/// User, groups and privileges of the program.
#[derive(Clone, Debug)]
pub struct Identity {
    /// User id, in the container.
    pub user: u32,
    /// Group id, in the container.
    pub group: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// All five sets are stated: what the configuration leaves out is empty.
    pub capabilities: LinuxCapabilities,
    /// Whether exec may not give more than the program has.
    pub no_new_privileges: bool,
}

/// What the mask is unless the configuration says otherwise; ours is nobody's business.
pub const DEFAULT_UMASK: u32 = 0o022;

/// The configured identity.
pub fn plan(process: &Process) -> Identity {
    let user = process.user();
    Identity {
        user: user.uid(),
        group: user.gid(),
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask().unwrap_or(DEFAULT_UMASK),
        capabilities: stated(process.capabilities().as_ref()),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
    }
}

/// A set that is left out is empty, and so are all when there is no section at all. (libcontainer
/// leaves such a set as it was, which for root is everything.)
fn stated(configured: Option<&LinuxCapabilities>) -> LinuxCapabilities {
    type Get = fn(&LinuxCapabilities) -> &Option<Capabilities>;
    let set = |get: Get| {
        configured
            .and_then(|sets| get(sets).clone())
            .unwrap_or_default()
    };
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(set(LinuxCapabilities::bounding)))
        .set_effective(Some(set(LinuxCapabilities::effective)))
        .set_permitted(Some(set(LinuxCapabilities::permitted)))
        .set_inheritable(Some(set(LinuxCapabilities::inheritable)))
        .set_ambient(Some(set(LinuxCapabilities::ambient)));
    capabilities
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use oci_spec::runtime::Capability;
    use serde_json::json;

    #[test]
    fn no_capabilities_means_none() {
        let identity = plan_with(|config| {
            config["process"]["capabilities"] = json!(null);
        })
        .unwrap()
        .payload
        .identity;
        for set in [
            identity.capabilities.bounding(),
            identity.capabilities.effective(),
        ] {
            assert!(set.as_ref().unwrap().is_empty());
        }
    }

    #[test]
    fn a_plain_list_is_bounding_effective_and_permitted() {
        let identity = plan_with(|config| {
            config["process"]["capabilities"] = json!(["CAP_NET_RAW"]);
        })
        .unwrap()
        .payload
        .identity;
        let sets = identity.capabilities;
        for set in [sets.bounding(), sets.effective(), sets.permitted()] {
            assert!(set.as_ref().unwrap().contains(&Capability::NetRaw));
        }
        for set in [sets.inheritable(), sets.ambient()] {
            assert!(set.as_ref().unwrap().is_empty());
        }
    }
}
