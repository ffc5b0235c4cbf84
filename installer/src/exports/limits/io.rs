//! Weights and limits of block devices, which systemd takes by their numbers.

use serde_json::{Map, Value};

use super::{Setting, number, remove_zeros, setting};

/// Each list of limits and its setting.
const THROTTLES: [(&str, &str); 4] = [
    ("throttleReadBpsDevice", "IOReadBandwidthMax"),
    ("throttleWriteBpsDevice", "IOWriteBandwidthMax"),
    ("throttleReadIOPSDevice", "IOReadIOPSMax"),
    ("throttleWriteIOPSDevice", "IOWriteIOPSMax"),
];

pub(super) fn take(io: &mut Map<String, Value>) -> Vec<Setting> {
    remove_zeros(io, &["weight", "leafWeight"]);
    let mut settings = Vec::new();
    if let Some(weight) = number(io, "weight") {
        io.remove("weight");
        settings.push(setting("IOWeight", scaled(weight)));
    }
    settings.extend(list(io, "weightDevice", "IODeviceWeight", "weight", scaled));
    for (name, key) in THROTTLES {
        settings.extend(list(io, name, key, "rate", |rate| rate));
    }
    settings
}

/// All entries of a list, or none where one says more than its number.
fn list(
    io: &mut Map<String, Value>,
    name: &str,
    key: &'static str,
    field: &str,
    scale: fn(i64) -> i64,
) -> Vec<Setting> {
    let Some(entries) = io.get(name).and_then(Value::as_array) else {
        return Vec::new();
    };
    let of_entry = |entry: &Value| {
        let entry = entry.as_object()?;
        let only = |(name, value): (&String, &Value)| {
            [field, "major", "minor"].contains(&name.as_str()) || value.is_null()
        };
        let (major, minor) = (entry.get("major")?.as_u64()?, entry.get("minor")?.as_u64()?);
        let device = format!("/dev/block/{major}:{minor}");
        let told = number(entry, field).map(|value| format!("{device} {}", scale(value)));
        entry.iter().all(only).then_some(told)
    };
    let Some(told) = entries.iter().map(of_entry).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    io.remove(name);
    told.into_iter()
        .flatten()
        .map(|value| setting(key, value))
        .collect()
}

/// 10 to 1000 as 1 to 10000.
fn scaled(weight: i64) -> i64 {
    1 + (weight - 10).max(0) * 9999 / 990
}
