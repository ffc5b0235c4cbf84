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
            "createRuntime" | "createContainer" => "creating",
            "prestart" | "startContainer" => "created",
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
            err.contains(&format!("error running {kind} hook #1: '/bin/false'")),
            "{err}"
        );
        assert!(stopped.exists(), "{kind}");
        rig.assert_clean();
    }
}

#[test]
fn hooks_before_the_pivot_begin_in_the_bundle_or_in_the_root() {
    let rig = Rig::new();
    let pwd =
        |name: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("pwd >{name}")]}]);
    rig.args(&["true"]).config(|config| {
        config["hooks"] = json!({"createRuntime": pwd("host"), "createContainer": pwd("inside")});
    });
    rig.run().ok();
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let bundle = rig.bundle().canonicalize().unwrap();
    let found = read(bundle.join("host"));
    assert_eq!(found.trim(), bundle.to_str().unwrap());
    let found = read(bundle.join("rootfs/inside"));
    assert_eq!(found.trim(), bundle.join("rootfs").to_str().unwrap());
}

#[test]
fn a_start_container_hook_has_the_payloads_environment_and_the_last_word() {
    let rig = Rig::new();
    let script = "echo A is $A, home $HOME >&2; exit 3";
    rig.args(&["true"]).config(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "A=1"]);
        config["hooks"] =
            json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    });
    let err = rig.run().refused();
    assert!(
        err.ends_with("hook #0: '/bin/sh': exit status: 3: A is 1, home /root"),
        "{err}"
    );
    rig.assert_clean();
}

#[test]
fn r18_a_failing_poststop_hook_is_only_a_warning() {
    let rig = Rig::new();
    let last = rig.bundle().join("last");
    rig.config(|config| {
        config["hooks"] = json!({"poststop": [
            {"path": "/bin/false"},
            {"path": "/bin/touch", "args": ["touch", last]}]});
    });
    let ended = rig.script("exit 4").run();
    assert_eq!(ended.code, Some(4));
    assert!(last.exists());
    assert!(
        ended
            .err
            .contains("warning: error running poststop hook #0"),
        "{}",
        ended.err
    );
    rig.assert_clean();
}

#[test]
fn a_container_whose_start_has_failed_has_stopped() {
    for kind in ["startContainer", "poststart"] {
        let rig = Rig::new();
        rig.args(&["sleep", "100"])
            .config(|config| config["hooks"] = json!({(kind): [{"path": "/bin/false"}]}));
        rig.runtime(&["create", "c"]).ok();
        let err = rig.runtime(&["start", "c"]).refused();
        assert!(err.contains(&format!("{kind} hook #0")), "{err}");
        assert_eq!(rig.status("c"), "stopped", "{kind}");
        rig.runtime(&["delete", "c"]).ok();
        rig.assert_clean();
    }
}

#[test]
fn a_hook_on_the_host_that_names_no_environment_has_ours() {
    let rig = Rig::new();
    let hook = |name: &str, more: serde_json::Value| {
        let script = format!("echo $OURS >{}", rig.bundle().join(name).display());
        let mut hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        hook["env"] = more;
        hook
    };
    rig.args(&["true"]).config(|config| {
        config["hooks"] =
            json!({"createRuntime": [hook("lent", json!([])), hook("own", json!(["A=1"]))]});
    });
    let status = rig.command(&["run", "c"]).env("OURS", "yes").status();
    assert!(status.unwrap().success());
    let read = |name| std::fs::read_to_string(rig.bundle().join(name)).unwrap();
    assert_eq!((read("lent").trim(), read("own").trim()), ("yes", ""));
}
