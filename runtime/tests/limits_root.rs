//! Limits changed and figures read while a container runs. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rig::hierarchies::has;
use rig::{Ended, Rig};
use serde_json::{Value, json};

/// A rig whose container `c` sleeps in a cgroup of its own.
fn sleeping(name: &str) -> (Rig, String) {
    let rig = Rig::new();
    let name = format!("sysc-{name}-{}", std::process::id());
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    rig.args(&["sleep", "1000"])
        .runtime(&["run", "-d", "c"])
        .ok();
    (rig, name)
}

/// What a file of the cgroup holds; `None` on a host whose cgroups lack the controller.
fn held(name: &str, controller: &str, file: &str) -> Option<String> {
    let mounts = Path::new("/sys/fs/cgroup");
    let places: [PathBuf; 2] = [mounts.join(controller).join(name), mounts.join(name)];
    let mut texts = places
        .iter()
        .map(|place| std::fs::read_to_string(place.join(file)));
    texts
        .find_map(Result::ok)
        .map(|text| text.trim().to_owned())
}

fn has_legacy_controllers() -> bool {
    Path::new("/sys/fs/cgroup/memory").is_dir()
}

#[test]
fn limits_are_changed_and_others_stay() {
    let (rig, name) = sleeping("update");
    if !has("pids") {
        let err = rig
            .runtime(&["update", "--pids-limit", "20", "c"])
            .refused();
        assert!(err.contains("controller 'pids' is not available"), "{err}");
        return;
    }
    rig.runtime(&[
        "update",
        "--memory",
        "64M",
        "--pids-limit",
        "20",
        "--cpu-share",
        "512",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "25000",
        "--cpuset-cpus",
        "0",
        "c",
    ])
    .ok();
    if !has_legacy_controllers() {
        for (file, value) in [
            ("memory.max", "67108864"),
            ("pids.max", "20"),
            ("cpu.max", "25000 50000"),
            ("cpuset.cpus", "0"),
        ] {
            assert_eq!(held(&name, "", file).as_deref(), Some(value));
        }
        return;
    }
    let held = |controller: &str, file: &str| held(&name, controller, file).unwrap();
    assert_eq!(
        held("memory", "memory.limit_in_bytes"),
        (64 << 20).to_string()
    );
    assert_eq!(held("pids", "pids.max"), "20");
    assert_eq!(held("cpu", "cpu.shares"), "512");
    assert_eq!(held("cpu", "cpu.cfs_quota_us"), "25000");
    assert_eq!(held("cpuset", "cpuset.cpus"), "0");
    rig.runtime(&["update", "--pids-limit", "-1", "--memory", "96m", "c"])
        .ok();
    assert_eq!(held("pids", "pids.max"), "max");
    assert_eq!(
        held("memory", "memory.limit_in_bytes"),
        (96 << 20).to_string()
    );
    assert_eq!(held("cpu", "cpu.cfs_period_us"), "50000");
}

