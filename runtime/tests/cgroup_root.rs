//! Where a container's processes are accounted, and limits that hold. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::path::Path;

use rig::{Rig, eventually, is_alive};
use serde_json::json;

#[test]
fn without_limits_the_payload_stays_in_our_cgroup() {
    let rig = Rig::new();
    rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    });
    let ours = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(
        rig.args(&["cat", "/proc/self/cgroup"]).run().ok(),
        ours.trim()
    );
}

#[test]
fn r07_limits_hold_in_a_cgroup_that_goes_away() {
    let rig = Rig::new();
    let name = format!("sysc-test-{}", std::process::id());
    for (limit, shown) in [(0, "1"), (1, "1"), (-1, "max"), (7, "7")] {
        rig.config(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{name}/r07"));
            config["linux"]["resources"] = json!({"pids": {"limit": limit}});
        });
        rig.args(&["sleep", "100"])
            .runtime(&["run", "-d", "c"])
            .ok();
        let path = [format!("pids/{name}/r07"), format!("{name}/r07")]
            .map(|path| Path::new("/sys/fs/cgroup").join(path).join("pids.max"));
        let found = path
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .unwrap();
        assert_eq!(found.trim(), shown);
        rig.runtime(&["delete", "-f", "c"]).ok();
        assert!(cgroups(&format!("{name}/r07")).is_empty());
    }
    for path in cgroups(&name) {
        std::fs::remove_dir(path).unwrap();
    }
}

#[test]
fn r16_without_a_pid_namespace_all_end_with_the_cgroup() {
    let rig = Rig::new();
    let name = format!("sysc-test-r16-{}", std::process::id());
    rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
        config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
    });
    rig.script("sleep 1001 & sleep 1001 & echo $! >/tmp/other; exec sleep 1001");
    for end in [&["kill", "c", "KILL"][..], &["delete", "--force", "c"]] {
        rig.runtime(&["run", "-d", "c"]).ok();
        let init = rig.pid("c");
        let other: i32 = {
            let path = rig.rootfs().join("tmp/other");
            eventually(|| std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
            std::fs::read_to_string(&path)
                .unwrap()
                .trim()
                .parse()
                .unwrap()
        };
        std::fs::remove_file(rig.rootfs().join("tmp/other")).unwrap();
        let init = nix::unistd::Pid::from_raw(init);
        nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL).unwrap();
        rig.until("c", "stopped");
        assert!(is_alive(other));
        rig.runtime(end).ok();
        eventually(|| !is_alive(other));
        rig.runtime(&["delete", "--force", "c"]).ok();
        assert!(cgroups(&name).is_empty());
    }
}

#[test]
fn a_cgroup_of_version_1_keeps_devices_away() {
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return;
    }
    let rig = Rig::new();
    let name = format!("sysc-test-devices-{}", std::process::id());
    for (path, readable) in [(None, true), (Some(format!("/{name}")), false)] {
        rig.config(|config| {
            let capabilities = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
            config["process"]["capabilities"] = capabilities;
            config["linux"]["cgroupsPath"] = json!(path);
        });
        // /dev/fuse may be opened by everybody who has such a node.
        rig.script("mknod /dev/shm/d c 10 229 && exec 3</dev/shm/d && echo read");
        rig.config(|config| config["mounts"][3]["options"] = json!([]));
        let ended = rig.run();
        assert_eq!(ended.out.contains("read"), readable, "{}", ended.err);
    }
    assert!(cgroups(&name).is_empty());
}

fn cgroups(name: &str) -> Vec<std::path::PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let below = std::fs::read_dir(root)
        .unwrap()
        .flatten()
        .map(|entry| entry.path().join(name));
    below
        .chain([root.join(name)])
        .filter(|path| path.is_dir())
        .collect()
}
