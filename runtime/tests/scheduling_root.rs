//! Processor, disk, memory and execution domain of a program. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::symlink;

use rig::Rig;
use rig::guest::{exec, refused, script, sleeping};
use serde_json::json;

/// Policy and nice value out of /proc/PID/stat.
fn policy_and_nice(stat: &str) -> (u32, i32) {
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[38].parse().unwrap(), fields[16].parse().unwrap())
}

#[test]
fn the_scheduler_is_the_configured_one() {
    let batch = json!({"policy": "SCHED_BATCH", "nice": 19});
    let rig = sleeping(|config| config["process"]["scheduler"] = batch);
    let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert_eq!(policy_and_nice(&stat(rig.pid("c"))), (3, 19));
    assert_eq!(
        policy_and_nice(&script(&rig, "cat /proc/self/stat").ok()),
        (3, 19)
    );

    let process = json!({"args": ["sleep", "1000"], "cwd": "/", "env": ["PATH=/bin"], "scheduler": {
        "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        "runtime": 42_000, "deadline": 100_000, "period": 1_000_000}});
    std::fs::write(rig.bundle().join("process.json"), process.to_string()).unwrap();
    let words = ["-d", "--pid-file", "pid", "--process", "process.json", "c"];
    exec(&rig, &words).ok();
    let pid = std::fs::read_to_string(rig.bundle().join("pid")).unwrap();
    assert_eq!(policy_and_nice(&stat(pid.parse().unwrap())).0, 6);
}

#[test]
fn a_scheduler_that_the_kernel_refuses_is_named() {
    let rig = Rig::new();
    rig.config(|config| config["process"]["scheduler"] = json!({"policy": "SCHED_ISO"}));
    assert!(rig.run().refused().contains("process.scheduler"));
    rig.config(|config| config["process"]["scheduler"] = json!({"policy": "SCHED_SIDEWAYS"}));
    assert!(rig.run().refused().contains("SCHED_SIDEWAYS"));
    rig.assert_clean();
}

#[test]
fn io_priority_is_the_configured_one() {
    let best_effort = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
    let rig = sleeping(|config| config["process"]["ioPriority"] = best_effort);
    symlink("busybox", rig.rootfs().join("bin/ionice")).unwrap();
    assert_eq!(script(&rig, "ionice -p 1").ok(), "best-effort: prio 4");
    assert_eq!(script(&rig, "ionice -p $$").ok(), "best-effort: prio 4");
}

#[test]
fn memory_comes_from_the_configured_nodes() {
    let rig = Rig::new();
    rig.script("head -n 1 /proc/self/numa_maps");
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    rig.config(|config| config["linux"]["memoryPolicy"] = policy);
    let numa = std::path::Path::new("/proc/self/numa_maps").exists();
    match numa {
        true => assert!(rig.run().ok().contains(" bind=static:0 ")),
        false => assert!(rig.run().refused().contains("linux.memoryPolicy")),
    }
    // No policy at all is one, too.
    rig.config(|config| config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_DEFAULT"}));
    if numa {
        assert!(rig.run().ok().contains(" default "));
    }
    let rig = sleeping(|config| {
        if numa {
            let policy = json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"});
            config["linux"]["memoryPolicy"] = policy;
        }
    });
    let out = script(&rig, "head -n 1 /proc/self/numa_maps || true").ok();
    assert_eq!(out.contains(" interleave:0 "), numa, "{out}");
}

#[test]
fn an_exec_has_its_processors() {
    let rig = sleeping(|config| {
        config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
    });
    let allowed = "grep Cpus_allowed_list /proc/self/status";
    let last = |out: String| out.split_whitespace().last().unwrap().to_owned();
    assert_eq!(last(script(&rig, allowed).ok()), "0");
    let debug = ["--debug", "exec", "c", "true"];
    assert!(rig.runtime(&debug).err.contains("CPU affinity: 0x1"));
    let process = |affinity| {
        let process = json!({"args": ["sh", "-c", allowed], "cwd": "/", "env": ["PATH=/bin"],
            "execCPUAffinity": affinity});
        std::fs::write(rig.bundle().join("process.json"), process.to_string()).unwrap();
        exec(&rig, &["--process", "process.json", "c"])
    };
    assert_eq!(last(process(json!({"initial": "0"})).ok()), "0");
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    let ours = ours
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list"))
        .unwrap();
    assert_eq!(last(process(json!({})).ok()), last(ours.to_owned()));
    let err = refused(process(json!({"final": "1000"})));
    assert!(err.contains("process.execCPUAffinity.final"), "{err}");
}

/// Where a runtime may run is its caller's business, not the container's.
#[test]
fn a_cgroup_of_its_own_has_all_processors() {
    let name = format!("/sysc-cpus-{}", std::process::id());
    let rig = Rig::new();
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(name));
    rig.args(&["grep", "Cpus_allowed_list", "/proc/self/status"]);
    let all = rig.run().ok();
    let line = format!(
        "taskset -c 0 {} --root {} run c",
        rig::executable().display(),
        rig.state_root().display()
    );
    assert_eq!(rig.shell(&line).ok(), all);
}

#[test]
fn the_execution_domain_is_the_configured_one() {
    let rig = sleeping(|config| {
        config["linux"]["personality"] = json!({"domain": "LINUX32", "flags": []});
    });
    symlink("busybox", rig.rootfs().join("bin/uname")).unwrap();
    assert_eq!(script(&rig, "uname -m").ok(), "i686");
    let rig = Rig::new();
    let personality = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE", "UNAME26"]});
    rig.config(|config| config["linux"]["personality"] = personality);
    // What may be traced may be looked at.
    rig.args(&["cat", "/proc/self/personality"]);
    assert_eq!(rig.run().ok(), "00060000");
    rig.config(|config| config["linux"]["personality"]["flags"] = json!(["UPSIDE_DOWN"]));
    let err = rig.run().refused();
    assert!(
        err.contains("linux.personality.flags: 'UPSIDE_DOWN'"),
        "{err}"
    );
}
