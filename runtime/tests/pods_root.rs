//! Containers that join the PID namespace of another, as those of a pod do. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::{Rig, eventually};
use serde_json::json;

/// All that lets somebody look into others.
const CURIOUS: [&str; 3] = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"];

/// `first` sleeps; from now on the bundle's containers join it. Both have the same capabilities.
fn pod() -> Rig {
    let rig = Rig::new();
    rig.config(|config| {
        let all = json!(CURIOUS);
        config["process"]["capabilities"] =
            json!({"bounding": all, "effective": all, "permitted": all});
    });
    rig.args(&["sleep", "1000"]);
    rig.runtime(&["run", "-d", "first"]).ok();
    let pid = rig.pid("first");
    rig.config(|config| {
        let path = format!("/proc/{pid}/ns/pid");
        config["linux"]["namespaces"] =
            json!([{"type": "pid", "path": path}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}]);
    });
    rig
}

#[test]
fn who_joins_is_seen_as_no_more_than_its_payload() {
    let rig = pod();
    // Where the runtime is called from there is a config.json; in a container there is none.
    let attack = format!(
        "own=$(grep CapEff /proc/self/status); touch /tmp/ready; while [ -e /tmp/ready ]; do \
         for p in /proc/[0-9]*; do \
         [ -e $p/cwd/config.json ] && echo CWD; [ -e $p/root{}/config.json ] && echo ROOT; \
         caps=$(grep CapEff $p/status 2>/dev/null); \
         [ -z \"$caps\" ] || [ \"$caps\" = \"$own\" ] || echo MORE $caps; \
         [ -e $p/cwd ] && echo $p >>/tmp/seen; \
         for f in $p/fd/[3-9]*; do [ -e $f/config.json ] && echo FD; done; done; done",
        rig.bundle().display()
    );
    let watcher = rig.spawn(&["exec", "first", "sh", "-c", &attack]);
    let ready = rig.rootfs().join("tmp/ready");
    eventually(|| ready.exists());
    let seen = || {
        let text = std::fs::read_to_string(rig.rootfs().join("tmp/seen")).unwrap_or_default();
        text.lines().collect::<std::collections::HashSet<_>>().len()
    };
    rig.args(&["sleep", "0.01"]);
    let mut starts = 0;
    // The watcher looks only so often, and other starts go between two of its looks.
    while starts < 25 || seen() < 12 {
        rig.runtime(&["run", "second"]).ok();
        rig.runtime(&["create", "second"]).ok();
        rig.runtime(&["delete", "--force", "second"]).ok();
        starts += 1;
        assert!(starts < 500, "the watcher sees nobody");
    }
    std::fs::remove_file(&ready).unwrap();
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn its_processes_and_its_own_number_are_those_of_the_pod() {
    let rig = pod();
    rig.config(|config| {
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", "cat >/tmp/hook"]}]);
        config["hooks"] = json!({"startContainer": hook});
    });
    rig.script("[ $$ != 1 ] && ps | grep -c 'sleep 1000'; readlink /proc/self/ns/pid; touch /tmp/on; sleep 1000");
    let child = rig.spawn(&["run", "second"]);
    eventually(|| rig.rootfs().join("tmp/on").exists());
    let pid = rig.pid("second");
    let hook = std::fs::read(rig.rootfs().join("tmp/hook")).unwrap();
    let hook: serde_json::Value = serde_json::from_slice(&hook).unwrap();
    assert_eq!(hook["pid"], json!(pid));
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    rig.runtime(&["kill", "second", "KILL"]).ok();
    let ended = rig::Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(137));
    let mut lines = ended.out.lines();
    assert!(lines.next().is_some_and(|count| count != "0"), "{ended:?}");
    assert_eq!(lines.next(), namespace.to_str());
    assert_eq!(rig.status("first"), "running");
}

#[test]
fn it_has_a_session_and_a_terminal_of_its_own() {
    let rig = pod();
    rig.config(|config| config["process"]["terminal"] = json!(true));
    rig.script("tty; echo heard >/dev/tty; echo mounted >/dev/console");
    let ended = rig.runtime(&["run", "second"]);
    assert_eq!(ended.out, "/dev/pts/0\nheard\nmounted", "{}", ended.err);
}

#[test]
fn what_is_passed_on_arrives() {
    let rig = pod();
    rig.script("[ $LISTEN_PID = $$ ] && echo mine; cat <&3");
    let line = format!(
        "echo given >given; exec 3<given; LISTEN_FDS=1 LISTEN_PID=$$ exec {} --root {} run second",
        rig.program().display(),
        rig.state_root().display()
    );
    assert_eq!(rig.shell(&line).ok(), "mine\ngiven");
}

#[test]
fn one_that_fails_leaves_nothing() {
    let rig = pod();
    for args in [["nowhere"], ["/etc"]] {
        let err = rig.args(&args).runtime(&["run", "second"]).refused();
        assert!(err.contains(args[0]), "{err}");
        assert_eq!(rig.status("second"), "absent");
    }
    assert_eq!(rig.runtime(&["list", "-q"]).ok(), "first");
}
