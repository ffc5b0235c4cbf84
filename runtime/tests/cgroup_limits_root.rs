//! Each resource of the configuration in its file, and each that cannot be there refused by name.
//! Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use rig::hierarchies::{directory, held, only_legacy, only_unified};
use serde_json::{Value, json};

fn path(name: &str) -> String {
    format!("/sysc-{name}-{}", std::process::id())
}

/// A rig whose container `c` is limited like this, and sleeps if that works.
fn limited(path: &str, resources: &Value) -> (Rig, rig::Ended) {
    let rig = Rig::new();
    rig.config(|config| {
        config["linux"]["cgroupsPath"] = json!(path);
        config["linux"]["resources"] = resources.clone();
    });
    rig.args(&["sleep", "1000"]);
    let ended = rig.runtime(&["run", "-d", "c"]);
    (rig, ended)
}

#[test]
fn every_resource_of_version_1_is_in_its_file() {
    if !only_legacy() {
        return;
    }
    let path = path("limits-v1");
    let resources = json!({
        "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20, "swappiness": 7,
            "disableOOMKiller": true, "useHierarchy": true, "kernel": -1},
        "cpu": {"shares": 512, "period": 50_000, "quota": 20_000, "burst": 5_000, "cpus": "0",
            "mems": "0"},
        "pids": {"limit": 50},
        "blockIO": {"throttleReadBpsDevice": []},
    });
    let (rig, ended) = limited(&path, &resources);
    ended.ok();
    let table = [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.memsw.limit_in_bytes", "100663296"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.swappiness", "7"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_period_us", "50000"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpu", "cpu.cfs_burst_us", "5000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("pids", "pids.max", "50"),
    ];
    for (controller, file, value) in table {
        let found = held(controller, &path, file);
        assert_eq!(found.as_deref(), Some(value), "{file}");
    }
    let killer = held("memory", &path, "memory.oom_control").unwrap();
    assert!(killer.starts_with("oom_kill_disable 1"), "{killer}");

    // Both up and both down: which has to go first depends on what was.
    for (memory, swap) in [
        ("256M", "512M"),
        ("16M", "32M"),
        ("48M", "48M"),
        ("1G", "2G"),
    ] {
        rig.runtime(&["update", "--memory", memory, "--memory-swap", swap, "c"])
            .ok();
    }
    rig.runtime(&["update", "--memory", "-1", "c"]).ok();
    let both = held("memory", &path, "memory.memsw.limit_in_bytes").unwrap();
    assert!(both.len() > 15, "{both}");
    // Period and quota, burst and quota.
    for (period, quota, burst) in [
        ("10000", "3000", "0"),
        ("900000", "500000", "400000"),
        ("5000", "2000", "0"),
    ] {
        let words = [
            "update",
            "--cpu-period",
            period,
            "--cpu-quota",
            quota,
            "--cpu-burst",
            burst,
            "c",
        ];
        rig.runtime(&words).ok();
        for (file, value) in [("period", period), ("quota", quota), ("burst", burst)] {
            let found = held("cpu", &path, &format!("cpu.cfs_{file}_us"));
            assert_eq!(found.as_deref(), Some(value));
        }
    }
    rig.runtime(&["update", "--cpu-idle", "1", "--cpu-share", "700", "c"])
        .ok();
    assert_eq!(held("cpu", &path, "cpu.idle").as_deref(), Some("1"));
    let warned = rig.runtime(&["update", "--kernel-memory", "50M", "--pids-limit", "0", "c"]);
    assert!(warned.err.contains("kernel memory settings are ignored"));
    assert_eq!(held("pids", &path, "pids.max").as_deref(), Some("1"));
}

