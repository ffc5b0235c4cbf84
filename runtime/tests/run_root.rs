//! What a program finds when it is run, and what its end means. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::{Rig, eventually};
use serde_json::json;

#[test]
fn r01_the_status_is_the_payloads() {
    let rig = Rig::new();
    for (script, status) in [("exit 0", 0), ("exit 3", 3), ("exit 255", 255)] {
        assert_eq!(rig.script(script).run().code, Some(status));
    }
    rig.assert_clean();
}

#[test]
fn r01_a_signal_is_128_and_its_number() {
    let rig = Rig::new();
    rig.args(&["sleep", "100"]);
    let child = rig.spawn(&["run", "c"]);
    rig.until("c", "running");
    rig.runtime(&["kill", "c", "KILL"]).ok();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(137));
    rig.assert_clean();
}

#[test]
fn signals_are_handed_on() {
    let rig = Rig::new();
    rig.script("trap 'exit 42' TERM; touch /tmp/ready; while :; do sleep 0.01; done");
    let child = rig.spawn(&["run", "c"]);
    eventually(|| rig.rootfs().join("tmp/ready").exists());
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(42));
}

#[test]
fn args_environment_and_directory_are_as_configured() {
    let rig = Rig::new();
    rig.config(|config| {
        config["process"]["args"] = json!([
            "sh",
            "-c",
            "echo \"$0|$1|$A|$B|$HOME\"; pwd; id -u; id -G",
            "x y",
            "ü"
        ]);
        config["process"]["env"] = json!(["PATH=/bin", "A=1", "B=b c"]);
        config["process"]["cwd"] = json!("/tmp");
        config["process"]["user"] = json!({"uid": 33, "gid": 34, "additionalGids": [5, 6]});
    });
    assert_eq!(rig.run().ok(), "x y|ü|1|b c|/srv\n/tmp\n33\n34 5 6");
}

#[test]
fn capabilities_are_those_configured() {
    let rig = Rig::new();
    rig.args(&["grep", "^Cap\\|^NoNewPrivs", "/proc/self/status"]);
    let line = |out: &str, name: &str| {
        let found = out.lines().find(|line| line.starts_with(name)).unwrap();
        found.split_whitespace().nth(1).unwrap().to_owned()
    };
    let out = rig.run().ok();
    for (name, value) in [
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000020000420"),
        ("CapEff", "0000000020000420"),
        ("CapBnd", "0000000020000420"),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(line(&out, name), value, "{name}");
    }
    rig.config(|config| {
        config["process"]["user"]["uid"] = json!(33);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["capabilities"] = json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"], "effective": ["CAP_KILL"], "ambient": ["CAP_KILL"]});
    });
    let out = rig.run().ok();
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(line(&out, name), "0000000000000020", "{name}");
    }
    assert_eq!(line(&out, "NoNewPrivs"), "0");
    rig.config(|config| {
        drop(
            config["process"]
                .as_object_mut()
                .unwrap()
                .remove("capabilities"),
        )
    });
    assert_eq!(line(&rig.run().ok(), "CapBnd"), "0000000000000000");
}

#[test]
fn a_readonly_root_cannot_be_written() {
    let rig = Rig::new();
    rig.config(|config| config["root"]["readonly"] = json!(true));
    rig.script("touch /x; touch /tmp/x; echo y >/dev/shm/y && cat /dev/shm/y");
    let ended = rig.run();
    assert_eq!(ended.out, "y");
    assert_eq!(ended.err.matches("Read-only file system").count(), 2);
    assert!(!rig.rootfs().join("x").exists());
}

#[test]
fn limits_and_scores_are_set() {
    let rig = Rig::new();
    rig.config(|config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
        config["process"]["oomScoreAdj"] = json!(321);
        config["process"]["user"]["umask"] = json!(0o77);
    });
    rig.script("ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; umask");
    assert_eq!(rig.run().ok(), "100\n200\n321\n0077");
}

