//! Files of cgroup version 2, named as they are.

use serde_json::{Map, Value};

use super::cpu::{is_list, time};
use super::{Setting, TASKS_FOR_A_START, setting};

pub(super) fn take(files: &mut Map<String, Value>) -> Vec<Setting> {
    let mut settings = Vec::new();
    files.retain(|file, content| {
        let content = content.as_str().map(str::trim).unwrap_or_default();
        match of_file(file, content) {
            None => true,
            Some(said) => {
                settings.extend(said);
                false
            }
        }
    });
    settings
}

/// `None` where systemd has no setting for it, or the content is none that it would take.
fn of_file(file: &str, content: &str) -> Option<Vec<Setting>> {
    let bytes = |key| match content {
        "max" => Some(vec![setting(key, "infinity")]),
        number => number
            .parse::<u64>()
            .ok()
            .map(|number| vec![setting(key, number)]),
    };
    let weight = |text: &str| {
        text.parse::<u64>()
            .ok()
            .filter(|weight| (1..=10_000).contains(weight))
    };
    let list = |key| is_list(content).then(|| vec![setting(key, content)]);
    match file {
        "memory.max" => bytes("MemoryMax"),
        "memory.high" => bytes("MemoryHigh"),
        "memory.low" => bytes("MemoryLow"),
        "memory.min" => bytes("MemoryMin"),
        "memory.swap.max" => bytes("MemorySwapMax"),
        "pids.max"
            if content
                .parse::<i64>()
                .is_ok_and(|count| count < TASKS_FOR_A_START) =>
        {
            None
        }
        "pids.max" => bytes("TasksMax"),
        "cpu.weight" => weight(content).map(|weight| vec![setting("CPUWeight", weight)]),
        "cpu.idle" if content == "1" => Some(vec![setting("CPUWeight", "idle")]),
        "cpu.max" => processor_time(content),
        "cpuset.cpus" => list("AllowedCPUs"),
        "cpuset.mems" => list("AllowedMemoryNodes"),
        "io.weight" => {
            let said = content.strip_prefix("default ").unwrap_or(content);
            weight(said).map(|weight| vec![setting("IOWeight", weight)])
        }
        _ => None,
    }
}

/// `QUOTA [PERIOD]`
fn processor_time(content: &str) -> Option<Vec<Setting>> {
    let mut words = content.split_whitespace();
    let quota = match words.next()? {
        "max" => None,
        quota => Some(quota.parse().ok()?),
    };
    let period = words.next().map(str::parse).transpose().ok()?;
    words.next().is_none().then(|| time(quota, period))
}
