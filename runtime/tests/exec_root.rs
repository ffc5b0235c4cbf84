//! Another program in a container that runs. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::tcgetattr;
use rig::eventually;
use rig::guest::{cgroups, exec, in_background, refused, script, sleeping, table};
use serde_json::json;

#[test]
fn r01_the_status_is_the_programs_or_255() {
    let rig = sleeping(|_| {});
    for (words, status) in [
        (&["c", "true"][..], 0),
        (&["c", "false"], 1),
        (&["c", "sh", "-c", "exit 42"], 42),
        (&["c", "sh", "-c", "kill -9 $$"], 137),
        (&["c", "no-such-binary"], 255),
        (&["no_such_container", "true"], 255),
    ] {
        assert_eq!(exec(&rig, words).code, Some(status), "{words:?}");
    }
}

#[test]
fn r08_the_environment_is_the_configured_one() {
    let rig = sleeping(|config| config["process"]["env"] = json!(["PATH=/bin", "A=1", "B=2"]));
    let lines = |out: String| -> Vec<String> { out.lines().map(str::to_owned).collect() };
    assert_eq!(
        lines(exec(&rig, &["c", "env"]).ok()),
        ["PATH=/bin", "A=1", "B=2", "HOME=/root"]
    );
    assert_eq!(
        lines(exec(&rig, &["--env", "B=9", "-e", "C=3", "-u", "33", "c", "env"]).ok()),
        ["PATH=/bin", "A=1", "B=9", "C=3", "HOME=/srv"]
    );
}

#[test]
fn all_namespaces_root_and_directory_are_the_containers() {
    let rig = sleeping(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "user"}));
        namespaces.push(json!({"type": "time"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["process"]["cwd"] = json!("/tmp");
    });
    let pid = rig.pid("c");
    let names = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];
    let wanted: Vec<String> = names
        .iter()
        .map(|name| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap())
        .map(|link| link.display().to_string())
        .collect();
    let out = script(&rig, "for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; done; pwd; hostname; id -u").ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..8], wanted);
    assert_eq!(lines[8..], ["/tmp", "sysc", "0"]);
}

#[test]
fn without_a_mount_namespace_the_root_is_still_the_containers() {
    let rig = sleeping(|config| {
        config["linux"] = json!({"namespaces": [{"type": "pid"}]});
        config["mounts"] = json!([]);
        config.as_object_mut().unwrap().remove("hostname");
        config["process"]["capabilities"] = json!({"bounding": ["CAP_SYS_CHROOT"]});
    });
    std::fs::write(rig.rootfs().join("here"), "yes").unwrap();
    assert_eq!(script(&rig, "cat /here; pwd").ok(), "yes/");
}

#[test]
fn privileges_and_limits_are_the_configured_ones() {
    let rig = sleeping(|config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
        config["process"]["oomScoreAdj"] = json!(321);
        config["process"]["user"] = json!({"uid": 0, "gid": 0, "umask": 63, "additionalGids": [7]});
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 6}]});
    });
    let status = "grep '^Cap\\|^NoNewPrivs\\|^Seccomp:' /proc/self/status";
    let line = |out: &str, name: &str| {
        let found = out.lines().find(|line| line.starts_with(name)).unwrap();
        found.split_whitespace().nth(1).unwrap().to_owned()
    };
    let out = script(
        &rig,
        &format!("ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; umask; id -G; {status}"),
    )
    .ok();
    assert_eq!(
        out.lines().take(5).collect::<Vec<_>>(),
        ["100", "200", "321", "0077", "0 7"]
    );
    for (name, value) in [
        ("CapEff", "0000000020000420"),
        ("CapBnd", "0000000020000420"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(line(&out, name), value, "{name}");
    }
    let err = script(&rig, "mkdir /tmp/d").err;
    assert!(err.contains("No such device or address"), "{err}");
    let out = exec(
        &rig,
        &[
            "-c",
            "CAP_NET_RAW",
            "-g",
            "9",
            "c",
            "sh",
            "-c",
            &format!("id -G; {status}"),
        ],
    )
    .ok();
    assert_eq!(out.lines().next(), Some("0 7 9"));
    assert_eq!(line(&out, "CapEff"), "0000000020002420");
    let out = exec(
        &rig,
        &[
            "-u",
            "33:34",
            "c",
            "sh",
            "-c",
            &format!("id -u; id -g; {status}"),
        ],
    )
    .ok();
    assert_eq!(out.lines().take(2).collect::<Vec<_>>(), ["33", "34"]);
    assert_eq!(line(&out, "CapEff"), "0000000000000000");
}

#[test]
fn a_process_may_come_from_a_file() {
    let rig = sleeping(|_| {});
    let path = rig.bundle().join("process.json");
    let process = json!({"args": ["sh", "-c", "echo $X; id -u; pwd; exit 5"], "cwd": "/tmp",
        "env": ["PATH=/bin", "X=y"], "user": {"uid": 33, "gid": 33}, "capabilities": ["CAP_KILL"]});
    std::fs::write(&path, process.to_string()).unwrap();
    let ended = exec(&rig, &["--process", path.to_str().unwrap(), "c"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(5), "y\n33\n/tmp"));
    std::fs::write(&path, "{}").unwrap();
    refused(exec(&rig, &["--process", path.to_str().unwrap(), "c"]));
}

