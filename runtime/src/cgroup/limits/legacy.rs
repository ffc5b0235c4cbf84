//! What version 1 is told.

use oci_spec::runtime::{LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::{Now, Refusal, Setting, refuse, setting};

pub fn memory(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(memory) = resources.memory() else {
        return Ok(Vec::new());
    };
    let swap = match (memory.swap(), memory.limit()) {
        // Memory without a limit is more than any limit of both.
        (None | Some(0), Some(-1)) if now("memory.memsw.limit_in_bytes").is_some() => Some(-1),
        (swap, _) => stated(swap),
    };
    let settings = [
        setting(
            "memory.limit",
            "memory.limit_in_bytes",
            stated(memory.limit()),
        ),
        setting("memory.swap", "memory.memsw.limit_in_bytes", swap),
        setting(
            "memory.reservation",
            "memory.soft_limit_in_bytes",
            stated(memory.reservation()),
        ),
        setting(
            "memory.kernel",
            "memory.kmem.limit_in_bytes",
            kernel(memory),
        ),
        setting(
            "memory.kernelTCP",
            "memory.kmem.tcp.limit_in_bytes",
            memory.kernel_tcp().filter(|limit| *limit > 0),
        ),
        setting(
            "memory.swappiness",
            "memory.swappiness",
            memory.swappiness(),
        ),
        setting(
            "memory.disableOOMKiller",
            "memory.oom_control",
            memory.disable_oom_killer().map(u8::from),
        ),
        setting(
            "memory.useHierarchy",
            "memory.use_hierarchy",
            memory.use_hierarchy().map(u8::from),
        ),
    ];
    Ok(settings.into_iter().flatten().collect())
}

/// Zero is what writers of Go say for "as it is".
pub fn stated(limit: Option<i64>) -> Option<i64> {
    limit.filter(|limit| *limit != 0)
}

/// No limit is what there is anyhow.
pub fn kernel(memory: &LinuxMemory) -> Option<i64> {
    memory.kernel().filter(|limit| *limit > 0)
}

pub fn cpu(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(cpu) = resources.cpu() else {
        return Ok(Vec::new());
    };
    let some = |number: Option<u64>| number.filter(|number| *number != 0);
    if some(cpu.shares()).is_some_and(|shares| !(2..=262_144).contains(&shares)) {
        // The kernel would take the nearest one.
        return refuse("cpu.shares", "must be from 2 to 262144");
    }
    let settings = [
        setting("cpu.idle", "cpu.idle", cpu.idle()),
        // Of an idle cgroup the kernel takes no shares.
        setting(
            "cpu.shares",
            "cpu.shares",
            some(cpu.shares()).filter(|_| cpu.idle() != Some(1)),
        ),
        setting("cpu.period", "cpu.cfs_period_us", some(cpu.period())),
        setting("cpu.quota", "cpu.cfs_quota_us", stated(cpu.quota())),
        setting("cpu.burst", "cpu.cfs_burst_us", cpu.burst()),
        setting(
            "cpu.realtimePeriod",
            "cpu.rt_period_us",
            some(cpu.realtime_period()),
        ),
        setting(
            "cpu.realtimeRuntime",
            "cpu.rt_runtime_us",
            stated(cpu.realtime_runtime()),
        ),
    ];
    Ok(settings.into_iter().flatten().collect())
}

/// The weights are those of whichever scheduler there is.
pub fn block_io(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(io) = resources.block_io() else {
        return Ok(Vec::new());
    };
    let scheduler = match now("blkio.bfq.weight") {
        Some(_) => "blkio.bfq",
        None => "blkio",
    };
    let file = |name: &str| format!("{scheduler}.{name}");
    let mut settings = vec![
        setting("blockIO.weight", &file("weight"), weight(io.weight())),
        setting(
            "blockIO.leafWeight",
            "blkio.leaf_weight",
            weight(io.leaf_weight()),
        ),
    ];
    for device in io.weight_device().iter().flatten() {
        let line = |weight: Option<u16>| {
            self::weight(weight)
                .map(|weight| format!("{}:{} {weight}", device.major(), device.minor()))
        };
        let (field, leaf) = ("blockIO.weightDevice", "blkio.leaf_weight_device");
        settings.push(setting(
            field,
            &file("weight_device"),
            line(device.weight()),
        ));
        settings.push(setting(field, leaf, line(device.leaf_weight())));
    }
    let throttles = [
        ("ReadBps", "read_bps", io.throttle_read_bps_device()),
        ("WriteBps", "write_bps", io.throttle_write_bps_device()),
        ("ReadIOPS", "read_iops", io.throttle_read_iops_device()),
        ("WriteIOPS", "write_iops", io.throttle_write_iops_device()),
    ];
    for (name, file, devices) in throttles {
        let field = format!("blockIO.throttle{name}Device");
        let file = format!("blkio.throttle.{file}_device");
        let line = |device: &LinuxThrottleDevice| {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            setting(&field, &file, Some(value))
        };
        settings.extend(devices.iter().flatten().map(line));
    }
    Ok(settings.into_iter().flatten().collect())
}

/// Zero is no weight, but what writers of Go say for none.
pub fn weight(weight: Option<u16>) -> Option<u16> {
    weight.filter(|weight| *weight != 0)
}

/// Both what is used and what is reserved, which old kernels do not count.
pub fn huge_pages(resources: &LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal> {
    let limits = resources.hugepage_limits().iter().flatten();
    let settings = limits.flat_map(|limit| {
        let file = |kind: &str| format!("hugetlb.{}{kind}.limit_in_bytes", limit.page_size());
        let used = file("");
        let reserved = Some(file(".rsvd")).filter(|file| now(file).is_some());
        let field = "hugepageLimits";
        [Some(used), reserved].map(|file| setting(field, &file?, Some(limit.limit())))
    });
    Ok(settings.flatten().collect())
}

/// Only version 1 has this controller.
pub fn class(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let network = resources.network().as_ref();
    let class = network.and_then(|network| network.class_id());
    let settings = setting(
        "network.classID",
        "net_cls.classid",
        class.filter(|id| *id != 0),
    );
    Ok(settings.into_iter().collect())
}

/// Only version 1 has this controller.
pub fn priorities(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let network = resources.network().as_ref();
    let list = network.and_then(|network| network.priorities().as_ref());
    let mut settings = Vec::new();
    for entry in list.into_iter().flatten() {
        if entry.name().contains(char::is_whitespace) || entry.name().is_empty() {
            return refuse("network.priorities", "names no network interface");
        }
        let value = format!("{} {}", entry.name(), entry.priority());
        settings.extend(setting(
            "network.priorities",
            "net_prio.ifpriomap",
            Some(value),
        ));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, planned};
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_become_files() {
        let bfq: &[_] = &[("blkio.bfq.weight", "100")];
        let table: &[Case] = &[
            (
                memory,
                json!({"memory": {"limit": 100, "swap": 200, "reservation": 50, "swappiness": 0,
                    "disableOOMKiller": true, "kernel": -1}}),
                &[],
                &[
                    "memory.limit_in_bytes = 100",
                    "memory.memsw.limit_in_bytes = 200",
                    "memory.soft_limit_in_bytes = 50",
                    "memory.swappiness = 0",
                    "memory.oom_control = 1",
                ],
            ),
            (
                memory,
                json!({"memory": {"limit": -1}}),
                &[("memory.memsw.limit_in_bytes", "7")],
                &[
                    "memory.limit_in_bytes = -1",
                    "memory.memsw.limit_in_bytes = -1",
                ],
            ),
            (
                cpu,
                json!({"cpu": {"shares": 9, "quota": -1, "period": 5, "burst": 0, "realtimePeriod": 3}}),
                &[],
                &[
                    "cpu.shares = 9",
                    "cpu.cfs_period_us = 5",
                    "cpu.cfs_quota_us = -1",
                    "cpu.cfs_burst_us = 0",
                    "cpu.rt_period_us = 3",
                ],
            ),
            (
                cpu,
                json!({"cpu": {"shares": 9, "idle": 1}}),
                &[],
                &["cpu.idle = 1"],
            ),
            (
                block_io,
                json!({"blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}],
                    "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 5}]}}),
                bfq,
                &[
                    "blkio.bfq.weight = 10",
                    "blkio.bfq.weight_device = 8:0 20",
                    "blkio.throttle.write_iops_device = 8:1 5",
                ],
            ),
            (
                block_io,
                json!({"blockIO": {"weight": 10}}),
                &[],
                &["blkio.weight = 10"],
            ),
            (
                huge_pages,
                json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 9}]}),
                &[("hugetlb.2MB.rsvd.limit_in_bytes", "1")],
                &[
                    "hugetlb.2MB.limit_in_bytes = 9",
                    "hugetlb.2MB.rsvd.limit_in_bytes = 9",
                ],
            ),
        ];
        for (planner, resources, files, wanted) in table {
            assert_eq!(
                planned(*planner, resources.clone(), files).unwrap(),
                *wanted
            );
        }
    }
}
