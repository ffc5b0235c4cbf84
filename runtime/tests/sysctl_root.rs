//! Kernel parameters and names of a container. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::Rig;
use serde_json::json;

#[test]
fn parameters_are_the_namespaces() {
    let rig = Rig::new();
    rig.config(|config| {
        config["linux"]["sysctl"] = json!({
            "net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/rp_filter": "2",
            "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "11"});
        config["domainname"] = json!("example.org");
    });
    rig.script(
        "cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/conf/lo/rp_filter \
         kernel/shm_rmid_forced fs/mqueue/msg_max kernel/domainname",
    );
    assert_eq!(rig.run().ok(), "1\n2\n1\n11\nexample.org");
}

#[test]
fn the_hosts_parameters_stay() {
    let table = [
        ("kernel.sysrq", "kernel.sysrq"),
        ("vm.swappiness", "vm.swappiness"),
        ("kernel.hostname", "hostname"),
        ("net.ipv4.ip_forward", "network"),
    ];
    for (name, words) in table {
        let rig = Rig::new();
        rig.config(|config| {
            config["linux"]["sysctl"] = json!({name: "1"});
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| namespace["type"] != "network");
            // Ours by a path of it is ours all the same.
            let ours = format!("/proc/{}/ns/net", std::process::id());
            namespaces.push(json!({"type": "network", "path": ours}));
        });
        let err = rig.run().refused();
        assert!(err.contains(name) && err.contains(words), "{err}");
        rig.assert_clean();
    }
}
