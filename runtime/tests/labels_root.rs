//! Labels, profiles and classes that this host may not have: then they are errors. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::path::Path;

use rig::Rig;
use rig::guest::{exec, refused, sleeping};
use serde_json::{Value, json};

fn selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|it| it.starts_with('Y'))
}

#[test]
fn selinux_labels() {
    type Change = fn(&mut Value);
    let label = "system_u:object_r:container_file_t:s0:c1,c2";
    let of_process: Change =
        |c| c["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0:c1,c2");
    let of_mounts: Change =
        |c| c["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0:c1,c2");
    for (change, field) in [
        (of_process, "process.selinuxLabel"),
        (of_mounts, "mountLabel"),
    ] {
        let rig = Rig::new();
        rig.config(change)
            .args(&["cat", "/proc/self/mountinfo", "/proc/self/attr/current"]);
        let ended = rig.run();
        match (selinux(), field) {
            (true, _) => assert!(ended.ok().contains(":c1,c2")),
            // A process that is to be confined is; a label that nobody reads is only missing.
            (false, "mountLabel") => {
                assert!(ended.err.contains("linux.mountLabel"), "{}", ended.err);
                let mounts = ended.out;
                assert!(
                    mounts.contains(" /proc ") && !mounts.contains(":c1,c2"),
                    "{mounts}"
                );
            }
            (false, _) => {
                let err = ended.refused();
                assert!(err.contains(&format!("{field}: SELinux is off")), "{err}");
            }
        }
        rig.assert_clean();
    }
    let rig = sleeping(|config| {
        config["process"]["selinuxLabel"] = json!("");
        config["linux"]["mountLabel"] = json!("");
    });
    if !selinux() {
        let err = refused(exec(&rig, &["--process-label", label, "c", "true"]));
        assert!(err.contains("process.selinuxLabel"), "{err}");
    }
}

#[test]
fn apparmor_profiles() {
    let rig = sleeping(|config| config["process"]["apparmorProfile"] = json!(""));
    let err = refused(exec(&rig, &["--apparmor", "no_such_profile", "c", "true"]));
    assert!(err.contains("AppArmor profile 'no_such_profile'"), "{err}");
    if apparmor() {
        let words = [
            "--apparmor",
            "unconfined",
            "c",
            "cat",
            "/proc/self/attr/current",
        ];
        assert!(exec(&rig, &words).ok().starts_with("unconfined"));
    }
}

#[test]
fn classes_of_service() {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let rig = Rig::new();
    rig.config(|config| config["linux"]["intelRdt"] = json!({"closID": "/"}));
    rig.args(&["true"]);
    match mounts.contains(" - resctrl ") {
        true => drop(rig.run().ok()),
        false => {
            let err = rig.run().refused();
            assert!(err.contains("linux.intelRdt: no resctrl"), "{err}");
        }
    }
    rig.config(|config| config["linux"]["intelRdt"] = json!({"closID": "../x"}));
    assert!(rig.run().refused().contains("linux.intelRdt.closID"));
    rig.assert_clean();
}