#[test]
fn resources_come_from_a_file_or_a_pipe() {
    let (rig, name) = sleeping("update-file");
    let resources = json!({"pids": {"limit": 7}, "memory": {"limit": 0}, "cpu": {"cpus": ""}});
    let path = rig.bundle().join("resources.json");
    std::fs::write(&path, resources.to_string()).unwrap();
    let piped = |text: &str| {
        let mut child = rig
            .command(&["update", "-r", "-", "c"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        Ended::from(child.wait_with_output().unwrap())
    };
    if has("pids") {
        rig.runtime(&["update", "--resources", path.to_str().unwrap(), "c"])
            .ok();
        assert_eq!(held(&name, "pids", "pids.max").unwrap(), "7");
        piped(r#"{"pids": {"limit": 9}}"#).ok();
        assert_eq!(held(&name, "pids", "pids.max").unwrap(), "9");
    }
    let err = piped("[]").refused();
    assert!(err.contains("'-' holds no linux.resources"), "{err}");
    let err = piped(r#"{"rdma": {"mlx": {"hcaHandles": 1}}}"#).refused();
    assert!(err.contains("linux.resources.rdma.mlx: "), "{err}");
}

#[test]
fn what_cannot_be_changed_is_refused() {
    let rig = Rig::in_service();
    rig.args(&["sleep", "1000"])
        .runtime(&["run", "-d", "c"])
        .ok();
    let err = rig.runtime(&["update", "--pids-limit", "5", "c"]).refused();
    assert!(
        err.contains("the unit 'test.service'") && err.contains("systemctl set-property"),
        "{err}"
    );
    let err = rig
        .runtime(&["update", "--l3-cache-schema", "x", "c"])
        .refused();
    assert!(err.contains("intelRdt is not supported"), "{err}");
    rig.runtime(&["kill", "c", "KILL"]).ok();
    rig.until("c", "stopped");
    assert!(
        rig.runtime(&["update", "--memory", "64M", "c"])
            .refused()
            .contains("it is stopped")
    );
    assert!(
        rig.runtime(&["events", "--stats", "c"])
            .refused()
            .contains("is not running")
    );
}

#[test]
fn figures_are_told_once() {
    let (rig, _) = sleeping("events");
    let event: Value =
        serde_json::from_str(&rig.runtime(&["events", "--stats", "c"]).ok()).unwrap();
    assert_eq!(
        (&event["type"], &event["id"]),
        (&json!("stats"), &json!("c"))
    );
    for key in [
        "cpu",
        "cpuset",
        "memory",
        "pids",
        "blkio",
        "hugetlb",
        "intel_rdt",
    ] {
        assert!(event["data"][key].is_object(), "{key}: {event}");
    }
    if has("cpuset") {
        assert_eq!(event["data"]["cpuset"]["cpus"][0], 0, "{event}");
    }
    if has("memory") {
        assert_eq!(event["data"]["pids"]["current"], 1);
        assert!(event["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
        assert!(event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0);
    } else {
        assert!(event["data"]["cpu"]["usage"]["total"].is_u64(), "{event}");
    }
}

#[test]
fn figures_are_told_until_the_container_ends() {
    let (rig, _) = sleeping("events-stream");
    let mut child = rig.spawn(&["events", "--interval", "20ms", "c"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["type"], "stats");
    }
    rig.runtime(&["kill", "c", "KILL"]).ok();
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (rig, _) = sleeping("events-closed");
    let mut child = rig.spawn(&["events", "--interval", "20ms", "c"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_kill_for_want_of_memory_is_told() {
    if !has("memory") {
        return;
    }
    let (rig, _) = sleeping("events-oom");
    rig.runtime(&["update", "--memory", "16M", "c"]).ok();
    let mut child = rig.spawn(&["events", "--interval", "20ms", "c"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let greedy = "exec dd if=/dev/zero of=/dev/null bs=64M count=1";
    assert_eq!(
        rig.runtime(&["exec", "c", "sh", "-c", greedy]).code,
        Some(137)
    );
    let is_oom = |line: String| serde_json::from_str::<Value>(&line).unwrap()["type"] == "oom";
    assert!(lines.any(|line| is_oom(line.unwrap())));
    rig.runtime(&["kill", "c", "KILL"]).ok();
    child.wait().unwrap();
}

#[test]
fn checkpoints_are_refused() {
    let rig = Rig::new();
    for verb in ["checkpoint", "restore"] {
        let err = rig.runtime(&[verb, "--image-path", "/x", "c"]).refused();
        assert!(err.contains(&format!("{verb} is not supported")), "{err}");
    }
    let features = rig.runtime(&["features"]).ok();
    let features: Value = serde_json::from_str(&features).unwrap();
    let annotations = &features["annotations"];
    assert_eq!(
        annotations["org.opencontainers.runc.checkpoint.enabled"],
        "false"
    );
}
