//! Figures of version 1.

use serde_json::{Map, Value, json};

use super::{Places, block_entry, known, numbers};

/// Nanoseconds of a clock tick: the kernel tells user space 100 in a second, whatever its own.
const TICK: u64 = 10_000_000;

pub fn figures(places: &Places) -> Value {
    json!({
        "cpu": cpu(places),
        "cpuset": cpuset(places),
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
    let split = places
        .text("cpuacct", "cpuacct.usage_all")
        .unwrap_or_default();
    let (user, kernel) = split_times(&split);
    let throttling = places.table("cpu", "cpu.stat");
    json!({
        "usage": known(json!({
            "total": places.number("cpuacct", "cpuacct.usage"),
            "percpu": each,
            "percpu_kernel": kernel,
            "percpu_user": user,
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

/// Below a heading, lines such as `0 123 45`: CPU, time of the user, time of the kernel.
fn split_times(text: &str) -> (Option<Vec<u64>>, Option<Vec<u64>>) {
    let column = |at: usize| {
        let times = text
            .lines()
            .skip(1)
            .map(|line| line.split(' ').nth(at)?.parse().ok());
        times
            .collect::<Option<Vec<u64>>>()
            .filter(|times| !times.is_empty())
    };
    (column(1), column(2))
}

fn cpuset(places: &Places) -> Value {
    let list = |name: &str| places.text("cpuset", name).map(|text| numbers(&text));
    let number = |name: &str| {
        let text = places.text("cpuset", &format!("cpuset.{name}"))?;
        text.parse::<i64>().ok()
    };
    known(json!({
        "cpus": list("cpuset.cpus"),
        "cpu_exclusive": number("cpu_exclusive"),
        "mems": list("cpuset.mems"),
        "mem_hardwall": number("mem_hardwall"),
        "mem_exclusive": number("mem_exclusive"),
        "memory_migrate": number("memory_migrate"),
        "memory_spread_page": number("memory_spread_page"),
        "memory_spread_slab": number("memory_spread_slab"),
        "memory_pressure": number("memory_pressure"),
        "sched_load_balance": number("sched_load_balance"),
        "sched_relax_domain_level": number("sched_relax_domain_level"),
    }))
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
    fn times_are_split_by_cpu() {
        let text = "cpu user system\n0 5 6\n1 7 8";
        assert_eq!(split_times(text), (Some(vec![5, 7]), Some(vec![6, 8])));
        assert_eq!(split_times(""), (None, None));
    }

    #[test]
    fn block_lines_are_read() {
        let wanted = json!({"major": 8, "minor": 0, "op": "Read", "value": 123});
        assert_eq!(block_line("8:0 Read 123"), Some(wanted));
        assert_eq!(block_line("Total 123"), None);
    }
}
