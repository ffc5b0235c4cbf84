//! Figures of version 1.

use serde_json::{Map, Value, json};

use super::{Places, block_entry, known};

/// Nanoseconds of a clock tick: the kernel tells user space 100 in a second, whatever its own.
const TICK: u64 = 10_000_000;

pub fn figures(places: &Places) -> Value {
    json!({
        "cpu": cpu(places),
        "memory": memory(places),
        "pids": known(json!({
            "current": places.number("pids", "pids.current"),
            "limit": places.number("pids", "pids.max").filter(|limit| *limit != u64::MAX),
        })),
        "blkio": block_io(places),
        "hugetlb": huge_pages(places),
    })
}

fn cpu(places: &Places) -> Value {
    let times = places.table("cpuacct", "cpuacct.stat");
    let time = |name: &str| Some(times.get(name)?.as_u64()?.saturating_mul(TICK));
    let each: Option<Vec<u64>> = places.text("cpuacct", "cpuacct.usage_percpu").map(|text| {
        text.split(' ')
            .filter_map(|time| time.parse().ok())
            .collect()
    });
    let throttling = places.table("cpu", "cpu.stat");
    json!({
        "usage": known(json!({
            "total": places.number("cpuacct", "cpuacct.usage"),
            "percpu": each,
            "kernel": time("system"),
            "user": time("user"),
        })),
        "throttling": known(json!({
            "periods": throttling.get("nr_periods"),
            "throttledPeriods": throttling.get("nr_throttled"),
            "throttledTime": throttling.get("throttled_time"),
        })),
    })
}

fn memory(places: &Places) -> Value {
    let raw = places.table("memory", "memory.stat");
    let entry = |prefix: &str| {
        let number = |name: &str| places.number("memory", &format!("memory.{prefix}{name}"));
        known(json!({
            "limit": number("limit_in_bytes"),
            "usage": number("usage_in_bytes"),
            "max": number("max_usage_in_bytes"),
            "failcnt": number("failcnt"),
        }))
    };
    known(json!({
        "cache": raw.get("cache"),
        "usage": entry(""),
        "swap": entry("memsw."),
        "kernel": entry("kmem."),
        "kernelTCP": entry("kmem.tcp."),
        "raw": raw,
    }))
}

fn block_io(places: &Places) -> Value {
    let list = |name: &str| {
        let text = places.text("blkio", name).unwrap_or_default();
        let entries: Vec<Value> = text.lines().filter_map(block_line).collect();
        (!entries.is_empty()).then_some(entries)
    };
    known(json!({
        "ioServiceBytesRecursive": list("blkio.throttle.io_service_bytes_recursive"),
        "ioServicedRecursive": list("blkio.throttle.io_serviced_recursive"),
    }))
}

/// `8:0 Read 123`; the last line is a sum without a device.
fn block_line(line: &str) -> Option<Value> {
    let words: Vec<&str> = line.split(' ').collect();
    let [device, operation, value] = words[..] else {
        return None;
    };
    block_entry(device, operation, value.parse().ok()?)
}

fn huge_pages(places: &Places) -> Value {
    let sizes = places.page_sizes(".usage_in_bytes").into_iter();
    let figures = sizes.map(|size| {
        let number = |name: &str| places.number("hugetlb", &format!("hugetlb.{size}.{name}"));
        let figures = known(json!({
            "usage": number("usage_in_bytes"),
            "max": number("max_usage_in_bytes"),
            "failcnt": number("failcnt"),
        }));
        (size, figures)
    });
    Value::Object(figures.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_lines_are_read() {
        let wanted = json!({"major": 8, "minor": 0, "op": "Read", "value": 123});
        assert_eq!(block_line("8:0 Read 123"), Some(wanted));
        assert_eq!(block_line("Total 123"), None);
    }
}
