//! Capabilities and limits of a program. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::MetadataExt;

use rig::Rig;
use rig::guest::{exec, script, sleeping};
use serde_json::json;

const STATUS: &str = "grep ^Cap /proc/self/status";

fn sets(out: &str) -> Vec<u64> {
    let masks = out
        .lines()
        .map(|line| line.split_whitespace().last().unwrap());
    masks
        .map(|mask| u64::from_str_radix(mask, 16).unwrap())
        .collect()
}

const KILL: u64 = 1 << 5;
const CHOWN: u64 = 1;
const SYSLOG: u64 = 1 << 34;

/// In the order of /proc/PID/status: inheritable, permitted, effective, bounding, ambient.
#[test]
fn all_five_sets_are_the_configured_ones() {
    let rig = sleeping(|config| {
        config["process"]["capabilities"] = json!({
            "inheritable": ["CAP_CHOWN", "CAP_SYSLOG"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
            "effective": ["CAP_KILL"], "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SYSLOG"],
            "ambient": ["CAP_CHOWN"]});
    });
    let both = KILL | CHOWN;
    let wanted = [CHOWN | SYSLOG, both, both, both | SYSLOG, CHOWN];
    assert_eq!(sets(&script(&rig, STATUS).ok()), wanted);
    let all = both | SYSLOG;
    let out = exec(&rig, &["--cap", "CAP_SYSLOG", "c", "sh", "-c", STATUS]).ok();
    assert_eq!(sets(&out), [CHOWN | SYSLOG, all, all, all, CHOWN | SYSLOG]);
}

#[test]
fn another_user_keeps_what_is_ambient() {
    let rig = Rig::new();
    rig.config(|config| {
        config["process"]["user"] = json!({"uid": 33, "gid": 33});
        let two = json!(["CAP_KILL", "CAP_SYSLOG"]);
        config["process"]["capabilities"] = json!({"bounding": two, "permitted": two,
            "effective": two, "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL", "CAP_CHOWN"]});
    });
    rig.script(STATUS);
    let out = rig.run().ok();
    assert_eq!(sets(&out), [KILL, KILL, KILL, KILL | SYSLOG, KILL]);
}

#[test]
fn another_user_can_open_its_streams() {
    let rig = Rig::new();
    rig.config(|config| config["process"]["user"] = json!({"uid": 33, "gid": 33}));
    let script = "echo one >/dev/stdout; echo two >/dev/stderr; stat -L -c %u:%g /dev/fd/1";
    let by_file = rig.script(script).run();
    let input = rig.bundle().join("input");
    std::fs::write(&input, "").unwrap();
    let reads = std::fs::File::open(&input).unwrap();
    rig.command(&["run", "c"]).stdin(reads).output().unwrap();
    assert_eq!(std::fs::metadata(&input).unwrap().uid(), 0);
    let pipes = rig.command(&["run", "c"]).output().unwrap().into();
    rig.args(&["sleep", "1000"]);
    rig.runtime(&["run", "-d", "c"]).ok();
    let of_exec = rig.command(&["exec", "c", "sh", "-c", script]).output();
    for ended in [by_file, pipes, of_exec.unwrap().into()] {
        assert_eq!(ended.err, "two");
        // In a file each message opens at its beginning.
        assert!(ended.out.ends_with("33:0"), "{}", ended.out);
    }
}

/// It may be the cause of what fails later.
#[test]
fn unknown_capabilities_are_told_of_a_failure_too() {
    let rig = Rig::new();
    rig.config(|config| config["process"]["capabilities"]["bounding"] = json!(["CAP_OF_TOMORROW"]));
    let ended = rig.args(&["/no/such"]).run();
    let lines: Vec<&str> = ended.err.lines().collect();
    assert!(lines[0].contains("[CAP_OF_TOMORROW]"), "{}", ended.err);
    assert!(lines[1].contains("'/no/such'"), "{}", ended.err);
}

