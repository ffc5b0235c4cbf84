//! Ending a container that would not hear its stop signal. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::guest::sleeping;
use rig::{Rig, eventually};
use serde_json::{Value, json};

fn may_trace(config: &mut Value) {
    let all = json!([
        "CAP_SYS_PTRACE",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_KILL"
    ]);
    config["process"]["capabilities"] =
        json!({"bounding": all, "effective": all, "permitted": all});
}

#[test]
fn one_that_hears_is_left_alone_and_any_other_ends() {
    let rig = sleeping(|_| {});
    rig.runtime(&["halt", "c", "SIGKILL9"]).refused();
    rig.runtime(&["halt", "nobody"]).ok();
    rig.runtime(&["halt", "c"]).ok();
    assert_eq!(rig.status("c"), "stopped");
    rig.runtime(&["halt", "c"]).ok();
    rig.runtime(&["delete", "c"]).ok();

    rig.script("trap 'exit 3' TERM; touch /tmp/up; while :; do sleep 0.05; done");
    rig.runtime(&["run", "-d", "c"]).ok();
    eventually(|| rig.rootfs().join("tmp/up").exists());
    rig.runtime(&["halt", "c"]).ok();
    assert_eq!(rig.status("c"), "running");
    rig.runtime(&["halt", "c", "SIGUSR1"]).ok();
    assert_eq!(rig.status("c"), "stopped");
    rig.runtime(&["delete", "c"]).ok();
    rig.assert_clean();
}

#[test]
fn one_without_a_namespace_of_its_own_is_left_alone() {
    let rig = sleeping(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    rig.runtime(&["halt", "c"]).ok();
    assert_eq!(rig.status("c"), "running");
    rig.runtime(&["delete", "--force", "c"]).ok();
}

/// What ends a container is seen in it, and has nothing of the host.
#[test]
fn whoever_may_trace_gains_nothing_by_it() {
    for _ in 0..6 {
        let rig = sleeping(may_trace);
        let seen = rig.rootfs().join("tmp/seen");
        let attack = format!(
            "touch /tmp/ready; while :; do for p in /proc/[2-9] /proc/[1-9][0-9]; do \
             [ -e $p/root{0}/config.json ] && echo root >> /tmp/seen; \
             [ -e $p/cwd/config.json ] && echo cwd >> /tmp/seen; \
             for f in $p/fd/[3-9]*; do [ -e $f/config.json ] && echo fd >> /tmp/seen; done; \
             done; done",
            rig.bundle().display()
        );
        let attacker = rig.spawn(&["exec", "c", "sh", "-c", &attack]);
        eventually(|| rig.rootfs().join("tmp/ready").exists());
        rig.runtime(&["halt", "c"]).ok();
        attacker.wait_with_output().unwrap();
        let said = std::fs::read_to_string(&seen).unwrap_or_default();
        assert_eq!(said, "");
    }
}

/// A program that kills whatever appears is an error in the end, or has lost.
#[test]
fn it_never_waits_for_ever() {
    let rig: Rig = sleeping(may_trace);
    let attack = "touch /tmp/ready; while :; do for p in /proc/[0-9]*; do p=${p#/proc/}; \
         [ $p = 1 ] || [ $p = $$ ] || kill -9 $p; done; done 2>/dev/null";
    let attacker = rig.spawn(&["exec", "c", "sh", "-c", attack]);
    eventually(|| rig.rootfs().join("tmp/ready").exists());
    let ended = rig.runtime(&["halt", "c"]);
    let runs = rig.status("c") == "running";
    assert_eq!(ended.code == Some(0), !runs, "{}", ended.err);
    rig.runtime(&["delete", "--force", "c"]).ok();
    attacker.wait_with_output().unwrap();
}