#[test]
fn every_resource_of_version_2_is_in_its_file() {
    only_unified();
    if !rig::hierarchies::has("memory") {
        return;
    }
    let path = path("limits-v2");
    let resources = json!({
        "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20,
            "useHierarchy": true},
        "cpu": {"shares": 1024, "period": 50_000, "quota": 20_000, "burst": 5_000, "cpus": "0",
            "mems": "0"},
        "pids": {"limit": 50},
        "blockIO": {"weight": 500},
        "unified": {"memory.high": "50331648"},
    });
    let (rig, ended) = limited(&path, &resources);
    ended.ok();
    let table = [
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.high", "50331648"),
        ("memory.swap.max", "33554432"),
        ("cpu.weight", "100"),
        ("cpu.max", "20000 50000"),
        ("cpu.max.burst", "5000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "50"),
    ];
    for (file, value) in table {
        assert_eq!(held("", &path, file).as_deref(), Some(value), "{file}");
    }
    let weights = ["io.bfq.weight", "io.weight"].map(|file| held("", &path, file));
    let weight = weights.into_iter().flatten().next();
    assert!(
        matches!(weight.as_deref(), Some("default 500" | "default 4950")),
        "{weight:?}"
    );

    for (memory, swap) in [("256M", "512M"), ("16M", "32M"), ("48M", "48M")] {
        rig.runtime(&["update", "--memory", memory, "--memory-swap", swap, "c"])
            .ok();
    }
    assert_eq!(held("", &path, "memory.swap.max").as_deref(), Some("0"));
    rig.runtime(&["update", "--memory-swap", "64M", "c"]).ok();
    assert_eq!(
        held("", &path, "memory.swap.max").as_deref(),
        Some("16777216")
    );
    rig.runtime(&["update", "--memory", "-1", "c"]).ok();
    assert_eq!(held("", &path, "memory.swap.max").as_deref(), Some("max"));
    rig.runtime(&["update", "--cpu-period", "40000", "c"]).ok();
    assert_eq!(held("", &path, "cpu.max").as_deref(), Some("20000 40000"));
    let idle = ["update", "--cpu-idle", "1", "--cpu-share", "700", "c"];
    rig.runtime(&idle).ok();
    assert_eq!(held("", &path, "cpu.idle").as_deref(), Some("1"));
    let checked = json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}});
    let file = rig.bundle().join("resources.json");
    std::fs::write(&file, checked.to_string()).unwrap();
    let err = rig
        .runtime(&["update", "-r", file.to_str().unwrap(), "c"])
        .refused();
    assert!(err.contains("is not more than what is used now"), "{err}");
}

#[test]
fn what_version_1_cannot_hold_is_refused_by_name() {
    if !only_legacy() {
        return;
    }
    let path = path("refused-v1");
    let device = |value: Value| json!({"blockIO": value});
    let table = [
        (
            json!({"unified": {"memory.high": "1"}}),
            "linux.resources.unified: invalid configuration",
        ),
        (
            json!({"rdma": {"mlx5_0": {"hcaHandles": 1}}}),
            "linux.resources.rdma.mlx5_0: controller 'rdma' is not available",
        ),
        (
            json!({"network": {"classID": 1}}),
            "linux.resources.network.classID: controller 'net_cls' is not available",
        ),
        (
            json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}}),
            "linux.resources.network.priorities: controller 'net_prio'",
        ),
        (
            json!({"memory": {"kernel": 1 << 30}}),
            "linux.resources.memory.kernel",
        ),
        (
            json!({"memory": {"useHierarchy": false}}),
            "linux.resources.memory.useHierarchy",
        ),
        (
            json!({"memory": {"swappiness": 500}}),
            "linux.resources.memory.swappiness: cannot write '500'",
        ),
        (
            json!({"cpu": {"shares": 1}}),
            "linux.resources.cpu.shares: must be from 2",
        ),
        (
            json!({"cpu": {"realtimeRuntime": 2_000_000}}),
            "linux.resources.cpu.realtimeRuntime: c",
        ),
        (
            json!({"cpu": {"cpus": "4095"}}),
            "linux.resources.cpu.cpus: cannot write '4095'",
        ),
        (
            device(json!({"leafWeight": 100})),
            "linux.resources.blockIO.leafWeight: cgroup",
        ),
        (
            device(json!({"throttleReadBpsDevice": [{"major": 99, "minor": 99, "rate": 1}]})),
            "linux.resources.blockIO.throttleReadBpsDevice: cannot write '99:99 1'",
        ),
        (
            json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}),
            "linux.resources.hugepageLimits",
        ),
    ];
    for (resources, wanted) in table {
        let (rig, ended) = limited(&path, &resources);
        let err = ended.refused();
        assert!(err.contains(wanted) && err.contains(&path), "{err}");
        assert!(!directory("memory", &path).exists(), "{wanted}");
        rig.assert_clean();
    }
}

