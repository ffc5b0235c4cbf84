//! Where a container's processes are accounted, and limits that hold. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::path::Path;

use rig::{Rig, eventually, is_alive};
use serde_json::json;

/// /proc/self/cgroup of a payload without a cgroup namespace.
fn seen(rig: &Rig) -> String {
    rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    });
    rig.args(&["cat", "/proc/self/cgroup"]).run().ok()
}

#[test]
fn without_limits_the_payload_stays_in_its_services_cgroup() {
    let seen = seen(&Rig::in_service());
    let ends = |with: &str| seen.lines().any(|line| line.ends_with(with));
    assert!(ends("/test.service") && !ends("/c"), "{seen}");
}

#[test]
fn outside_of_a_service_each_has_its_own() {
    let rig = Rig::new();
    let seen = seen(&rig);
    let own = |line: &&str| line.ends_with("/c") && line.contains("/sysc-rig-");
    let lines = seen.lines().filter(own).count();
    assert!(lines > 0, "{seen}");
    // A name of another rig is in nobody's way, and one that is taken by a process is.
    rig.config(|config| config["linux"]["cgroupsPath"] = json!("/sysc-test-taken"));
    rig.args(&["sleep", "1000"]);
    rig.runtime(&["run", "-d", "first"]).ok();
    for verb in [&["run", "-d", "second"][..], &["create", "second"]] {
        let err = rig.runtime(verb).refused();
        assert!(err.contains("container's cgroup is not empty"), "{err}");
        assert!(err.contains("set another linux.cgroupsPath"), "{err}");
    }
    assert_eq!(rig.status("first"), "running");
}

#[test]
fn nobody_begins_in_a_frozen_cgroup() {
    let rig = Rig::new();
    let name = format!("sysc-test-frozen-{}", std::process::id());
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    let directory = rig::hierarchies::directory("freezer", &name);
    std::fs::create_dir(&directory).unwrap();
    for (file, word) in [("freezer.state", "FROZEN"), ("cgroup.freeze", "1")] {
        if directory.join(file).exists() {
            std::fs::write(directory.join(file), word).unwrap();
        }
    }
    let err = rig.run().refused();
    assert!(
        err.contains("container's cgroup unexpectedly frozen"),
        "{err}"
    );
    std::fs::remove_dir(directory).unwrap();
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
        let ended = rig.args(&["sleep", "100"]).runtime(&["run", "-d", "c"]);
        if !rig::hierarchies::has("pids") {
            let err = ended.refused();
            assert!(err.contains("controller 'pids' is not available"), "{err}");
            continue;
        }
        ended.ok();
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

/// The cgroup's directories; a controller that shares its hierarchy is a link to it.
fn cgroups(name: &str) -> Vec<std::path::PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let below = std::fs::read_dir(root).unwrap().flatten();
    let below = below.filter(|entry| entry.file_type().unwrap().is_dir());
    below
        .map(|entry| entry.path().join(name))
        .chain([root.join(name)])
        .filter(|path| path.is_dir())
        .collect()
}
