//! Bad input: one line that names it, status 1, and nothing left. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use serde_json::{Value, json};

#[test]
fn s10_names() {
    let rig = Rig::new();
    let long = "x".repeat(256);
    for name in ["..", "a/b", ".x", "", "a b", long.as_str()] {
        for verb in ["run", "create", "start", "delete"] {
            assert!(
                rig.runtime(&[verb, name])
                    .refused()
                    .contains("invalid container id")
            );
        }
    }
    assert!(!rig.state_root().exists());
}

#[test]
fn bundles_that_are_none() {
    let rig = Rig::new();
    assert!(
        rig.runtime(&["run", "-b", "/no/such", "c"])
            .refused()
            .contains("'/no/such'")
    );
    let config = rig.bundle().join("config.json");
    for (text, words) in [
        ("", "not a valid OCI configuration"),
        ("{\"ociVersion\": 1}", "not a valid"),
        ("{}", "root: is missing"),
    ] {
        std::fs::write(&config, text).unwrap();
        let err = rig.run().refused();
        assert!(err.contains("config.json") && err.contains(words), "{err}");
    }
    std::fs::remove_file(&config).unwrap();
    assert!(rig.run().refused().contains("config.json': No such file"));
    assert!(!rig.state_root().exists());
}

#[test]
fn fields_are_named() {
    type Change = fn(&mut Value);
    let table: &[(Change, &str)] = &[
        (|c| c["root"]["path"] = json!("nowhere"), "root.path"),
        (|c| c["root"]["path"] = json!("/"), "root.path"),
        (|c| c["process"]["args"] = json!([]), "process.args"),
        (|c| c["process"]["terminal"] = json!("yes"), "boolean"),
        (
            |c| c["mounts"][3]["type"] = json!("nofs"),
            "nofs on '/dev/shm'",
        ),
        (
            |c| {
                c["mounts"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({"destination": "/x", "source": "/no/such", "options": ["bind"]}))
            },
            "'/no/such' on '/x'",
        ),
        (
            |c| {
                c["mounts"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({"destination": "/x", "type": "tmpfs", "options": ["sizzle=3"]}))
            },
            "'sizzle'",
        ),
        (
            |c| c["linux"]["namespaces"][0] = json!({"type": "pid", "path": "/no/such"}),
            "/no/such",
        ),
        (
            |c| c["linux"]["sysctl"] = json!({"kernel.nothing": "1"}),
            "kernel.nothing",
        ),
        (
            |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 1}]),
            "RLIMIT_NOFILE",
        ),
        (
            |c| c["process"]["cwd"] = json!("/proc/no/such"),
            "/proc/no/such",
        ),
        (
            |c| c["process"]["apparmorProfile"] = json!("nothing"),
            "AppArmor profile 'nothing'",
        ),
        (
            |c| c["linux"]["rootfsPropagation"] = json!("sideways"),
            "sideways",
        ),
        (
            |c| {
                c["linux"]["namespaces"] = json!([{"type": "uts"}]);
            },
            "linux.maskedPaths",
        ),
        (
            |c| c["linux"]["cgroupsPath"] = json!("/../../x"),
            "linux.cgroupsPath",
        ),
        (
            |c| c["linux"]["resources"] = json!({"rdma": {"mlx": {"hcaHandles": 1}}}),
            "linux.resources.rdma",
        ),
    ];
    for (change, words) in table {
        let rig = Rig::new();
        let err = rig.config(change).run().refused();
        assert!(err.contains(words), "{words}: {err}");
        rig.assert_clean();
    }
}

#[test]
fn terminals_need_somewhere_to_go() {
    let rig = Rig::new();
    assert!(
        rig.runtime(&["run", "--console-socket", "/x", "c"])
            .refused()
            .contains("process.terminal")
    );
    rig.config(|config| config["process"]["terminal"] = json!(true));
    assert!(
        rig.runtime(&["create", "c"])
            .refused()
            .contains("--console-socket")
    );
    assert!(
        rig.runtime(&["run", "-d", "c"])
            .refused()
            .contains("--console-socket")
    );
    assert!(
        rig.runtime(&["create", "--console-socket", "/no/such", "c"])
            .refused()
            .contains("'/no/such'")
    );
    rig.assert_clean();
}

#[test]
fn r14_old_forms_start() {
    type Change = fn(&mut Value);
    let table: &[Change] = &[
        |c| c["process"]["capabilities"] = json!(["CAP_NET_RAW"]),
        |c| {
            drop(c["process"].as_object_mut().unwrap().remove("capabilities"));
            c["linux"]["capabilities"] = json!(["CAP_NET_RAW"]);
            c["linux"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
        },
        |c| c["platform"] = json!({"os": "linux", "arch": "amd64"}),
        |c| c["linux"]["selinuxProcessLabel"] = json!(""),
        |c| c["hooks"] = json!({"prestart": [{"path": "/bin/true"}]}),
        |c| c["ociVersion"] = json!("0.3.0"),
        |c| c["process"]["surprise"] = json!({"deep": [1]}),
        |c| c["mounts"][0]["destination"] = json!("proc"),
    ];
    for (index, change) in table.iter().enumerate() {
        let rig = Rig::new();
        rig.config(change)
            .args(&["grep", "CapBnd", "/proc/self/status"]);
        let wanted = if index < 2 {
            "0000000000002000"
        } else {
            "0000000020000420"
        };
        let out = rig.run().ok();
        assert!(out.ends_with(wanted), "{index}: {out}");
    }
}

#[test]
fn errors_are_logged_as_json() {
    let rig = Rig::new();
    let log = rig.bundle().join("log");
    rig.args(&["nowhere"]);
    let words = [
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
        "run",
        "c",
    ];
    rig.runtime(&words).refused();
    let text = std::fs::read_to_string(log).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("'nowhere'"));
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn spec_does_not_overwrite() {
    let rig = Rig::new();
    assert!(rig.runtime(&["spec"]).refused().contains("config.json"));
    let features: Value = serde_json::from_str(&rig.runtime(&["features"]).ok()).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert!(
        rig.runtime(&["--version"])
            .ok()
            .starts_with("sysc-runtime version ")
    );
    assert_eq!(rig.runtime(&["fly"]).code, Some(1));
}
