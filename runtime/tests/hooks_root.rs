//! Hooks: when each runs, where, and what its failure means. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use serde_json::json;

#[test]
fn r18_hooks_run_in_order_and_read_the_state() {
    let rig = Rig::new();
    let log = rig.bundle().join("log");
    let hook = |kind: &str| {
        let script = format!(
            "read s; echo \"{kind} $(readlink /proc/self/ns/mnt) $s\" >>{}",
            log.display()
        );
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    };
    // Bound in, so that hooks inside find the log under its own name.
    std::fs::write(&log, "").unwrap();
    rig.config(|config| {
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"destination": log, "source": log, "options": ["bind"]}));
        config["hooks"] = json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"),
            "createContainer": hook("createContainer"), "startContainer": hook("startContainer"),
            "poststart": hook("poststart"), "poststop": hook("poststop")});
    });
    rig.script("exit 0").run().ok();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.splitn(3, ' ').collect())
        .collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(
        kinds,
        [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop"
        ]
    );
    let host = std::fs::read_link("/proc/self/ns/mnt")
        .unwrap()
        .display()
        .to_string();
    for line in &lines {
        let inside = matches!(line[0], "createContainer" | "startContainer");
        assert_eq!(line[1] != host, inside, "{line:?}");
        let state: serde_json::Value = serde_json::from_str(line[2]).unwrap();
        assert_eq!(state["id"], "c");
        assert_eq!(state["bundle"], json!(rig.bundle()));
        let status = match line[0] {
            "prestart" | "createRuntime" | "createContainer" => "creating",
            "startContainer" => "created",
            "poststart" => "running",
            _ => "stopped",
        };
        assert_eq!(state["status"], status);
        assert_eq!(state["pid"].is_i64(), line[0] != "poststop", "{line:?}");
    }
}

#[test]
fn r18_a_failing_hook_stops_the_start_and_is_named() {
    for kind in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
    ] {
        let rig = Rig::new();
        let stopped = rig.bundle().join("stopped");
        rig.config(|config| {
            config["hooks"] = json!({
                (kind): [{"path": "/bin/true"}, {"path": "/bin/false"}],
                "poststop": [{"path": "/bin/touch", "args": ["touch", stopped]}]});
        });
        let err = rig.args(&["sleep", "100"]).run().refused();
        assert!(
            err.contains(&format!("'{kind}' #1 ('/bin/false')")),
            "{err}"
        );
        assert!(stopped.exists(), "{kind}");
        rig.assert_clean();
    }
}

#[test]
fn r18_a_failing_poststop_hook_is_only_a_warning() {
    let rig = Rig::new();
    rig.config(|config| config["hooks"] = json!({"poststop": [{"path": "/bin/false"}]}));
    let ended = rig.script("exit 4").run();
    assert_eq!(ended.code, Some(4));
    assert!(
        ended.err.contains("warning: hook 'poststop' #0"),
        "{}",
        ended.err
    );
    rig.assert_clean();
}
