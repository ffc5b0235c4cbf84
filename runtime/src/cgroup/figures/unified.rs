//! Figures of version 2.

use serde_json::{Map, Value, json};

use super::{Places, block_entry, known};

pub fn figures(places: &Places) -> Value {
    json!({
        "cpu": cpu(places),
        "memory": memory(places),
        "pids": pids(places),
        "blkio": block_io(&places.text("io", "io.stat").unwrap_or_default()),
        "hugetlb": huge_pages(places),
    })
}

/// Times are in µs; readers expect ns.
fn cpu(places: &Places) -> Value {
    let table = places.table("cpu", "cpu.stat");
    let count = |name: &str| table.get(name).and_then(Value::as_u64);
    let time = |name: &str| count(name).map(|time| time.saturating_mul(1000));
    json!({
        "usage": known(json!({
            "total": time("usage_usec"),
            "kernel": time("system_usec"),
            "user": time("user_usec"),
        })),
        "throttling": known(json!({
            "periods": count("nr_periods"),
            "throttledPeriods": count("nr_throttled"),
            "throttledTime": time("throttled_usec"),
        })),
    })
}

/// Swap is shown as version 1 counts it: together with memory.
fn memory(places: &Places) -> Value {
    let number = |name: &str| places.number("memory", name);
    let raw = places.table("memory", "memory.stat");
    let events = places.table("memory", "memory.events");
    let (usage, limit) = (number("memory.current"), number("memory.max"));
    let both = |memory: Option<u64>, swap: &str| Some(memory?.saturating_add(number(swap)?));
    known(json!({
        "cache": raw.get("file"),
        "usage": known(json!({
            "limit": limit,
            "usage": usage,
            "max": number("memory.peak"),
            "failcnt": events.get("max"),
        })),
        "swap": known(json!({
            "limit": both(limit, "memory.swap.max"),
            "usage": both(usage, "memory.swap.current"),
        })),
        "raw": raw,
    }))
}

fn pids(places: &Places) -> Value {
    let limit = places.number("pids", "pids.max");
    known(json!({
        "current": places.number("pids", "pids.current"),
        "limit": limit.filter(|limit| *limit != u64::MAX),
    }))
}

/// Lines such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn block_io(text: &str) -> Value {
    let list = |fields: [(&str, &str); 2]| -> Vec<Value> {
        let entries = text.lines().flat_map(|line| {
            let mut words = line.split(' ');
            let device = words.next().unwrap_or_default();
            let words: Vec<&str> = words.collect();
            fields.map(|(field, operation)| {
                let value = words.iter().find_map(|word| {
                    let (name, value) = word.split_once('=')?;
                    (name == field).then(|| value.parse().ok())?
                })?;
                block_entry(device, operation, value)
            })
        });
        entries.flatten().collect()
    };
    let bytes = list([("rbytes", "Read"), ("wbytes", "Write")]);
    let requests = list([("rios", "Read"), ("wios", "Write")]);
    match bytes.is_empty() {
        true => json!({}),
        false => json!({"ioServiceBytesRecursive": bytes, "ioServicedRecursive": requests}),
    }
}

fn huge_pages(places: &Places) -> Value {
    let sizes = places.page_sizes(".current").into_iter();
    let figures = sizes.map(|size| {
        let usage = places.number("hugetlb", &format!("hugetlb.{size}.current"));
        let events = places.table("hugetlb", &format!("hugetlb.{size}.events"));
        let figures = known(json!({"usage": usage, "failcnt": events.get("max")}));
        (size, figures)
    });
    Value::Object(figures.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_is_listed_by_device() {
        let found = block_io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 \n");
        let wanted = json!({
            "ioServiceBytesRecursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 1},
                {"major": 8, "minor": 0, "op": "Write", "value": 2}],
            "ioServicedRecursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 3},
                {"major": 8, "minor": 0, "op": "Write", "value": 4}]});
        assert_eq!(found, wanted);
        assert_eq!(block_io(""), json!({}));
    }
}
