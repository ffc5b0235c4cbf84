//! Devices that a container may and may not use, by both versions of cgroups. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use rig::hierarchies::{directory, only_legacy, only_unified};
use serde_json::{Value, json};

/// A rig whose container may make nodes, and has room for them.
fn maker(name: &str) -> Rig {
    let rig = Rig::new();
    rig.config(|config| {
        let set = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
        for name in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][name] = set.clone();
        }
        config["mounts"][3]["options"] = json!([]);
        config["linux"]["cgroupsPath"] = json!(path(name));
    });
    rig
}

fn path(name: &str) -> String {
    format!("/sysc-{name}-{}", std::process::id())
}

fn rules(rig: &Rig, rules: &Value) {
    rig.config(|config| config["linux"]["resources"] = json!({"devices": rules}));
}

/// /dev/fuse may be opened by everybody who has such a node; that there is no such device is heard only
/// by those who may.
const FUSE: &str = "rm -f /dev/shm/d; mknod /dev/shm/d c 10 229 || exit 2; \
                    said=$( (exec 3<>/dev/shm/d) 2>&1 ); \
                    case $said in *ermitted*) echo \"$said\" >&2; exit 1;; esac; echo opened";
const PROMISED: &str = "for d in null zero full random urandom; do dd if=/dev/$d of=/dev/null bs=1 \
                        count=1 2>/dev/null || [ $d = null ] || exit 1; done; echo x >/dev/null; \
                        exec 3<>/dev/ptmx && echo opened";

fn only_what_is_allowed(name: &str) {
    let rig = maker(name);
    let nothing = json!({"allow": false, "access": "rwm"});
    let fuse = |access: &str| json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": access});
    let table = [
        (json!(null), false),
        (json!([]), false),
        (json!([nothing]), false),
        (json!([nothing, fuse("r")]), false),
        (json!([nothing, fuse("r"), fuse("w")]), true),
        (
            json!([{"allow": true, "type": "c", "major": 10, "access": "rw"}]),
            true,
        ),
        (json!([{"allow": true, "access": "rwm"}]), true),
    ];
    for (list, opens) in table {
        rules(&rig, &list);
        let ended = rig.script(FUSE).run();
        assert_eq!(ended.out.contains("opened"), opens, "{list}: {}", ended.err);
        if !opens {
            assert!(ended.err.contains("not permitted"), "{}", ended.err);
        }
        assert_eq!(rig.script(PROMISED).run().ok(), "opened", "{list}");
    }
    assert!(!directory("devices", &path(name)).exists());
}

#[test]
fn a_node_that_a_payload_makes_cannot_be_opened_on_version_2() {
    only_unified();
    only_what_is_allowed("devices-v2");
}

#[test]
fn a_node_that_a_payload_makes_cannot_be_opened_on_version_1() {
    if only_legacy() {
        only_what_is_allowed("devices-v1");
    }
}

#[test]
fn an_update_keeps_the_rules_and_can_change_them() {
    only_unified();
    let rig = maker("devices-update");
    rules(&rig, &json!([{"allow": false, "access": "rwm"}]));
    rig.args(&["sleep", "1000"])
        .runtime(&["run", "-d", "c"])
        .ok();
    let open = || rig.runtime(&["exec", "c", "sh", "-c", FUSE]).code;
    let update = |rules: Value| {
        let file = rig.bundle().join("resources.json");
        std::fs::write(&file, rules.to_string()).unwrap();
        rig.runtime(&["update", "-r", file.to_str().unwrap(), "c"])
            .ok();
    };
    assert_ne!(open(), Some(0));
    update(json!({"unified": {"cgroup.max.depth": "7"}}));
    assert_ne!(open(), Some(0));
    let fuse = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"});
    update(json!({"devices": [fuse]}));
    assert_eq!(open(), Some(0));
    // There is one program at any time, and not one more for each change.
    update(json!({"devices": []}));
    assert_ne!(open(), Some(0));
    update(json!({"devices": [{"allow": true, "access": "rwm"}]}));
    assert_eq!(open(), Some(0));
}
