//! Namespaces: new, joined, or the host's. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use serde_json::json;

#[test]
fn namespaces_are_new_and_named() {
    let rig = Rig::new();
    rig.config(|config| {
        config["hostname"] = json!("kiste");
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel/msgmax": "4321"});
    });
    rig.script("hostname; echo $$; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; readlink /proc/self/ns/net");
    let out = rig.run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..4], ["kiste", "1", "1", "4321"]);
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(lines[4], host.to_str().unwrap());
}

#[test]
fn lo_is_up_in_a_new_network() {
    let rig = Rig::new();
    let out = rig.args(&["ifconfig", "lo"]).run().ok();
    assert!(
        out.contains("UP LOOPBACK RUNNING") && out.contains("127.0.0.1"),
        "{out}"
    );
}

#[test]
fn without_namespaces_all_is_the_hosts() {
    let rig = Rig::new();
    rig.config(|config| {
        config["linux"] = json!({"namespaces": [{"type": "mount"}]});
        config.as_object_mut().unwrap().remove("hostname");
    });
    let link = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    let names = ["pid", "net", "ipc", "uts", "cgroup"];
    rig.script("for n in pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done");
    let wanted: Vec<String> = names.map(|name| link(name).display().to_string()).to_vec();
    assert_eq!(rig.run().ok().lines().collect::<Vec<_>>(), wanted);
}

/// Everything is mounted on the host, below the root, and goes away with the container.
#[test]
fn without_a_mount_namespace_mounts_are_the_hosts_for_a_while() {
    let rig = Rig::new();
    let source = rig.bundle().join("source");
    std::fs::create_dir(&source).unwrap();
    rig.config(|config| {
        let linux = config["linux"].as_object_mut().unwrap();
        linux.retain(|key, _| !["maskedPaths", "readonlyPaths"].contains(&&**key));
        let namespaces = linux["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "mount");
        config["root"]["readonly"] = json!(true);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/s", "source": source, "options": ["bind"]}));
    });
    let mounted = || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let below = rig.rootfs().display().to_string();
        mounts.lines().filter(|line| line.contains(&below)).count()
    };
    rig.script(
        "readlink /proc/self/ns/mnt; echo $$; touch /x; touch /s/made; echo >/dev/null; touch /dev/y; exit 3",
    );
    std::fs::create_dir(rig.rootfs().join("s")).unwrap();
    let ended = rig.run();
    let ours = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let wanted = format!("{}\n1", ours.display());
    assert_eq!((ended.out, ended.code), (wanted, Some(3)), "{}", ended.err);
    assert!(
        ended.err.contains("/x: Read-only file system"),
        "{}",
        ended.err
    );
    assert!(source.join("made").exists());
    rig.assert_clean();

    rig.args(&["sleep", "1000"]);
    rig.runtime(&["create", "c"]).ok();
    assert!(mounted() > 5);
    let null = ["exec", "c", "stat", "-c", "%t:%T", "/dev/null"];
    assert_eq!(rig.runtime(&null).ok(), "1:3");
    rig.runtime(&["delete", "-f", "c"]).ok();
    rig.assert_clean();
    // What fails leaves nothing, and what was mounted before stays.
    let line = format!("mount --bind {0} {0}", rig.rootfs().display());
    rig.shell(&line).ok();
    rig.args(&["/no/such"]).run().refused();
    assert_eq!(mounted(), 1);
    let hook = json!([{"path": "/bin/false"}]);
    rig.config(|config| config["hooks"] = json!({"poststart": hook}));
    rig.args(&["true"]).run().refused();
    assert_eq!(mounted(), 1);
    nix::mount::umount(&rig.rootfs()).unwrap();
    rig.assert_clean();
}

#[test]
fn an_existing_namespace_is_joined() {
    let rig = Rig::new();
    rig.args(&["sleep", "100"])
        .runtime(&["run", "-d", "first"])
        .ok();
    let pid = rig.pid("first");
    rig.config(|config| {
        let join = |kind: &str, file: &str| json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")});
        config["linux"]["namespaces"] =
            json!([join("pid", "pid"), join("network", "net"), join("ipc", "ipc"), {"type": "uts"}, {"type": "mount"}]);
    });
    rig.script("readlink /proc/self/ns/net; [ $$ != 1 ] && ps | grep -c 'sleep 100'");
    let out = rig.run().ok();
    let net = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(out.lines().next().unwrap(), net.to_str().unwrap());
    assert_ne!(out.lines().nth(1).unwrap(), "0");
    assert!(rig::is_alive(pid));
}

#[test]
fn a_user_namespace_has_a_root_of_its_own() {
    let rig = Rig::new();
    let scratch = rig.bundle();
    // Everybody on the way must be able to enter.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(scratch, std::fs::Permissions::from_mode(0o755)).unwrap();
    rig.config(|config| {
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "user"}));
        config["linux"]["uidMappings"] =
            json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["gidMappings"] =
            json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    });
    rig.script("id -u; cat /proc/self/uid_map; echo x >/dev/null && echo null; echo x >/proc/self/oom_score_adj");
    let ended = rig.run();
    let words: Vec<&str> = ended.out.split_whitespace().collect();
    assert_eq!(
        words,
        ["0", "0", "100000", "65536", "null"],
        "{}",
        ended.err
    );
}

#[test]
fn clocks_of_a_time_namespace_are_set_and_the_hosts_are_not() {
    let rig = Rig::new();
    let log = rig.bundle().join("uptime");
    rig.config(|config| {
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
        let script = format!("cat /proc/uptime >{}", log.display());
        config["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    });
    let seconds = |text: &str| text.split('.').next().unwrap().parse::<u64>().unwrap();
    assert!(seconds(&rig.args(&["cat", "/proc/uptime"]).run().ok()) > 100_000_000);
    assert!(seconds(&std::fs::read_to_string(log).unwrap()) < 100_000_000);
}
