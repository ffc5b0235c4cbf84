//! What a program gets into its hands: capabilities, descriptors, the cgroup.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::json;

use crate::rig::{Rig, guest};

const SETS: &str = "grep -E 'Cap(Inh|Amb)' /proc/self/status | grep -c 0000000000000000";

#[test]
fn cve_2022_29162_nothing_is_inheritable_unless_asked_for() {
    let rig = Rig::new();
    assert_eq!(rig.script(SETS).run().ok(), "2", "as 'spec' writes it");
    rig.config(|config| config["process"]["capabilities"] = json!(["CAP_NET_RAW", "CAP_CHOWN"]));
    assert_eq!(rig.run().ok(), "2", "the old form");
    let rig = guest::sleeping(|_| {});
    let ended = guest::exec(&rig, &["--cap", "CAP_NET_RAW", "c", "sh", "-c", SETS]);
    assert_eq!(ended.ok(), "2", "by --cap");
}

/// Runs `body` while a directory of the host is open in this process and would be inherited.
fn with_leak(body: impl FnOnce()) {
    let leak = File::open("/").unwrap();
    fcntl(leak.as_raw_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    body();
}

#[test]
fn cve_2024_21626_no_descriptor_of_the_hosts_is_inherited() {
    with_leak(|| {
        let rig = guest::sleeping(|_| {});
        // 3 is the listing's own.
        assert_eq!(
            guest::exec(&rig, &["c", "ls", "/proc/self/fd"]).ok(),
            "0\n1\n2\n3"
        );
        assert_eq!(guest::script(&rig, "ls /proc/1/fd").ok(), "0\n1\n2");
        for number in 3..16 {
            let place = format!("/proc/self/fd/{number}");
            guest::refused(guest::exec(&rig, &["--cwd", &place, "c", "true"]));
        }
    });
}

#[test]
fn cve_2024_21626_the_working_directory_is_in_the_container() {
    // A directory that is passed on purpose is still no place to start in.
    for verb in ["run", "create"] {
        let rig = Rig::new();
        rig.config(|config| config["process"]["cwd"] = json!("/proc/self/fd/3"));
        let line = format!(
            "exec 3</; {} --root {} {verb} --preserve-fds 1 c",
            rig.program().display(),
            rig.state_root().display()
        );
        let err = rig.args(&["true"]).shell(&line).refused();
        assert!(err.contains("working directory"), "{err}");
        rig.assert_clean();
    }
}

#[test]
fn cve_2023_25809_without_a_cgroup_namespace_the_hosts_tree_is_read_only() {
    let rig = Rig::new();
    rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    });
    rig.script(
        "find /sys/fs/cgroup -maxdepth 2 -type d | while read d; do \
         mkdir $d/sysc-was-here 2>/dev/null && rmdir $d/sysc-was-here && echo WRITABLE $d; done; \
         ls /sys/fs/cgroup | wc -l",
    );
    let ended = rig.run();
    let count = ended.out.parse::<u32>();
    assert!(count.is_ok_and(|count| count > 0), "{ended:?}");
}