#[test]
fn it_is_accounted_where_the_container_is() {
    let name = format!("sysc-exec-{}", std::process::id());
    let rig = sleeping(|config| config["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    let pid = in_background(&rig, &[]);
    assert_eq!(table(pid), table(rig.pid("c")));
    let places = cgroups(&name);
    for place in &places {
        let below = place.join("below");
        std::fs::create_dir(&below).unwrap();
        // With version 1 nobody can be where no CPU is.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if places.len() > 1 && place.join(file).exists() {
                std::fs::copy(place.join(file), below.join(file)).unwrap();
            }
        }
    }
    let pid = in_background(&rig, &["--cgroup", "/below"]);
    assert!(
        table(pid).contains(&format!(":/{name}/below\n")),
        "{}",
        table(pid)
    );
    if places.len() > 1 {
        let pid = in_background(&rig, &["--cgroup", "pids:below"]);
        assert!(table(pid).contains(&format!(":pids:/{name}/below\n")));
        assert!(table(pid).contains(&format!(":memory:/{name}\n")));
    }
    // Killing the first process ends all of them, since they share its PID namespace.
    rig.runtime(&["delete", "--force", "c"]).ok();
    eventually(|| !rig::is_alive(pid));
    assert!(cgroups(&name).is_empty());
}

#[test]
fn where_a_cgroup_takes_nobody_it_goes_to_the_first_process() {
    let name = format!("sysc-exec-nested-{}", std::process::id());
    let rig = sleeping(|config| config["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    let places = cgroups(&name);
    let init = rig.pid("c");
    let [place] = &places[..] else {
        // With version 1 every cgroup takes everybody.
        return;
    };
    // As a nested init does: it moves below and hands a controller down.
    let below = place.join("init");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("cgroup.procs"), init.to_string()).unwrap();
    std::fs::write(place.join("cgroup.subtree_control"), "+hugetlb").unwrap();
    assert_eq!(table(in_background(&rig, &[])), table(init));
}

#[test]
fn a_container_without_a_cgroup_of_its_own_keeps_its_starters() {
    let rig = sleeping(|_| {});
    assert_eq!(table(in_background(&rig, &[])), table(rig.pid("c")));
}

/// CAP_SYS_PTRACE opens the directories of every process that can be seen, so none may be seen that
/// still has some of the host's (as in CVE-2016-9962 and CVE-2024-21626).
#[test]
fn a_terminal_may_be_sent_away() {
    let rig = sleeping(|_| {});
    let listener = std::os::unix::net::UnixListener::bind(rig.bundle().join("socket")).unwrap();
    let words = [
        "-d",
        "-t",
        "--console-socket",
        "socket",
        "c",
        "sh",
        "-c",
        "tty; stty size",
    ];
    exec(&rig, &words).ok();
    let (socket, _) = listener.accept().unwrap();
    let mut master = std::fs::File::from(
        sysc_runtime::sys::descriptors::receive(&socket, &mut [0; 64])
            .unwrap()
            .1
            .unwrap(),
    );
    let mut seen = [0; 64];
    let length = master.read(&mut seen).unwrap();
    let seen = String::from_utf8_lossy(&seen[..length]);
    assert!(seen.starts_with("/dev/pts/0"), "{seen}");
}

#[test]
fn signals_are_handed_on_and_passed_descriptors_arrive() {
    let rig = sleeping(|_| {});
    let child = rig.spawn(&[
        "exec",
        "c",
        "sh",
        "-c",
        "trap 'exit 42' TERM; touch /tmp/ready; while :; do sleep 0.01; done",
    ]);
    eventually(|| rig.rootfs().join("tmp/ready").exists());
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(42));
    let line = format!(
        "exec 3</etc/hostname; exec {} --root {} exec --preserve-fds 1 c cat /proc/self/fd/3",
        env!("CARGO_BIN_EXE_sysc-runtime"),
        rig.state_root().display()
    );
    #[allow(clippy::disallowed_methods, reason = "a shell can number descriptors")]
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        std::fs::read_to_string("/etc/hostname").unwrap()
    );
}

#[test]
fn a_terminal_is_served_and_restored() {
    let rig = sleeping(|_| {});
    let size = Winsize {
        ws_row: 33,
        ws_col: 99,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let end = |slave: &OwnedFd| Stdio::from(slave.try_clone().unwrap());
    for (line, status) in [
        ("read word; echo got $word; exit 7", 7),
        ("kill -9 $$", 137),
    ] {
        let script = format!("tty; stty size; {line}");
        let mut child = rig
            .command(&["exec", "-t", "c", "sh", "-c", &script])
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .unwrap();
        let mut master = File::from(pty.master.try_clone().unwrap());
        let mut seen = String::new();
        let mut buffer = [0; 256];
        while !seen.contains("33 99") {
            let length = master.read(&mut buffer).unwrap();
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        assert!(seen.contains("/dev/pts/0"), "{seen}");
        master.write_all(b"hello\r").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert_eq!(tcgetattr(pty.slave.as_fd()).unwrap(), before);
    }
    // One that fails leaves the terminal as it was, too.
    let failing = rig
        .command(&["exec", "-t", "c", "/no/such"])
        .stdin(end(&pty.slave))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(failing.code(), Some(255));
    assert_eq!(tcgetattr(pty.slave.as_fd()).unwrap(), before);
}
