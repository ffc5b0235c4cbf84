//! Limits as properties of a unit, so that systemd says the same as the cgroup's files and does not
//! undo them when it is told something else. Which properties, and how they are rounded, is as with
//! runc; what systemd has no property for stands in the files alone.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use crate::bus::Value;
use crate::cgroup::limits::cpu_weight;
use crate::plan::{Access, DeviceKind, Rule, allow_all};

pub type Properties = Vec<(String, Value)>;

/// Versions of systemd from which a property is known.
const QUOTA_PERIOD: u32 = 242;
const CPUSETS: u32 = 244;
const IDLE: u32 = 252;

/// µs; the kernel's when none is said.
const USUAL_PERIOD: u64 = 100_000;
const INFINITY: u64 = u64::MAX;

/// What a unit is told depends on these.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// systemd's number.
    pub version: u32,
    /// Whether cgroups are of version 2 alone.
    pub unified: bool,
}

/// The limits that systemd has properties for. `held` is what holds now of the pair of quota and
/// period, of which one may be said without the other.
pub fn of_limits(resources: &LinuxResources, host: Host, held: (Option<i64>, u64)) -> Properties {
    let mut properties = Properties::new();
    if let Some(memory) = resources.memory() {
        properties.extend(of_memory(memory, host));
    }
    if let Some(cpu) = resources.cpu() {
        properties.extend(of_cpu(cpu, host, held));
    }
    if let Some(pids) = resources.pids() {
        let limit = u64::try_from(pids.limit()).map_or(INFINITY, |limit| limit.max(1));
        properties.push(number("TasksMax", limit));
    }
    let weight = resources.block_io().as_ref().and_then(|io| io.weight());
    if let Some(weight) = weight.filter(|weight| !host.unified && *weight != 0) {
        properties.push(number("BlockIOWeight", weight.into()));
    }
    for (name, text) in resources.unified().iter().flatten() {
        properties.extend(of_entry(name, text.trim(), host));
    }
    properties.sort_by(|a, b| a.0.cmp(&b.0));
    properties
}

fn of_memory(memory: &LinuxMemory, host: Host) -> Properties {
    let said = |limit: Option<i64>| limit.filter(|limit| *limit != 0);
    let number = |name, limit: i64| number(name, u64::try_from(limit).unwrap_or(INFINITY));
    let limit = said(memory.limit());
    if !host.unified {
        return limit
            .map(|limit| number("MemoryLimit", limit))
            .into_iter()
            .collect();
    }
    let swap = match (limit, said(memory.swap())) {
        (_, Some(-1)) | (Some(-1), None) => Some(-1),
        (Some(limit), Some(both)) if limit > 0 => Some((both - limit).max(0)),
        _ => None,
    };
    let low = said(memory.reservation());
    let all = [
        ("MemoryMax", limit),
        ("MemoryLow", low),
        ("MemorySwapMax", swap),
    ];
    all.into_iter()
        .filter_map(|(name, limit)| Some(number(name, limit?)))
        .collect()
}

fn of_cpu(cpu: &LinuxCpu, host: Host, held: (Option<i64>, u64)) -> Properties {
    let mut properties = Properties::new();
    let idle = cpu.idle() == Some(1) && host.version >= IDLE && host.unified;
    match cpu.shares().filter(|shares| *shares != 0) {
        _ if idle => properties.push(number("CPUWeight", 0)),
        Some(shares) if host.unified => properties.push(number("CPUWeight", cpu_weight(shares))),
        Some(shares) => properties.push(number("CPUShares", shares)),
        None => {}
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        let quota = quota.or(held.0);
        properties.extend(of_time(quota, period, host, held.1));
    }
    for (name, list) in [
        ("AllowedCPUs", cpu.cpus()),
        ("AllowedMemoryNodes", cpu.mems()),
    ] {
        let bits = list
            .as_deref()
            .filter(|list| !list.is_empty())
            .and_then(bits);
        if let Some(bits) = bits.filter(|_| host.version >= CPUSETS) {
            properties.push((name.to_owned(), bits));
        }
    }
    properties
}