#[test]
fn what_version_2_cannot_hold_is_refused_by_name() {
    only_unified();
    let path = path("refused-v2");
    let mut table = vec![
        (
            json!({"network": {"classID": 1}}),
            "linux.resources.network.classID: controller 'net_cls' is not available",
        ),
        (
            json!({"memory": {"swappiness": 5}}),
            "linux.resources.memory.swappiness: only version 1",
        ),
        (
            json!({"memory": {"disableOOMKiller": true}}),
            "linux.resources.memory.disableOOMKiller",
        ),
        (
            json!({"memory": {"limit": 9, "swap": 5}}),
            "linux.resources.memory.swap: is less than",
        ),
        (
            json!({"cpu": {"realtimePeriod": 5}}),
            "linux.resources.cpu.realtimePeriod",
        ),
        (
            json!({"blockIO": {"leafWeight": 100}}),
            "linux.resources.blockIO.leafWeight",
        ),
        (
            json!({"unified": {"../x.y": "1"}}),
            "linux.resources.unified: '../x.y' is not of the form",
        ),
        (
            json!({"unified": {"fantasy.max": "1"}}),
            "linux.resources.unified.fantasy.max: cgroup",
        ),
        (
            json!({"unified": {"cgroup.max.depth": "x"}}),
            "linux.resources.unified.cgroup.max.depth: cannot write 'x'",
        ),
    ];
    if !rig::hierarchies::has("memory") {
        let missing = "linux.resources.memory.limit: controller 'memory' is not available";
        table.push((json!({"memory": {"limit": 1 << 30}}), missing));
    }
    for (resources, wanted) in table {
        let (rig, ended) = limited(&path, &resources);
        let err = ended.refused();
        assert!(err.contains(wanted) && err.contains(&path), "{err}");
        assert!(!directory("", &path).exists(), "{wanted}");
        rig.assert_clean();
    }
}

#[test]
fn files_of_version_2_are_set_by_name() {
    only_unified();
    let path = path("unified");
    let resources = json!({"unified": {"cgroup.max.depth": "3", "cgroup.max.descendants": "7"}});
    let (rig, ended) = limited(&path, &resources);
    ended.ok();
    assert_eq!(held("", &path, "cgroup.max.depth").as_deref(), Some("3"));
    assert_eq!(
        held("", &path, "cgroup.max.descendants").as_deref(),
        Some("7")
    );
    drop(rig);
    assert!(!directory("", &path).exists());
}

#[test]
fn pages_are_limited_by_whichever_version_has_them() {
    let controller = match rig::hierarchies::has("hugetlb") {
        true => "hugetlb",
        // Beside version 1, as on hosts that give it what version 1 leaves.
        false => "unified",
    };
    let path = path("pages");
    let resources = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]});
    let (_rig, ended) = limited(&path, &resources);
    let files = ["hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes"];
    if files
        .iter()
        .all(|file| held(controller, &path, file).is_none())
    {
        let err = ended.refused();
        assert!(err.contains("linux.resources.hugepageLimits"), "{err}");
        return;
    }
    ended.ok();
    let found = files.iter().find_map(|file| held(controller, &path, file));
    assert_eq!(found.as_deref(), Some("4194304"));
}

#[test]
fn an_exec_enters_a_threaded_cgroup() {
    only_unified();
    let path = path("threaded");
    let (rig, ended) = limited(&path, &json!({}));
    ended.ok();
    let inner = directory("", &path).join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("cgroup.type"), "threaded").unwrap();
    rig.runtime(&[
        "exec",
        "-d",
        "--cgroup",
        "inner",
        "--pid-file",
        "pid",
        "c",
        "sleep",
        "1000",
    ])
    .ok();
    let pid = std::fs::read_to_string(rig.bundle().join("pid")).unwrap();
    let place = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(place.contains(&format!("0::{path}/inner")), "{place}");
    rig.runtime(&["delete", "--force", "c"]).ok();
    assert!(!directory("", &path).exists());
}
