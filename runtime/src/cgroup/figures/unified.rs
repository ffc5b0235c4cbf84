//! Figures of version 2.

use serde_json::{Map, Value, json};

use super::{Places, block_entry, known, numbers};

pub fn figures(places: &Places) -> Value {
    json!({
        "cpu": cpu(places),
        "cpuset": cpuset(places),
        "memory": memory(places),
        "pids": pids(places),
        "blkio": blkio(places),
        "hugetlb": huge_pages(places),
    })
}

/// Times are in µs; readers expect ns.
fn cpu(places: &Places) -> Value {
    let table = places.table("cpu", "cpu.stat");
    let count = |name: &str| table.get(name).and_then(Value::as_u64);
    let time = |name: &str| count(name).map(|time| time.saturating_mul(1000));
    known(json!({
        "psi": pressure(places, "cpu"),
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
    }))
}

/// What it may use in the end, whatever it asked for.
fn cpuset(places: &Places) -> Value {
    let list = |name: &str| places.text("cpuset", name).map(|text| numbers(&text));
    known(json!({
        "cpus": list("cpuset.cpus.effective"),
        "mems": list("cpuset.mems.effective"),
    }))
}

/// Nothing where the kernel measures none.
fn pressure(places: &Places, kind: &str) -> Option<Value> {
    pressure_of(&places.text(kind, &format!("{kind}.pressure"))?)
}

/// Lines such as `some avg10=1.00 avg60=0.50 avg300=0.10 total=123`.
fn pressure_of(text: &str) -> Option<Value> {
    let lines = text.lines().filter_map(|line| {
        let (kind, fields) = line.split_once(' ')?;
        let fields = fields.split(' ').filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            let value = match name {
                "total" => Value::from(value.parse::<u64>().ok()?),
                _ => Value::from(value.parse::<f64>().ok()?),
            };
            Some((name.to_owned(), value))
        });
        Some((kind.to_owned(), Value::Object(fields.collect())))
    });
    let lines: Map<String, Value> = lines.collect();
    (!lines.is_empty()).then_some(Value::Object(lines))
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
        "psi": pressure(places, "memory"),
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

fn blkio(places: &Places) -> Value {
    let mut figures = block_io(&places.text("io", "io.stat").unwrap_or_default());
    if let Some(pressure) = pressure(places, "io") {
        figures["psi"] = pressure;
    }
    figures
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
    fn pressure_is_read() {
        let found = pressure_of("some avg10=1.50 avg60=0.00 avg300=0.10 total=7\nfull total=9");
        let wanted = json!({"some": {"avg10": 1.5, "avg60": 0.0, "avg300": 0.1, "total": 7},
            "full": {"total": 9}});
        assert_eq!(found, Some(wanted));
        assert_eq!(pressure_of(""), None);
    }

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
