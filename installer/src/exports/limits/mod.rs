//! Limits of the configuration, divided between the unit and the runtime.
//!
//! In: `linux.resources` of a configuration. What systemd has a setting for is taken out of it and
//! becomes that setting: `systemctl show` tells it, `systemctl set-property` changes it, and the
//! container stays in its unit's cgroup. What systemd cannot say stays in the configuration; then
//! the container needs a cgroup of its own below the unit's, and the controllers for it.
//!
//! A limit is never taken out without a setting that says the same, or with more room by rounding.

mod cpu;
mod devices;
mod io;
mod rendered;
mod unified;

use serde_json::{Map, Value};

pub(super) use rendered::move_to_unit;

/// While the runtime starts a container it is in the unit's cgroup, too, with its child and hooks:
/// fewer tasks than this must be counted without it.
const TASKS_FOR_A_START: i64 = 8;

/// `linux.resources`, divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Divided {
    /// Assignments for the unit's `[Service]`; of two to one key the later holds.
    pub settings: Vec<Setting>,
    /// The controllers that what is left needs, as `Delegate=` names them; `None` where nothing is
    /// left. Some limits need a controller that systemd knows nothing of.
    pub left: Option<Vec<&'static str>>,
}

/// A setting of systemd and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub key: &'static str,
    pub value: String,
}

fn setting(key: &'static str, value: impl ToString) -> Setting {
    let value = value.to_string();
    Setting { key, value }
}

/// Takes what systemd has settings for out of `resources`.
pub(super) fn divide(resources: &mut Value) -> Divided {
    let mut settings = Vec::new();
    if let Some(sections) = resources.as_object_mut() {
        section(sections, "memory", |memory| {
            settings.extend(memory_of(memory))
        });
        section(sections, "cpu", |cpu| settings.extend(cpu::take(cpu)));
        section(sections, "blockIO", |io| settings.extend(io::take(io)));
        section(sections, "pids", |pids| settings.extend(tasks(pids)));
        settings.extend(devices::take(sections));
        section(sections, "unified", |files| {
            settings.extend(unified::take(files));
        });
    }
    let left = resources
        .as_object()
        .filter(|sections| !sections.is_empty())
        .map(controllers);
    Divided { settings, left }
}

/// One section, which goes when nothing is left in it.
fn section(
    sections: &mut Map<String, Value>,
    name: &str,
    take: impl FnOnce(&mut Map<String, Value>),
) {
    if let Some(fields) = sections.get_mut(name).and_then(Value::as_object_mut) {
        take(fields);
    }
    if sections.get(name).is_some_and(holds_nothing) {
        sections.remove(name);
    }
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.values().all(holds_nothing),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    }
}

/// A number that is not said is absent, null or zero, as Go's writers leave it.
fn number(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    fields.get(name)?.as_i64().filter(|number| *number != 0)
}

/// Removes numbers that say nothing.
fn remove_zeros(fields: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if fields.get(*name).and_then(Value::as_i64) == Some(0) {
            fields.remove(*name);
        }
    }
}

/// A limit in systemd's words; a negative one is none.
fn limit(number: i64) -> String {
    match number {
        ..0 => "infinity".to_owned(),
        number => number.to_string(),
    }
}

/// `swap` counts memory and swap together, and says nothing to systemd without `limit`.
fn memory_of(memory: &mut Map<String, Value>) -> Vec<Setting> {
    remove_zeros(memory, &["limit", "reservation", "swap"]);
    let mut settings = Vec::new();
    let whole = number(memory, "limit");
    let swap = match (whole, number(memory, "swap")) {
        (_, Some(..0)) => Some(-1),
        (Some(whole @ 0..), Some(both)) => Some((both - whole).max(0)),
        _ => None,
    };
    if let Some(swap) = swap {
        memory.remove("swap");
        settings.push(setting("MemorySwapMax", limit(swap)));
    }
    for (name, key) in [("limit", "MemoryMax"), ("reservation", "MemoryLow")] {
        if let Some(bytes) = number(memory, name) {
            memory.remove(name);
            settings.push(setting(key, limit(bytes)));
        }
    }
    // These ask for what is so anyhow.
    for (name, usual) in [
        ("disableOOMKiller", false),
        ("useHierarchy", true),
        ("checkBeforeUpdate", false),
    ] {
        if memory.get(name) == Some(&Value::Bool(usual)) {
            memory.remove(name);
        }
    }
    settings
}

