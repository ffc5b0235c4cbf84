//! What `features` promises is kept. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use serde_json::{Value, json};

fn features(rig: &Rig) -> Value {
    serde_json::from_str(&rig.runtime(&["features"]).ok()).unwrap()
}

fn texts(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap()
}

fn mount_with(option: &str) -> Value {
    let at = match option {
        "remount" => "/dev/shm".to_owned(),
        _ => format!("/mnt/{option}"),
    };
    let mut mount = json!({"destination": at, "options": ["rbind", option]});
    if option.ends_with("idmap") {
        let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
        mount["uidMappings"] = map.clone();
        mount["gidMappings"] = map;
    }
    // What has an `r` before it is about the mounts below a bind.
    let recursive = option.starts_with('r') && !matches!(option, "relatime" | "remount");
    if recursive || matches!(option, "bind" | "idmap") {
        mount["source"] = "source".into();
    } else {
        mount["type"] = "tmpfs".into();
        mount["options"] = json!([option]);
    }
    mount
}

#[test]
fn every_mount_option_is_one_that_a_mount_takes() {
    let rig = Rig::new();
    rig.args(&["true"]);
    std::fs::create_dir(rig.bundle().join("source")).unwrap();
    let options = texts(&features(&rig)["mountOptions"]);
    let mounts: Vec<_> = options.iter().map(|option| mount_with(option)).collect();
    rig.config(|config| {
        let all = config["mounts"].as_array_mut().unwrap();
        all.extend(mounts);
    });
    rig.run().ok();
}

#[test]
fn every_namespace_is_one_that_can_be_made() {
    let rig = Rig::new();
    rig.script("ls -l /proc/self/ns");
    let kinds = texts(&features(&rig)["linux"]["namespaces"]);
    rig.config(|config| {
        let all = kinds.iter().map(|kind| json!({"type": kind}));
        config["linux"]["namespaces"] = all.collect();
        let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    rig.run().ok();
}

#[test]
fn every_hook_is_run() {
    let rig = Rig::new();
    let hooks = texts(&features(&rig)["hooks"]);
    let seen = rig.bundle().join("seen");
    rig.args(&["true"]).config(|config| {
        for kind in &hooks {
            // A file of the host and one of the container, of which each hook finds one.
            let script = format!("echo {kind} >>{} || echo {kind} >>/inside", seen.display());
            config["hooks"][kind] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        }
    });
    rig.run().ok();
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let found = read(seen) + &read(rig.rootfs().join("inside"));
    assert_eq!(found.lines().count(), hooks.len(), "{found}");
    assert!(hooks.iter().all(|kind| found.contains(kind)), "{found}");
}

#[test]
fn what_is_not_enabled_is_refused_by_name() {
    let table = [
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt"),
        (
            "/linux/netDevices",
            json!({"eth0": {"name": "x"}}),
            "linux.netDevices",
        ),
    ];
    for (pointer, value, name) in table {
        let rig = Rig::new();
        let enabled = format!("{pointer}/enabled");
        assert_eq!(features(&rig).pointer(&enabled), Some(&json!(false)));
        let (_, key) = pointer.rsplit_once('/').unwrap();
        rig.args(&["true"])
            .config(|config| config["linux"][key] = value);
        let err = rig.run().refused();
        assert!(err.contains(name), "{err}");
    }
}