#[test]
fn our_own_umask_is_not_the_payloads() {
    let rig = Rig::new();
    rig.config(|config| {
        let mount = json!({"destination": "/made/here", "type": "tmpfs", "source": "tmpfs"});
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    rig.script("umask; stat -c %a /made");
    let line = format!(
        "umask 077; exec {} --root {} run c",
        rig::executable().display(),
        rig.state_root().display()
    );
    assert_eq!(rig.shell(&line).ok(), "0022\n755");
}

#[test]
fn seccomp_answers_as_configured() {
    let rig = Rig::new();
    for no_new_privileges in [true, false] {
        rig.config(|config| {
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [
                    {"names": ["mkdir", "frobnicate", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 6},
                    {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}]
            });
        });
        rig.script("mkdir /tmp/d; grep Seccomp: /proc/self/status");
        let ended = rig.run();
        assert!(
            ended.err.contains("No such device or address"),
            "{}",
            ended.err
        );
        assert_eq!(
            ended.out.split_whitespace().last(),
            Some("2"),
            "{}",
            ended.out
        );
        assert!(!rig.rootfs().join("tmp/d").exists());
    }
}

#[test]
fn r17_filters_with_corners_start() {
    let errno = |names: &[&str], args: serde_json::Value| json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": args});
    let is = |index: u32, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    let table = [
        (
            json!([{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"}]),
            "made",
        ),
        (
            json!([errno(&["frobnicate", "mkdir", "mkdirat"], json!([]))]),
            "Operation not permitted",
        ),
        // Two conditions on two arguments: both must hold.
        (
            json!([errno(&["mkdir"], json!([is(1, 0o777), is(0, 0)]))]),
            "made",
        ),
        // Two on the same argument: each is a rule of its own.
        (
            json!([errno(&["mkdir"], json!([is(1, 0o777), is(1, 0o700)]))]),
            "Operation not permitted",
        ),
    ];
    for (rules, words) in table {
        let rig = Rig::new();
        rig.config(|config| {
            config["linux"]["seccomp"] =
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": null, "syscalls": rules});
        });
        rig.script("umask 0; mkdir /tmp/d 2>&1 && echo made");
        let ended = rig.run();
        assert!(
            ended.out.contains(words),
            "{rules}: {} {}",
            ended.out,
            ended.err
        );
    }
}

#[test]
fn the_root_can_be_entered_without_pivot_root() {
    let rig = Rig::new();
    rig.script("ls / | head -1; ls /proc/1/root/ | head -1; cat /proc/self/mountinfo | wc -l");
    let words = rig.runtime(&["run", "--no-pivot", "c"]).ok();
    assert!(words.starts_with("bin\nbin\n"), "{words}");
}

#[test]
fn a_shared_root_lets_mounts_out() {
    let rig = Rig::new();
    let shared = rig.bundle().join("shared");
    std::fs::create_dir_all(shared.join("inner")).unwrap();
    let none = None::<&str>;
    let flags = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&shared), &shared, none, flags, none).unwrap();
    nix::mount::mount(none, &shared, none, nix::mount::MsFlags::MS_SHARED, none).unwrap();
    for (propagation, seen) in [("rshared", true), ("rslave", false)] {
        rig.config(|config| {
            let all = json!(["CAP_SYS_ADMIN"]);
            config["process"]["capabilities"] = all;
            config["linux"]["rootfsPropagation"] = json!(propagation);
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| mount["destination"] != "/s");
            mounts.push(
                json!({"destination": "/s", "source": shared, "options": ["rbind", propagation]}),
            );
        });
        rig.script("mount -t tmpfs tmpfs /s/inner && touch /s/inner/x")
            .run()
            .ok();
        assert_eq!(shared.join("inner/x").exists(), seen, "{propagation}");
        if seen {
            nix::mount::umount(&shared.join("inner")).unwrap();
        }
    }
    nix::mount::umount(&shared).unwrap();
}

#[test]
fn descriptors_are_not_inherited() {
    let rig = Rig::new();
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open("/etc/passwd").unwrap();
    nix::fcntl::fcntl(
        file.as_raw_fd(),
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    rig.args(&["ls", "/proc/self/fd"]);
    // 3 is the listing's own.
    assert_eq!(rig.run().ok(), "0\n1\n2\n3");
}

#[test]
fn sockets_of_systemd_are_passed_on() {
    let rig = Rig::new();
    rig.script("echo $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES; cat <&3; cat <&4");
    let line = format!(
        "exec 3<{0}/a 4<{0}/b; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec {1} --root {2} run c",
        rig.bundle().display(),
        rig::executable().display(),
        rig.state_root().display(),
    );
    std::fs::write(rig.bundle().join("a"), "one\n").unwrap();
    std::fs::write(rig.bundle().join("b"), "two\n").unwrap();
    assert_eq!(rig.shell(&line).ok(), "1 2 a:b\none\ntwo");
}

#[test]
fn a_promised_descriptor_must_be_open() {
    let rig = Rig::new();
    let err = rig.runtime(&["run", "--preserve-fds", "5", "c"]).refused();
    assert!(
        err.contains("descriptor 3 is to be passed on, but it is not open"),
        "{err}"
    );
}
