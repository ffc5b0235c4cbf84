//! Devices of the host's network in a container. Needs root, and makes a host's network of its own.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::symlink;

use rig::{Ended, Rig};
use serde_json::{Value, json};

fn rig_with(devices: Value) -> Rig {
    let rig = Rig::new();
    symlink("busybox", rig.rootfs().join("bin/ip")).unwrap();
    let name = rig.bundle().file_name().unwrap().to_str().unwrap();
    rig.config(|config| {
        config["linux"]["netDevices"] = devices;
        // Not the rig's: the shell's runtime starts outside of that.
        config["linux"]["cgroupsPath"] = json!(format!("/sysc-net{name}"));
    });
    rig
}

/// `before`, `run c` and `after` in one new network with two devices, `v0` and `v1`; mounts that
/// are made are seen nowhere else.
fn in_network(rig: &Rig, before: &str, after: &str) -> Ended {
    let runtime = format!(
        "{} --root {}",
        rig::executable().display(),
        rig.state_root().display()
    );
    let script = format!(
        "set -e; ip link add v0 type veth peer name v1; {before}; {runtime} run c; {after}"
    );
    rig.shell(&format!(
        "unshare -n -m --propagation private sh -c '{script}'"
    ))
}

#[test]
fn a_device_moves_with_its_addresses() {
    let rig = rig_with(json!({"v0": {}}));
    rig.script("ip address show dev v0; cat /sys/class/net/v0/operstate; ls /sys/class/net");
    let before = "ip address add 169.254.169.77/28 dev v0; ip address add fd00::7/64 dev v0; \
                  ip address add 127.0.0.33/8 scope host dev v0; \
                  ip link set v0 mtu 1789 address 00:11:22:33:44:55 up; ip link set v1 up";
    let out = in_network(&rig, before, "ip -brief link").ok();
    for words in [
        "169.254.169.77/28",
        "fd00::7/64",
        "mtu 1789",
        "00:11:22:33:44:55",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    // Of the host's scope, and so of the host alone.
    assert!(!out.contains("127.0.0.33"), "{out}");
    assert!(out.contains(",UP") && out.contains("lo\nv0"), "{out}");
    rig.assert_clean();
}

#[test]
fn a_device_gets_another_name_also_in_a_joined_network() {
    let rig = rig_with(json!({"v0": {"name": "lan"}, "v1": {}}));
    rig.config(|config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(rig.bundle().join("network"));
            }
        }
    });
    rig.script("ls /sys/class/net");
    let before = "ip address add 10.1.2.3/24 dev v0; touch network; \
                  mount --make-private -o bind network network; unshare --net=network true";
    let after = "ls /sys/class/net; nsenter --net=network ip -brief address; umount network; \
                 umount network";
    let out = in_network(&rig, before, after).ok();
    assert!(out.contains("lan") && out.contains("10.1.2.3/24"), "{out}");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let rig = rig_with(json!({"v7": {}}));
    let ended = in_network(&rig, "true", "true");
    assert_eq!(ended.code, Some(1));
    let words = "'v7' into the container: No such device";
    assert!(ended.err.contains(words), "{}", ended.err);
    rig.assert_clean();
}

#[test]
fn the_hosts_network_and_bad_names_are_refused() {
    let rig = rig_with(json!({"lo": {"name": "a/b"}}));
    let err = rig.run().refused();
    assert!(err.contains("linux.netDevices['lo']"), "{err}");
}