fn tasks(pids: &mut Map<String, Value>) -> Option<Setting> {
    let count = pids.get("limit")?.as_i64()?;
    if (0..TASKS_FOR_A_START).contains(&count) {
        return None;
    }
    pids.remove("limit");
    Some(setting("TasksMax", limit(count)))
}

/// In the order of their names, each once.
fn controllers(left: &Map<String, Value>) -> Vec<&'static str> {
    let files = left.get("unified").and_then(Value::as_object);
    let files = files.into_iter().flat_map(Map::keys);
    let of_files = files
        .filter_map(|file| file.split_once('.'))
        .map(|(name, _)| name);
    let of_sections = left.iter().flat_map(|(name, fields)| match name.as_str() {
        "memory" => vec!["memory"],
        "cpu" => cpu::controllers(fields),
        "blockIO" => vec!["io"],
        "pids" => vec!["pids"],
        _ => Vec::new(),
    });
    let needed: Vec<&str> = of_sections.chain(of_files).collect();
    let known = ["cpu", "cpuset", "io", "memory", "pids"].into_iter();
    known.filter(|name| needed.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The settings, what is left, and the controllers for that.
    fn divided(mut resources: Value) -> (String, Value, Option<Vec<&'static str>>) {
        let divided = divide(&mut resources);
        let lines = divided.settings.iter();
        let lines: Vec<String> = lines
            .map(|one| format!("{}={}", one.key, one.value))
            .collect();
        (lines.join(" "), resources, divided.left)
    }

    #[test]
    fn what_systemd_can_say_becomes_settings() {
        let table = [
            (json!({}), ""),
            (
                json!({"memory": {"limit": 268_435_456, "reservation": 134_217_728, "swap": 268_435_456}}),
                "MemorySwapMax=0 MemoryMax=268435456 MemoryLow=134217728",
            ),
            (
                json!({"memory": {"limit": -1, "swap": -1, "disableOOMKiller": false, "reservation": 0}}),
                "MemorySwapMax=infinity MemoryMax=infinity",
            ),
            (json!({"pids": {"limit": 64}}), "TasksMax=64"),
            (
                json!({"pids": {"limit": -1}, "cpu": {}, "memory": null}),
                "TasksMax=infinity",
            ),
            (
                json!({"cpu": {"shares": 1024, "quota": 12_345, "period": 100_000, "cpus": "0-1,3", "mems": "0"}}),
                "CPUWeight=100 CPUQuota=12.35% CPUQuotaPeriodSec=100000us AllowedCPUs=0-1,3 AllowedMemoryNodes=0",
            ),
            (
                json!({"cpu": {"shares": 2, "quota": 200_000, "period": 0}}),
                "CPUWeight=1 CPUQuota=200%",
            ),
            (
                json!({"cpu": {"idle": 1, "shares": 7, "quota": -1}}),
                "CPUWeight=idle",
            ),
            (
                json!({"cpu": {"idle": 0, "quota": 0, "period": 50_000}}),
                "CPUQuotaPeriodSec=50000us",
            ),
            (
                json!({"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 16, "weight": 10}],
                    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1_048_576}],
                    "throttleWriteIOPSDevice": [{"major": 253, "minor": 1, "rate": 300}, {"major": 8, "minor": 0, "rate": 0}]}}),
                "IOWeight=4950 IODeviceWeight=/dev/block/8:16 1 IOReadBandwidthMax=/dev/block/8:0 1048576 \
                 IOWriteIOPSMax=/dev/block/253:1 300",
            ),
            (
                json!({"memory": {"limit": 5}, "unified": {"memory.max": "9", "memory.high": "max", "memory.min": "1",
                    "memory.low": "2", "memory.swap.max": "3", "pids.max": "99", "cpu.weight": "50",
                    "cpu.max": "50000 200000", "cpuset.cpus": "0", "io.weight": "default 70"}}),
                "MemoryMax=5 MemoryMax=9 MemoryHigh=infinity MemoryMin=1 MemoryLow=2 MemorySwapMax=3 \
                 TasksMax=99 CPUWeight=50 CPUQuota=25% CPUQuotaPeriodSec=200000us AllowedCPUs=0 IOWeight=70",
            ),
        ];
        for (resources, settings) in table {
            let wanted = (settings.to_owned(), json!({}), None);
            assert_eq!(divided(resources.clone()), wanted, "{resources}");
        }
    }

    #[test]
    fn the_rest_stays_and_names_its_controllers() {
        let table = [
            (json!({"pids": {"limit": 1}}), "", vec!["pids"]),
            (json!({"memory": {"swappiness": 10}}), "", vec!["memory"]),
            // Without a limit nobody knows how much of it is swap.
            (json!({"memory": {"swap": 100}}), "", vec!["memory"]),
            (
                json!({"cpu": {"burst": 10, "cpus": "x"}}),
                "",
                vec!["cpu", "cpuset"],
            ),
            (
                json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}),
                "",
                vec![],
            ),
            (
                json!({"unified": {"memory.oom.group": "1", "hugetlb.2MB.max": "1"}}),
                "",
                vec!["memory"],
            ),
            (json!({"unified": {"pids.max": "2"}}), "", vec!["pids"]),
            (json!({"blockIO": {"leafWeight": 10}}), "", vec!["io"]),
        ];
        for (resources, settings, controllers) in table {
            let wanted = (settings.to_owned(), resources.clone(), Some(controllers));
            assert_eq!(divided(resources), wanted);
        }
        let (settings, rest, _) =
            divided(json!({"memory": {"limit": 7, "swappiness": 1}, "pids": {"limit": 50}}));
        assert_eq!(settings, "MemoryMax=7 TasksMax=50");
        assert_eq!(rest, json!({"memory": {"swappiness": 1}}));
    }

    #[test]
    fn devices_that_are_only_allowed_become_a_policy() {
        let nothing = json!({"allow": false, "access": "rwm"});
        let always = "DevicePolicy=closed DeviceAllow=char-* m DeviceAllow=block-* m";
        let table = [
            (json!([nothing]), always.to_owned()),
            (
                json!([nothing, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
                    {"allow": true, "type": "b", "major": 8, "minor": -1}, {"allow": true, "major": 7, "access": "r"}]),
                format!(
                    "{always} DeviceAllow=/dev/char/10:229 rw DeviceAllow=block-8 rwm \
                         DeviceAllow=block-7 r DeviceAllow=char-7 r"
                ),
            ),
            (
                json!([nothing, {"allow": true, "type": "a", "access": "rwm"}]),
                String::new(),
            ),
            (json!([]), String::new()),
        ];
        for (devices, settings) in table {
            let wanted = (settings, json!({}), None);
            assert_eq!(
                divided(json!({"devices": devices.clone()})),
                wanted,
                "{devices}"
            );
        }
    }

    #[test]
    fn devices_with_exceptions_are_the_runtimes() {
        let everything = json!({"allow": true, "access": "rwm"});
        let table = [
            json!([everything, {"allow": false, "type": "c", "major": 10, "access": "rwm"}]),
            json!([{"allow": true, "type": "c", "major": 10}, {"allow": false, "type": "c", "major": 10, "minor": 1}]),
            json!([{"allow": true, "type": "c", "minor": 1}]),
            json!([{"allow": true, "type": "p", "major": 1}]),
            json!([{"allow": true, "major": 1, "access": "x"}]),
        ];
        for devices in table {
            let resources = json!({"devices": devices});
            let wanted = (String::new(), resources.clone(), Some(vec![]));
            assert_eq!(divided(resources), wanted);
        }
    }
}
