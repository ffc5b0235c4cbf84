//! Processes of a container: listed, held, signalled together. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::{Rig, eventually, is_alive};
use serde_json::json;

/// A rig whose container `c` counts, in a cgroup of its own.
fn counting(name: &str) -> Rig {
    let rig = Rig::new();
    let path = format!("/sysc-{name}-{}", std::process::id());
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(path));
    rig.script(
        "i=0; while :; do echo $i >/tmp/new; mv /tmp/new /tmp/count; i=$((i+1)); sleep 0.01; done",
    );
    std::os::unix::fs::symlink("busybox", rig.rootfs().join("bin/mv")).unwrap();
    rig.runtime(&["run", "-d", "c"]).ok();
    eventually(|| rig.rootfs().join("tmp/count").exists());
    rig
}

fn count(rig: &Rig) -> u64 {
    let text = std::fs::read_to_string(rig.rootfs().join("tmp/count")).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn a_paused_container_stands_still() {
    let rig = counting("pause");
    rig.runtime(&["pause", "c"]).ok();
    assert_eq!(rig.status("c"), "paused");
    let before = count(&rig);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(count(&rig), before);

    let err = rig.runtime(&["pause", "c"]).refused();
    assert!(err.contains("it is paused"), "{err}");
    let err = rig.runtime(&["delete", "c"]).refused();
    assert!(err.contains("it is paused"), "{err}");
    let ended = rig.runtime(&["exec", "c", "true"]);
    assert_eq!(ended.code, Some(255));
    assert!(
        ended.err.contains(
            "cannot exec in a paused container: 'c' help: resume it, or use --ignore-paused"
        ),
        "{}",
        ended.err
    );
    let waiting = rig.spawn(&["exec", "--ignore-paused", "c", "sh", "-c", "exit 9"]);

    rig.runtime(&["resume", "c"]).ok();
    assert_eq!(rig.status("c"), "running");
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(9));
    eventually(|| count(&rig) > before);
    let err = rig.runtime(&["resume", "c"]).refused();
    assert!(err.contains("it is not paused, but running"), "{err}");
}

#[test]
fn a_paused_container_can_be_killed_and_deleted() {
    let rig = counting("pause-kill");
    rig.runtime(&["pause", "c"]).ok();
    rig.runtime(&["kill", "c", "KILL"]).ok();
    rig.until("c", "stopped");
    rig.runtime(&["delete", "c"]).ok();
    let rig = counting("pause-delete");
    rig.runtime(&["pause", "c"]).ok();
    rig.runtime(&["delete", "--force", "c"]).ok();
    rig.assert_clean();
}

#[test]
fn without_a_cgroup_of_its_own_pausing_is_systemds() {
    let rig = Rig::in_service();
    rig.args(&["sleep", "100"])
        .runtime(&["run", "-d", "c"])
        .ok();
    let err = rig.runtime(&["pause", "c"]).refused();
    assert!(
        err.contains("cannot pause container 'c'") && err.contains("systemctl freeze"),
        "{err}"
    );
    assert_eq!(rig.status("c"), "running");
}

#[test]
fn processes_are_listed() {
    let rig = counting("ps");
    rig.runtime(&["exec", "-d", "--pid-file", "pid", "c", "sleep", "1000"])
        .ok();
    let second: i32 = std::fs::read_to_string(rig.bundle().join("pid"))
        .unwrap()
        .parse()
        .unwrap();
    let first = rig.pid("c");
    let found: Vec<i32> =
        serde_json::from_str(&rig.runtime(&["ps", "-f", "json", "c"]).ok()).unwrap();
    assert!(
        found.contains(&first) && found.contains(&second),
        "{found:?}"
    );
    let table = rig.runtime(&["ps", "c"]).ok();
    assert!(table.lines().next().unwrap().contains("PID"), "{table}");
    assert!(table.contains("sleep 1000"), "{table}");
    let table = rig.runtime(&["ps", "c", "-o", "pid,args"]).ok();
    assert!(
        table.starts_with("    PID COMMAND") || table.starts_with("PID COMMAND"),
        "{table}"
    );
    let err = rig.runtime(&["ps", "c", "-o", "args"]).refused();
    assert!(err.contains("no column PID"), "{err}");
}

#[test]
fn without_a_cgroup_those_of_the_pid_namespace_are_listed_and_signalled() {
    let rig = Rig::in_service();
    rig.script(
        "sleep 1000 & sleep 2000 & trap '' TERM; touch /tmp/ready; while :; do sleep 0.01; done",
    );
    rig.runtime(&["run", "-d", "c"]).ok();
    eventually(|| rig.rootfs().join("tmp/ready").exists());
    rig.runtime(&["exec", "-d", "--pid-file", "pid", "c", "sleep", "3000"])
        .ok();
    let guest: i32 = std::fs::read_to_string(rig.bundle().join("pid"))
        .unwrap()
        .parse()
        .unwrap();
    let listed = || -> Vec<i32> {
        serde_json::from_str(&rig.runtime(&["ps", "-f", "json", "c"]).ok()).unwrap()
    };
    let all = listed();
    assert!(
        all.len() >= 4 && all.contains(&guest) && !all.contains(&(std::process::id() as i32)),
        "{all:?}"
    );
    rig.runtime(&["kill", "--all", "c", "TERM"]).ok();
    eventually(|| !is_alive(guest));
    eventually(|| listed().len() <= 2);
    assert_eq!(rig.status("c"), "running");
}