#[test]
fn unknown_capabilities_are_passed_over() {
    let rig = Rig::new();
    rig.config(|config| {
        let list = json!(["CAP_KILL", "CAP_OF_TOMORROW"]);
        config["process"]["capabilities"] = json!({"bounding": list, "permitted": list});
    });
    rig.script(STATUS);
    let ended = rig.run();
    assert!(ended.err.contains("[CAP_OF_TOMORROW]"), "{}", ended.err);
    assert_eq!(sets(&ended.ok()), [0, KILL, KILL, KILL, 0]);
}

/// Who may pass over permissions may execute what is executable for anybody.
#[test]
fn capabilities_count_for_the_program_too() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    let tool = rig.rootfs().join("bin/tool");
    std::fs::copy(rig.rootfs().join("bin/busybox"), &tool).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o744)).unwrap();
    rig.config(|config| config["process"]["user"] = json!({"uid": 33, "gid": 33}));
    for name in ["/bin/tool", "tool"] {
        rig.config(|config| config["process"]["capabilities"] = json!({}));
        rig.args(&[name, "true"]).run().refused();
        rig.config(|config| {
            let one = json!(["CAP_DAC_OVERRIDE"]);
            config["process"]["capabilities"] = json!({"bounding": one, "permitted": one,
                "effective": one, "inheritable": one, "ambient": one});
        });
        // The name chooses the applet.
        rig.args(&[name, "true"]);
        assert!(!rig.run().err.contains("cannot execute"));
    }
}

#[test]
fn wrong_limits_are_named() {
    let limit = |name: &str| json!({"type": name, "soft": 9, "hard": 9});
    let table = [
        (
            json!([limit("RLIMIT_CORE"), limit("RLIMIT_CORE")]),
            "'RLIMIT_CORE' is named twice",
        ),
        (json!([limit("RLIMIT_OF_TOMORROW")]), "RLIMIT_OF_TOMORROW"),
    ];
    for (limits, words) in table {
        let rig = Rig::new();
        let err = rig
            .config(|config| config["process"]["rlimits"] = limits)
            .run()
            .refused();
        assert!(err.contains(words), "{err}");
    }
    let rig = Rig::new();
    rig.config(|config| config["process"]["oomScoreAdj"] = json!(1001));
    assert!(rig.run().refused().contains("process.oomScoreAdj"));
}

#[test]
fn every_limit_is_set() {
    let names = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    let rig = Rig::new();
    let before = std::fs::read_to_string("/proc/self/limits").unwrap();
    // As they are: raising them is not everybody's right.
    let hard = |label: &str| {
        let line = before.lines().find(|line| line.starts_with(label)).unwrap();
        let number = line[label.len()..].split_whitespace().nth(1).unwrap();
        number.parse().unwrap_or(u64::MAX)
    };
    let labels = [
        "Max cpu time",
        "Max file size",
        "Max data size",
        "Max stack size",
        "Max core file size",
        "Max resident set",
        "Max processes",
        "Max open files",
        "Max locked memory",
        "Max address space",
        "Max file locks",
        "Max pending signals",
        "Max msgqueue size",
        "Max nice priority",
        "Max realtime priority",
        "Max realtime timeout",
    ];
    let limits: Vec<_> = names
        .iter()
        .zip(labels)
        .map(|(name, label)| {
            let hard = hard(label);
            json!({"type": format!("RLIMIT_{name}"), "soft": hard.min(1 << 40), "hard": hard})
        })
        .collect();
    rig.config(|config| config["process"]["rlimits"] = json!(limits));
    rig.args(&["cat", "/proc/self/limits"]);
    let out = rig.run().ok();
    for label in labels {
        let line = out.lines().find(|line| line.starts_with(label)).unwrap();
        let soft = line[label.len()..].split_whitespace().next().unwrap();
        assert_eq!(soft, hard(label).min(1 << 40).to_string(), "{label}");
    }
}