/// systemd counts in whole percents; more is given rather than less, as cgroups below may want all
/// that they were promised.
fn of_time(quota: Option<i64>, period: Option<u64>, host: Host, held: u64) -> Properties {
    const PERCENT: u64 = 10_000;
    let of_second = match quota.and_then(|quota| u64::try_from(quota).ok()) {
        None => INFINITY,
        Some(quota) => {
            let period = period.unwrap_or(held).max(1);
            let exact = u128::from(quota) * 1_000_000 / u128::from(period);
            u64::try_from(exact).map_or(INFINITY, |exact| exact.div_ceil(PERCENT) * PERCENT)
        }
    };
    let period = period.filter(|_| host.version >= QUOTA_PERIOD);
    let period = period.map(|period| number("CPUQuotaPeriodUSec", period));
    period
        .into_iter()
        .chain([number("CPUQuotaPerSecUSec", of_second)])
        .collect()
}

/// A file of version 2, if systemd has a property for it.
fn of_entry(name: &str, text: &str, host: Host) -> Properties {
    let limit = || match text {
        "max" => Some(INFINITY),
        text => text.parse::<u64>().ok(),
    };
    let property = match name {
        "memory.high" => "MemoryHigh",
        "memory.low" => "MemoryLow",
        "memory.min" => "MemoryMin",
        "memory.max" => "MemoryMax",
        "memory.swap.max" => "MemorySwapMax",
        "cpu.weight" => "CPUWeight",
        "pids.max" => "TasksMax",
        "cpu.idle" if text == "1" && host.version >= IDLE => return vec![number("CPUWeight", 0)],
        "cpu.max" => {
            let mut words = text.split_whitespace();
            let quota = words.next().and_then(|quota| quota.parse().ok());
            let period = words.next().and_then(|period| period.parse().ok());
            return of_time(quota, period, host, USUAL_PERIOD);
        }
        "cpuset.cpus" | "cpuset.mems" if host.version >= CPUSETS => {
            let property = match name {
                "cpuset.cpus" => "AllowedCPUs",
                _ => "AllowedMemoryNodes",
            };
            let value = bits(text).map(|bits| (property.to_owned(), bits));
            return value.into_iter().collect();
        }
        _ => return Properties::new(),
    };
    limit()
        .map(|limit| number(property, limit))
        .into_iter()
        .collect()
}

/// `0-2,8` as a row of bits, the lowest first.
fn bits(list: &str) -> Option<Value> {
    let mut bytes: Vec<u8> = Vec::new();
    for part in list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        for bit in first..=last {
            let at = usize::from(bit / 8);
            bytes.resize(bytes.len().max(at + 1), 0);
            bytes[at] |= 1 << (bit % 8);
        }
    }
    let bytes = bytes.into_iter().map(Value::Byte).collect();
    Some(Value::Array("y".to_owned(), bytes))
}

/// systemd knows no exceptions, so it is told all that is allowed by some rule; what is taken from
/// that again, our own filter forbids.
pub fn of_devices(rules: &[Rule]) -> Properties {
    let (policy, rules) = match allow_all(rules) {
        true => ("auto", &[][..]),
        false => ("strict", rules),
    };
    let allowed = rules.iter().filter(|rule| rule.allow);
    let entries = allowed.flat_map(|rule| {
        let kinds: &[DeviceKind] = match &rule.kind {
            Some(kind) => std::slice::from_ref(kind),
            None => &[DeviceKind::Block, DeviceKind::Character],
        };
        kinds.iter().filter_map(|kind| entry(*kind, rule))
    });
    let entries = Value::Array("(ss)".to_owned(), entries.collect());
    vec![
        ("DevicePolicy".to_owned(), Value::text(policy)),
        ("DeviceAllow".to_owned(), entries),
    ]
}

fn entry(kind: DeviceKind, rule: &Rule) -> Option<Value> {
    let name = match kind {
        DeviceKind::Block => "block",
        DeviceKind::Character => "char",
    };
    let path = match (rule.major, rule.minor) {
        (None, None) => format!("{name}-*"),
        (Some(major), None) => format!("{name}-{major}"),
        (Some(major), Some(minor)) => format!("/dev/{name}/{major}:{minor}"),
        // A minor number of every major one systemd cannot say: all, then, on its side.
        (None, Some(_)) => format!("{name}-*"),
    };
    let Access(bits) = rule.access;
    (bits != 0).then(|| {
        Value::Struct(vec![
            Value::Text(path),
            Value::Text(rule.access.to_string()),
        ])
    })
}

