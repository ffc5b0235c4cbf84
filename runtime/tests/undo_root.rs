//! A start that fails at any of its steps leaves nothing: no record, cgroup, mount or process. Needs
//! root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::guest::cgroups;
use rig::{Ended, Rig, eventually};
use serde_json::{Value, json};

type Change = fn(&mut Value);

/// Each step that can be made to fail, from the first on the host to the last inside, and a word of
/// its message.
const STEPS: &[(Change, &str)] = &[
    (|c| c["root"]["path"] = json!("nowhere"), "root.path"),
    (
        |c| c["linux"]["namespaces"][0] = json!({"type": "pid", "path": "/no/such"}),
        "/no/such",
    ),
    (
        |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]),
        "RLIMIT_NOFILE",
    ),
    (|c| c["process"]["oomScoreAdj"] = json!(5000), "oomScoreAdj"),
    (
        |c| c["linux"]["resources"]["pids"] = json!({"limit": i64::MAX}),
        "pids",
    ),
    (
        |c| c["linux"]["namespaces"][1] = json!({"type": "network", "path": "/etc/passwd"}),
        "/etc/passwd",
    ),
    (|c| c["mounts"][3]["type"] = json!("nofs"), "nofs"),
    (
        |c| {
            c["mounts"]
                .as_array_mut()
                .unwrap()
                .push(json!({"destination": "/x", "source": "/no/such", "options": ["bind"]}))
        },
        "/no/such",
    ),
    (
        |c| {
            c["linux"]["devices"] =
                json!([{"path": "/dev/shm", "type": "c", "major": 1, "minor": 3}])
        },
        "/dev/shm",
    ),
    (
        |c| c["hooks"] = json!({"prestart": [{"path": "/bin/false"}]}),
        "prestart",
    ),
    (
        |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]}),
        "createRuntime",
    ),
    (
        |c| c["hooks"] = json!({"createContainer": [{"path": "/bin/false"}]}),
        "createContainer",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"kernel.nothing": "1"}),
        "kernel.nothing",
    ),
    (
        |c| c["linux"]["maskedPaths"] = json!([format!("/{}", "x".repeat(300))]),
        "hide",
    ),
    (
        |c| c["process"]["apparmorProfile"] = json!("nothing"),
        "AppArmor",
    ),
    (
        |c| c["process"]["user"] = json!({"uid": 4_294_967_295u32, "gid": 0}),
        "user",
    ),
    (
        |c| c["process"]["cwd"] = json!("/bin/busybox"),
        "/bin/busybox",
    ),
    (|c| c["process"]["args"] = json!(["nowhere"]), "nowhere"),
];

fn started(verb: &str, change: Change) -> (Rig, String, Ended) {
    let rig = Rig::new();
    let name = format!("sysc-undo-{}", std::process::id());
    rig.config(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
        config["process"]["env"] = json!([format!("UNDO={name}"), "PATH=/bin"]);
    });
    let ended = rig.config(change).runtime(&[verb, "c"]);
    (rig, name, ended)
}

fn assert_undone(rig: &Rig, name: &str) {
    assert!(cgroups(name).is_empty(), "{:?}", cgroups(name));
    let root = rig.state_root();
    let ours = || {
        rig.shell(&format!(
            "grep -laz -e {} /proc/[0-9]*/cmdline",
            root.display()
        ))
    };
    // The shell and its own grep say the name as well.
    eventually(|| ours().out.lines().count() <= 2);
    rig.assert_clean();
}

#[test]
fn whatever_fails_is_undone() {
    for verb in ["create", "run"] {
        for (change, word) in STEPS {
            let (rig, name, ended) = started(verb, *change);
            assert_eq!(ended.code, Some(1), "{word}");
            let err = ended.refused();
            assert!(err.contains(word), "{word}: {err}");
            assert_undone(&rig, &name);
        }
    }
}

#[test]
fn so_is_what_fails_on_the_host_at_the_end() {
    let rig = Rig::new();
    let name = format!("sysc-undo-end-{}", std::process::id());
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    rig.runtime(&["create", "--pid-file", "/no/such/file", "c"])
        .refused();
    assert_undone(&rig, &name);
    rig.config(|config| config["hooks"] = json!({"startContainer": [{"path": "/bin/false"}]}));
    rig.runtime(&["run", "c"]).refused();
    assert_undone(&rig, &name);
}

#[test]
fn a_cgroup_in_which_others_are_is_neither_taken_nor_emptied() {
    let rig = Rig::new();
    let name = format!("sysc-undo-taken-{}", std::process::id());
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    rig.args(&["sleep", "1000"])
        .runtime(&["run", "-d", "first"])
        .ok();
    let err = rig.runtime(&["run", "second"]).refused();
    assert!(
        err.contains(&name) && err.contains("is not empty: 1 process(es)"),
        "{err}"
    );
    assert_eq!(rig.status("first"), "running");
    assert_eq!(rig.status("second"), "absent");
}
