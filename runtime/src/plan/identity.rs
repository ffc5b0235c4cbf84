//! Who the program is and what it may.

use libcontainer::capabilities::CapabilityExt;
use oci_spec::runtime::{Capabilities as Names, LinuxCapabilities, Process};

use super::Remark;

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
    /// What of root's powers it has.
    pub capabilities: Capabilities,
    /// Whether exec may not give more than the program has.
    pub no_new_privileges: bool,
}

/// The five sets, each as a mask with a bit per number. What the configuration leaves out is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// More than this no program can ever get.
    pub bounding: u64,
    /// Holds now.
    pub effective: u64,
    /// May be made effective.
    pub permitted: u64,
    /// Goes to programs that ask for it.
    pub inheritable: u64,
    /// Goes to all programs.
    pub ambient: u64,
}

/// What the mask is unless the configuration says otherwise; ours is nobody's business.
pub const DEFAULT_UMASK: u32 = 0o022;

impl Identity {
    /// The kernel raises no ambient capability that is not permitted and inheritable.
    pub fn remarks(&self) -> Vec<Remark> {
        let sets = &self.capabilities;
        let left_out = sets.ambient & !(sets.permitted & sets.inheritable);
        let mut names: Vec<caps::Capability> = caps::all().into_iter().collect();
        names.retain(|name| left_out & name.bitmask() != 0);
        names.sort_by_key(caps::Capability::bitmask);
        let remark = |name| {
            let why = "it is not both permitted and inheritable";
            Remark::Warning(format!("can't raise ambient capability {name}: {why}"))
        };
        names.into_iter().map(remark).collect()
    }
}

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

fn stated(configured: Option<&LinuxCapabilities>) -> Capabilities {
    let Some(sets) = configured else {
        return Capabilities::default();
    };
    let mask = |names: &Option<Names>| {
        let bits = names.iter().flatten().map(|name| name.to_cap().bitmask());
        bits.fold(0, |all, bit| all | bit)
    };
    Capabilities {
        bounding: mask(sets.bounding()),
        effective: mask(sets.effective()),
        permitted: mask(sets.permitted()),
        inheritable: mask(sets.inheritable()),
        ambient: mask(sets.ambient()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::{Value, json};

    fn planned(capabilities: Value) -> Capabilities {
        let plan = plan_with(|config| config["process"]["capabilities"] = capabilities);
        plan.unwrap().payload.identity.capabilities
    }

    #[test]
    fn what_is_left_out_is_empty() {
        assert_eq!(planned(json!(null)), Capabilities::default());
        let found = planned(json!({"inheritable": ["CAP_CHOWN", "CAP_SYSLOG", "CAP_OF_TOMORROW"]}));
        let wanted = Capabilities {
            inheritable: 1 << 34 | 1,
            ..Capabilities::default()
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn ambient_capabilities_that_cannot_be_are_told() {
        let plan = plan_with(|config| {
            config["process"]["capabilities"] = json!({"permitted": ["CAP_KILL", "CAP_CHOWN"],
                "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL", "CAP_CHOWN"]});
        });
        let remarks = plan.unwrap().payload.remarks;
        let [Remark::Warning(text)] = &remarks[..] else {
            panic!("{remarks:?}")
        };
        assert!(text.contains("CAP_CHOWN"), "{text}");
    }

    #[test]
    fn a_plain_list_is_bounding_effective_and_permitted() {
        let found = planned(json!(["CAP_NET_RAW"]));
        let wanted = Capabilities {
            bounding: 1 << 13,
            effective: 1 << 13,
            permitted: 1 << 13,
            ..Capabilities::default()
        };
        assert_eq!(found, wanted);
    }
}
