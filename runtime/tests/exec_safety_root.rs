//! What an exec must not touch, show or wait for. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::guest::{cgroups, exec, refused, script, sleeping};
use rig::{Rig, eventually};
use serde_json::json;

#[test]
fn r04_a_failing_exec_does_not_touch_the_container() {
    let rig = sleeping(|config| config["linux"]["cgroupsPath"] = json!("/sysc-exec-r04"));
    std::fs::write(rig.rootfs().join("bin/broken"), "#!/mmnnttbb\n").unwrap();
    std::fs::set_permissions(
        rig.rootfs().join("bin/broken"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let before = rig.state("c");
    let record = std::fs::read(rig.state_root().join("c/state.json")).unwrap();
    for program in [
        "/bin/bash",
        "/no/such",
        "nothing",
        "broken",
        "/etc",
        "/etc/passwd",
    ] {
        let err = refused(exec(&rig, &["c", program]));
        assert!(err.contains(program), "{err}");
    }
    for program in ["broken", "/bin/bash"] {
        let err = refused(exec(&rig, &["c", program]));
        assert!(err.contains("No such file or directory"), "{err}");
    }
    refused(exec(&rig, &["--cwd", "/nowhere", "c", "true"]));
    refused(exec(&rig, &["--pid-file", "/no/such/file", "c", "true"]));
    refused(exec(&rig, &["--cgroup", "nowhere", "c", "true"]));
    refused(exec(&rig, &["--process-label", "x", "c", "true"]));
    refused(exec(&rig, &["-t", "-d", "c", "true"]));
    assert_eq!(rig.state("c"), before);
    assert_eq!(
        std::fs::read(rig.state_root().join("c/state.json")).unwrap(),
        record
    );
    assert!(!cgroups("sysc-exec-r04").is_empty());
    exec(&rig, &["c", "true"]).ok();
}

#[test]
fn on_the_way_in_nothing_of_the_host_is_seen() {
    let rig = sleeping(|config| {
        let all = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]);
        config["process"]["capabilities"] =
            json!({"bounding": all, "effective": all, "permitted": all});
    });
    // Where the runtime is called from there is a config.json; in the container there is none.
    let attack = format!(
        "own=$(grep CapEff /proc/self/status); touch /tmp/ready; \
         while [ -e /tmp/ready ]; do for p in /proc/[0-9]*; do \
         caps=$(grep CapEff $p/status 2>/dev/null); \
         [ -z \"$caps\" ] || [ \"$caps\" = \"$own\" ] || echo MORE $caps; \
         [ -e $p/cwd/config.json ] && echo CWD; [ -e $p/root{}/config.json ] && echo ROOT; \
         for f in $p/fd/[3-9]*; do [ -e $f/config.json ] && echo FD; done; done; done",
        rig.bundle().display()
    );
    let watcher = rig.spawn(&["exec", "c", "sh", "-c", &attack]);
    let ready = rig.rootfs().join("tmp/ready");
    eventually(|| ready.exists());
    for _ in 0..30 {
        exec(&rig, &["c", "true"]).ok();
    }
    std::fs::remove_file(&ready).unwrap();
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn an_exec_ends_with_its_container() {
    let rig = sleeping(|_| {});
    let child = rig.spawn(&["exec", "c", "sh", "-c", "touch /tmp/ready; sleep 1000"]);
    eventually(|| rig.rootfs().join("tmp/ready").exists());
    rig.runtime(&["kill", "c", "KILL"]).ok();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(137));
}

#[test]
fn stopped_containers_are_refused() {
    let rig = sleeping(|_| {});
    rig.runtime(&["kill", "c", "KILL"]).ok();
    rig.until("c", "stopped");
    assert!(refused(exec(&rig, &["c", "true"])).contains("it is stopped"));
}

#[test]
fn a_pipe_in_the_place_of_passwd_keeps_nobody_waiting() {
    let rig = sleeping(|_| {});
    let passwd = rig.rootfs().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(script(&rig, "echo $HOME").ok(), "/root");
}

#[test]
fn a_created_container_can_be_entered() {
    let rig = Rig::new();
    rig.args(&["sleep", "1000"]).runtime(&["create", "c"]).ok();
    assert_eq!(script(&rig, "hostname").ok(), "sysc");
    assert_eq!(rig.status("c"), "created");
    rig.runtime(&["start", "c"]).ok();
}