pub fn number(name: &str, value: u64) -> (String, Value) {
    (name.to_owned(), Value::U64(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const V2: Host = Host {
        version: 252,
        unified: true,
    };

    fn told(resources: serde_json::Value, host: Host) -> Vec<(String, u64)> {
        let resources = serde_json::from_value(resources).unwrap();
        let properties = of_limits(&resources, host, (Some(20_000), 50_000));
        let number = |value| match value {
            Value::U64(number) => number,
            other => panic!("{other:?}"),
        };
        properties
            .into_iter()
            .map(|(name, value)| (name, number(value)))
            .collect()
    }

    #[test]
    fn limits_become_properties() {
        let v1 = Host {
            unified: false,
            ..V2
        };
        let table = [
            (
                json!({"memory": {"limit": 100, "swap": 150, "reservation": -1}, "pids": {"limit": 0}}),
                V2,
                vec![
                    ("MemoryLow", INFINITY),
                    ("MemoryMax", 100),
                    ("MemorySwapMax", 50),
                    ("TasksMax", 1),
                ],
            ),
            (
                json!({"memory": {"limit": 100, "swap": 150}, "cpu": {"shares": 512}, "blockIO": {"weight": 10}}),
                v1,
                vec![
                    ("BlockIOWeight", 10),
                    ("CPUShares", 512),
                    ("MemoryLimit", 100),
                ],
            ),
            // 12.3 % is 13 %.
            (
                json!({"cpu": {"quota": 12_300, "period": 100_000, "shares": 1024}}),
                V2,
                vec![
                    ("CPUQuotaPerSecUSec", 130_000),
                    ("CPUQuotaPeriodUSec", 100_000),
                    ("CPUWeight", 100),
                ],
            ),
            // What is not said is as it was.
            (
                json!({"cpu": {"period": 40_000}}),
                V2,
                vec![
                    ("CPUQuotaPerSecUSec", 500_000),
                    ("CPUQuotaPeriodUSec", 40_000),
                ],
            ),
            (
                json!({"cpu": {"quota": 25_000}}),
                V2,
                vec![("CPUQuotaPerSecUSec", 500_000)],
            ),
            (
                json!({"cpu": {"quota": -1}}),
                V2,
                vec![("CPUQuotaPerSecUSec", INFINITY)],
            ),
            (
                json!({"cpu": {"idle": 1, "shares": 7}}),
                V2,
                vec![("CPUWeight", 0)],
            ),
            (
                json!({"unified": {"pids.max": "max", "memory.high": "7", "cpu.max": "max 5", "hugetlb.2MB.max": "1"}}),
                V2,
                vec![
                    ("CPUQuotaPerSecUSec", INFINITY),
                    ("CPUQuotaPeriodUSec", 5),
                    ("MemoryHigh", 7),
                    ("TasksMax", INFINITY),
                ],
            ),
        ];
        for (resources, host, wanted) in table {
            let wanted: Vec<_> = wanted
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(told(resources.clone(), host), wanted, "{resources}");
        }
    }

    #[test]
    fn lists_become_bits() {
        let row = |bytes: &[u8]| {
            let bytes = bytes.iter().map(|byte| Value::Byte(*byte)).collect();
            Some(Value::Array("y".to_owned(), bytes))
        };
        assert_eq!(bits("0-2,9"), row(&[7, 2]));
        assert_eq!(bits("x"), None);
    }

    #[test]
    fn devices_become_entries() {
        let devices: Vec<oci_spec::runtime::LinuxDeviceCgroup> = serde_json::from_value(json!([
            {"allow": true, "type": "b", "major": 8, "access": "r"}]))
        .unwrap();
        let told = of_devices(&crate::plan::device_rules(&devices).unwrap());
        let pair =
            |path: &str, access: &str| Value::Struct(vec![Value::text(path), Value::text(access)]);
        let Value::Array(_, entries) = &told[1].1 else {
            panic!()
        };
        assert_eq!(told[0].1, Value::text("strict"));
        assert_eq!(entries[0], pair("block-8", "r"));
        for entry in [
            pair("char-*", "m"),
            pair("/dev/char/1:3", "rwm"),
            pair("char-136", "rwm"),
        ] {
            assert!(entries.contains(&entry), "{entries:?}");
        }
    }
}
