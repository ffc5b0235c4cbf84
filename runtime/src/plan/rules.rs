//! Which devices the container's processes may use: the configured list, and what always follows.
//!
//! Of several rules that speak of a device the last one holds, for each kind of access by itself.
//! What no rule speaks of is forbidden.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use super::Error;

/// One line: for which devices, what may or may not be done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is allowed.
    pub allow: bool,
    /// `None` for both.
    pub kind: Option<DeviceKind>,
    /// `None` for every number.
    pub major: Option<u32>,
    /// `None` for every number.
    pub minor: Option<u32>,
    /// What of it the rule speaks of.
    pub access: Access,
}

/// Kinds of devices, numbered as the kernel numbers them for filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Blocks.
    Block = 1,
    /// Bytes.
    Character = 2,
}

/// A set of accesses, as the kernel's bits: 1 make a node, 2 read, 4 write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(pub u32);

impl Access {
    /// Make nodes of.
    pub const MAKE: Access = Access(1);
    /// Read from.
    pub const READ: Access = Access(2);
    /// Write to.
    pub const WRITE: Access = Access(4);
    /// All of it.
    pub const ALL: Access = Access(7);

    fn parse(text: &str) -> Option<Access> {
        let bits = text.chars().try_fold(0, |bits, letter| {
            Some(
                bits | match letter {
                    'm' => Access::MAKE.0,
                    'r' => Access::READ.0,
                    'w' => Access::WRITE.0,
                    // Means nothing, but is written.
                    'a' => 0,
                    _ => return None,
                },
            )
        })?;
        (bits != 0).then_some(Access(bits))
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = [
            (Access::READ, 'r'),
            (Access::WRITE, 'w'),
            (Access::MAKE, 'm'),
        ];
        let held = letters.iter().filter(|(access, _)| self.0 & access.0 != 0);
        let text: String = held.map(|(_, letter)| *letter).collect();
        formatter.write_str(&text)
    }
}

/// Nodes may be made of all devices; these may be used: null, zero, full, random, urandom, tty,
/// ptmx and every pseudo terminal.
const PROMISED: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// The configured rules and then the default ones, which therefore hold in any case.
pub fn plan(configured: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, Error> {
    let rules = configured.iter().enumerate().map(|(index, device)| {
        rule(device).map_err(|reason| Error::Field {
            field: format!("linux.resources.devices[{index}].{}", reason.0),
            reason: reason.1,
        })
    });
    let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
    Ok(rules.into_iter().chain(defaults()).collect())
}

fn defaults() -> impl Iterator<Item = Rule> {
    let allow = |kind, major, minor, access| Rule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access,
    };
    let make = |kind| allow(kind, None, None, Access::MAKE);
    let promised = PROMISED
        .iter()
        .map(move |(major, minor)| allow(DeviceKind::Character, Some(*major), *minor, Access::ALL));
    [make(DeviceKind::Block), make(DeviceKind::Character)]
        .into_iter()
        .chain(promised)
}

/// A rule, or the field that is wrong with it and why.
fn rule(device: &LinuxDeviceCgroup) -> Result<Rule, (&'static str, String)> {
    let number = |field, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| (field, format!("{number} is no device number"))),
    };
    let access = match device.access().as_deref() {
        None => Some(Access::ALL),
        Some(text) => Access::parse(text),
    };
    let kind = match device.typ() {
        None | Some(LinuxDeviceType::A) => None,
        Some(LinuxDeviceType::B) => Some(DeviceKind::Block),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(DeviceKind::Character),
        Some(LinuxDeviceType::P) => return Err(("type", "a named pipe is no device".to_owned())),
    };
    Ok(Rule {
        allow: device.allow(),
        kind,
        major: number("major", device.major())?,
        minor: number("minor", device.minor())?,
        access: access.ok_or(("access", "is not made of 'r', 'w' and 'm'".to_owned()))?,
    })
}

/// Whether a container could do without enforcement of its rules, so that they alone are no reason
/// for a cgroup: "nothing" and "everything", with which default configurations begin, and what
/// follows in any case.
pub fn are_default(resources: &LinuxResources) -> bool {
    let default: Vec<Rule> = defaults().collect();
    let is_default = |device: &LinuxDeviceCgroup| {
        let Ok(rule) = rule(device) else {
            return false;
        };
        let of_all = rule.kind.is_none() && rule.major.is_none() && rule.minor.is_none();
        // The console's number is among those that engines have always named.
        let console = rule.allow && (rule.major, rule.minor) == (Some(5), Some(1));
        let covers = |known: &Rule| {
            rule.allow
                && rule.kind == known.kind
                && (known.major.is_none() || rule.major == known.major)
                && (known.minor.is_none() || rule.minor == known.minor)
                && rule.access.0 & !known.access.0 == 0
        };
        of_all || console || default.iter().any(covers)
    };
    resources.devices().iter().flatten().all(is_default)
}

/// Whether nothing is forbidden to begin with, and nothing afterwards.
pub fn allow_all(rules: &[Rule]) -> bool {
    let of_all = |rule: &Rule| {
        (rule.kind, rule.major, rule.minor) == (None, None, None) && rule.access == Access::ALL
    };
    match rules.iter().rposition(of_all) {
        Some(last) => rules[last..].iter().all(|rule| rule.allow),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(list: serde_json::Value) -> Result<Vec<Rule>, Error> {
        let devices: Vec<LinuxDeviceCgroup> = serde_json::from_value(list).unwrap();
        plan(&devices)
    }

    #[test]
    fn default_devices_follow_what_is_configured() {
        let found = rules(json!([{"allow": false, "access": "rwm"}])).unwrap();
        assert!(!found[0].allow);
        assert_eq!(found[0].access, Access::ALL);
        assert_eq!(found.len(), 1 + 2 + PROMISED.len());
        assert!(found[1..].iter().all(|rule| rule.allow));
        let null = (Some(DeviceKind::Character), Some(1), Some(3));
        let is_null = |rule: &Rule| (rule.kind, rule.major, rule.minor) == null;
        assert!(found.iter().any(is_null));
    }

    #[test]
    fn what_is_no_rule_is_refused_by_name() {
        let table = [
            (
                json!([{"access": "x"}]),
                "linux.resources.devices[0].access",
            ),
            (json!([{"access": ""}]), "linux.resources.devices[0].access"),
            (
                json!([{}, {"major": -7}]),
                "linux.resources.devices[1].major",
            ),
            (json!([{"type": "p"}]), "linux.resources.devices[0].type"),
        ];
        for (list, name) in table {
            let Error::Field { field, .. } = rules(list).unwrap_err();
            assert_eq!(field, name);
        }
    }

    #[test]
    fn everything_is_allowed_unless_something_is_forbidden_after_it() {
        let all = json!({"allow": true, "access": "rwm"});
        let none = json!({"allow": false, "access": "rwm"});
        let no_null = json!({"allow": false, "type": "c", "major": 1, "minor": 3});
        let table = [
            (json!([all]), true),
            (json!([none, all]), true),
            (json!([all, none]), false),
            (json!([all, no_null]), false),
            (json!([]), false),
        ];
        for (list, wanted) in table {
            assert_eq!(allow_all(&rules(list.clone()).unwrap()), wanted, "{list}");
        }
    }
}
