//! What version 2 is told, translated from what version 1 was told where the scales differ.

use oci_spec::runtime::{LinuxBlockIo, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::legacy::{kernel, stated, weight};
use super::{Now, Refusal, Setting, refuse, setting};

pub fn memory(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(memory) = resources.memory() else {
        return Ok(Vec::new());
    };
    refuse_memory(memory)?;
    let limit = stated(memory.limit());
    if let (Some(true), Some(limit)) = (memory.check_before_update(), limit) {
        check_usage(limit, now)?;
    }
    let swap = swap(memory, now)?;
    let swap = swap.map(most).filter(|swap| {
        // Without swap accounting there is nothing to let go and nothing to forbid.
        !matches!(swap.as_str(), "max" | "0") || now("memory.swap.max").is_some()
    });
    let settings = [
        setting("memory.swap", "memory.swap.max", swap),
        setting("memory.limit", "memory.max", limit.map(most)),
        setting(
            "memory.reservation",
            "memory.low",
            stated(memory.reservation()).map(most),
        ),
    ];
    Ok(settings.into_iter().flatten().collect())
}

fn refuse_memory(memory: &LinuxMemory) -> Result<(), Refusal> {
    let only_legacy = "only version 1 of cgroups has it";
    if kernel(memory).is_some() {
        return refuse("memory.kernel", only_legacy);
    }
    if memory.kernel_tcp().is_some_and(|limit| limit > 0) {
        return refuse("memory.kernelTCP", only_legacy);
    }
    if memory.swappiness().is_some() {
        return refuse("memory.swappiness", only_legacy);
    }
    if memory.disable_oom_killer() == Some(true) {
        return refuse("memory.disableOOMKiller", only_legacy);
    }
    if memory.use_hierarchy() == Some(false) {
        return refuse("memory.useHierarchy", "version 2 of cgroups always does");
    }
    Ok(())
}

fn check_usage(limit: i64, now: &Now) -> Result<(), Refusal> {
    let usage = now("memory.current").and_then(|text| text.parse::<i64>().ok());
    match usage {
        Some(usage) if limit >= 0 && usage >= limit => Err((
            "memory.limit",
            format!("{limit} is not more than what is used now, {usage}"),
        )),
        _ => Ok(()),
    }
}

/// Version 1 limits memory and swap together, version 2 swap alone.
fn swap(memory: &LinuxMemory, now: &Now) -> Result<Option<i64>, Refusal> {
    let held = || match now("memory.max")?.as_str() {
        "max" => Some(-1),
        text => text.parse().ok(),
    };
    match (stated(memory.limit()), stated(memory.swap())) {
        (Some(-1), None) => Ok(Some(-1)),
        (_, None) => Ok(None),
        (_, Some(-1)) => Ok(Some(-1)),
        (limit, Some(both)) => match limit.or_else(held) {
            None | Some(-1) => refuse("memory.swap", "needs memory.limit beside it"),
            Some(limit) if both < limit => refuse("memory.swap", "is less than memory.limit"),
            Some(limit) => Ok(Some(both - limit)),
        },
    }
}

fn most(limit: i64) -> String {
    match limit {
        -1 => "max".to_owned(),
        limit => limit.to_string(),
    }
}

pub fn cpu(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(cpu) = resources.cpu() else {
        return Ok(Vec::new());
    };
    if cpu.realtime_period().is_some_and(|period| period != 0) {
        return refuse("cpu.realtimePeriod", "only version 1 of cgroups has it");
    }
    if stated(cpu.realtime_runtime()).is_some() {
        return refuse("cpu.realtimeRuntime", "only version 1 of cgroups has it");
    }
    let quota = stated(cpu.quota()).map(|quota| match quota {
        quota if quota < 0 => "max".to_owned(),
        quota => quota.to_string(),
    });
    let period = cpu.period().filter(|period| *period != 0);
    let time = match (quota, period) {
        (None, None) => None,
        (Some(quota), None) => Some(quota),
        (Some(quota), Some(period)) => Some(format!("{quota} {period}")),
        (None, Some(period)) => {
            let held = now("cpu.max").unwrap_or_default();
            let quota = held.split(' ').next().filter(|quota| !quota.is_empty());
            Some(format!("{} {period}", quota.unwrap_or("max")))
        }
    };
    let field = match stated(cpu.quota()) {
        Some(_) => "cpu.quota",
        None => "cpu.period",
    };
    let shares = cpu
        .shares()
        .filter(|shares| *shares != 0 && cpu.idle() != Some(1));
    let settings = [
        setting("cpu.idle", "cpu.idle", cpu.idle()),
        setting("cpu.shares", "cpu.weight", shares.map(cpu_weight)),
        setting(field, "cpu.max", time),
        setting("cpu.burst", "cpu.max.burst", cpu.burst()),
    ];
    Ok(settings.into_iter().flatten().collect())
}

/// 2 to 262144 shares as a weight of 1 to 10000, on a curve of which 1024 shares are 100.
pub fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

pub fn block_io(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(io) = resources.block_io() else {
        return Ok(Vec::new());
    };
    let leaf = |weight| self::weight(weight).is_some();
    let devices = || io.weight_device().iter().flatten();
    if leaf(io.leaf_weight()) || devices().any(|device| leaf(device.leaf_weight())) {
        return refuse("blockIO.leafWeight", "only version 1 of cgroups has it");
    }
    // The scheduler's weights are those of version 1; the cost model's are on a scale of its own.
    let (file, scale): (_, fn(u16) -> u64) = match now("io.bfq.weight") {
        Some(_) => ("io.bfq.weight", u64::from),
        None => ("io.weight", io_weight),
    };
    let whole = weight(io.weight()).map(|weight| format!("default {}", scale(weight)));
    let mut settings = vec![setting("blockIO.weight", file, whole)];
    for device in devices() {
        let line = weight(device.weight())
            .map(|weight| format!("{}:{} {}", device.major(), device.minor(), scale(weight)));
        settings.push(setting("blockIO.weightDevice", file, line));
    }
    settings.extend(throttles(io));
    Ok(settings.into_iter().flatten().collect())
}

fn throttles(io: &LinuxBlockIo) -> Vec<Option<Setting>> {
    let lists = [
        ("ReadBps", "rbps", io.throttle_read_bps_device()),
        ("WriteBps", "wbps", io.throttle_write_bps_device()),
        ("ReadIOPS", "riops", io.throttle_read_iops_device()),
        ("WriteIOPS", "wiops", io.throttle_write_iops_device()),
    ];
    let lines = lists.into_iter().flat_map(|(name, key, devices)| {
        let line = move |device: &LinuxThrottleDevice| {
            let rate = match device.rate() {
                0 => "max".to_owned(),
                rate => rate.to_string(),
            };
            let value = format!("{}:{} {key}={rate}", device.major(), device.minor());
            let field = format!("blockIO.throttle{name}Device");
            setting(&field, "io.max", Some(value))
        };
        devices.iter().flatten().map(line)
    });
    lines.collect()
}

/// 10 to 1000 as 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

/// Both what is used and what is reserved, which old kernels do not count.
pub fn huge_pages(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let limits = resources.hugepage_limits().iter().flatten();
    let settings = limits.flat_map(|limit| {
        let file = |kind: &str| format!("hugetlb.{}{kind}.max", limit.page_size());
        let used = file("");
        let reserved = Some(file(".rsvd")).filter(|file| now(file).is_some());
        let field = "hugepageLimits";
        [Some(used), reserved].map(|file| setting(field, &file?, Some(most(limit.limit()))))
    });
    Ok(settings.flatten().collect())
}

/// Files of version 2 by their own names.
pub fn entries(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let mut settings = Vec::new();
    for (name, value) in resources.unified().iter().flatten() {
        let is_name = !name.contains('/') && name.find('.').is_some_and(|at| at > 0);
        if !is_name {
            return Err((
                "unified",
                format!("'{name}' is not of the form CONTROLLER.FILE"),
            ));
        }
        settings.extend(setting(&format!("unified.{name}"), name, Some(value)));
    }
    settings.sort_by(|a, b| a.field.cmp(&b.field));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::super::Planner;
    use super::super::tests::{Case, planned};
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_become_files() {
        let table: &[Case] = &[
            (
                memory,
                json!({"memory": {"limit": 100, "swap": 250, "reservation": -1, "useHierarchy": true}}),
                &[],
                &[
                    "memory.swap.max = 150",
                    "memory.max = 100",
                    "memory.low = max",
                ],
            ),
            (
                memory,
                json!({"memory": {"limit": 100, "swap": 100}}),
                &[("memory.swap.max", "max")],
                &["memory.swap.max = 0", "memory.max = 100"],
            ),
            // A kernel without swap has none to forbid.
            (
                memory,
                json!({"memory": {"limit": 100, "swap": 100}}),
                &[],
                &["memory.max = 100"],
            ),
            (
                memory,
                json!({"memory": {"limit": 9, "swap": -1}}),
                &[],
                &["memory.max = 9"],
            ),
            (
                memory,
                json!({"memory": {"swap": 250}}),
                &[("memory.max", "100")],
                &["memory.swap.max = 150"],
            ),
            (
                cpu,
                json!({"cpu": {"shares": 1024, "quota": -1, "period": 1000, "burst": 5}}),
                &[],
                &[
                    "cpu.weight = 100",
                    "cpu.max = max 1000",
                    "cpu.max.burst = 5",
                ],
            ),
            (
                cpu,
                json!({"cpu": {"shares": 7, "idle": 1, "period": 1000}}),
                &[("cpu.max", "500 100000")],
                &["cpu.idle = 1", "cpu.max = 500 1000"],
            ),
        ];
        check(table);
    }

    #[test]
    fn devices_pages_and_entries_become_files() {
        let table: &[Case] = &[
            (
                block_io,
                json!({"blockIO": {"weight": 1000, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}],
                    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0}]}}),
                &[],
                &[
                    "io.weight = default 10000",
                    "io.max = 8:0 rbps=5",
                    "io.max = 8:0 wiops=max",
                ],
            ),
            (
                block_io,
                json!({"blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}]}}),
                &[("io.bfq.weight", "default 100")],
                &["io.bfq.weight = default 10", "io.bfq.weight = 8:0 20"],
            ),
            (
                huge_pages,
                json!({"hugepageLimits": [{"pageSize": "1GB", "limit": -1}]}),
                &[],
                &["hugetlb.1GB.max = max"],
            ),
            (
                entries,
                json!({"unified": {"memory.high": "7", "cgroup.max.depth": "2"}}),
                &[],
                &["cgroup.max.depth = 2", "memory.high = 7"],
            ),
        ];
        check(table);
    }

    fn check(table: &[Case]) {
        for (planner, resources, files, wanted) in table {
            assert_eq!(
                planned(*planner, resources.clone(), files).unwrap(),
                *wanted
            );
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let table: [(Planner, _, &str); 10] = [
            (
                memory,
                json!({"memory": {"swappiness": 5}}),
                "memory.swappiness",
            ),
            (
                memory,
                json!({"memory": {"disableOOMKiller": true}}),
                "memory.disableOOMKiller",
            ),
            (memory, json!({"memory": {"kernel": 5}}), "memory.kernel"),
            (
                memory,
                json!({"memory": {"useHierarchy": false}}),
                "memory.useHierarchy",
            ),
            (memory, json!({"memory": {"swap": 5}}), "memory.swap"),
            (
                memory,
                json!({"memory": {"limit": 9, "swap": 5}}),
                "memory.swap",
            ),
            (
                memory,
                json!({"memory": {"limit": 9, "checkBeforeUpdate": true}}),
                "memory.limit",
            ),
            (
                cpu,
                json!({"cpu": {"realtimeRuntime": 5}}),
                "cpu.realtimeRuntime",
            ),
            (
                block_io,
                json!({"blockIO": {"leafWeight": 10}}),
                "blockIO.leafWeight",
            ),
            (entries, json!({"unified": {"../x.y": "1"}}), "unified"),
        ];
        for (planner, resources, wanted) in table {
            let found = planned(planner, resources, &[("memory.current", "10")]);
            assert_eq!(found, Err(wanted.to_owned()));
        }
    }

    #[test]
    fn shares_become_weights() {
        let table = [
            (1, 1),
            (2, 1),
            (1024, 100),
            (262_144, 10_000),
            (999_999, 10_000),
        ];
        for (shares, weight) in table {
            assert_eq!(cpu_weight(shares), weight, "{shares}");
        }
    }
}
