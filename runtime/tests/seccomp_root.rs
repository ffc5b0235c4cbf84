//! System call filters. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};

use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use rig::Rig;
use rig::guest::{exec, refused, sleeping};
use serde_json::{Value, json};

/// What a shell and its tools need; nothing above `pipe2`, 293 on x86-64.
const NEEDED: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clone",
    "close",
    "dup2",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "fcntl",
    "fork",
    "fstat",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getuid",
    "ioctl",
    "kill",
    "lseek",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "open",
    "openat",
    "pipe2",
    "poll",
    "prctl",
    "read",
    "readlink",
    "recvfrom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
    "stat",
    "uname",
    "vfork",
    "wait4",
    "write",
    "writev",
];

fn filtered(seccomp: Value) -> Rig {
    let rig = Rig::new();
    rig.config(|config| config["linux"]["seccomp"] = seccomp);
    rig
}

fn except(call: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]})
}

#[test]
fn each_action_does_what_it_says() {
    let table = [
        (json!({"action": "SCMP_ACT_ERRNO"}), "not permitted"),
        (
            json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 6}),
            "No such device or address",
        ),
        (json!({"action": "SCMP_ACT_TRACE"}), "not implemented"),
        (json!({"action": "SCMP_ACT_LOG"}), "status 0"),
        (json!({"action": "SCMP_ACT_TRAP"}), "status 159"),
        (json!({"action": "SCMP_ACT_KILL"}), "status 159"),
        (json!({"action": "SCMP_ACT_KILL_THREAD"}), "status 159"),
        (json!({"action": "SCMP_ACT_KILL_PROCESS"}), "status 159"),
    ];
    for (mut call, words) in table {
        let what = call.to_string();
        call["names"] = json!(["mkdir", "mkdirat", "call_of_tomorrow"]);
        for no_new_privileges in [false, true] {
            let rig = filtered(except(call.clone()));
            rig.config(|c| c["process"]["noNewPrivileges"] = json!(no_new_privileges));
            rig.script("mkdir /tmp/d 2>&1; echo status $?");
            let out = rig.run().ok();
            assert!(out.contains(words), "{what}: {out}");
        }
    }
}

/// The signals that are sent do nothing by default.
#[test]
fn each_comparison_meets_its_numbers() {
    let argument = |op: &str, value: u64| json!([{"index": 1, "value": value, "op": op}]);
    let table = [
        (argument("SCMP_CMP_EQ", 18), "18"),
        (argument("SCMP_CMP_NE", 18), "17 23 28"),
        (argument("SCMP_CMP_LT", 18), "17"),
        (argument("SCMP_CMP_LE", 18), "17 18"),
        (argument("SCMP_CMP_GT", 18), "23 28"),
        (argument("SCMP_CMP_GE", 23), "23 28"),
        (
            json!([{"index": 1, "value": 0b10001, "valueTwo": 0b10001, "op": "SCMP_CMP_MASKED_EQ"}]),
            "17 23",
        ),
        // Two arguments must both agree; one that is named twice agrees with either.
        (
            json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 23, "op": "SCMP_CMP_EQ"}]),
            "23",
        ),
        (
            json!([{"index": 1, "value": 17, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 28, "op": "SCMP_CMP_EQ"}]),
            "17 28",
        ),
    ];
    for (args, wanted) in table {
        let call = json!({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": args.clone()});
        let rig = filtered(except(call));
        rig.script("for s in 17 18 23 28; do kill -$s 1 2>/dev/null || echo $s; done");
        let out = rig.run().ok().replace('\n', " ");
        assert_eq!(out, wanted, "{args}");
    }
}

#[test]
fn calls_newer_than_the_filter_are_not_there() {
    let table = [
        (json!({}), "", "Function not implemented"),
        (json!({}), "statx", "Operation not permitted"),
        (
            json!({"defaultErrnoRet": 6}),
            "statx",
            "No such device or address",
        ),
        (
            json!({"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]}),
            "",
            "Function not implemented",
        ),
    ];
    for (mut seccomp, also, words) in table {
        let names: Vec<&str> = NEEDED.iter().copied().chain([also]).collect();
        seccomp["defaultAction"] = json!("SCMP_ACT_ERRNO");
        seccomp["syscalls"] = json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]);
        let rig = filtered(seccomp);
        std::fs::write(rig.rootfs().join("tmp/file"), "").unwrap();
        // It sets the times, by `utimensat`, 280, which is above `newfstatat`, 262.
        rig.script("touch /tmp/file 2>&1 || true");
        if also.is_empty() {
            rig.config(|c| {
                let names = &mut c["linux"]["seccomp"]["syscalls"][0]["names"];
                names.as_array_mut().unwrap().retain(|name| name != "pipe2");
            });
        }
        let out = rig.run().ok();
        assert!(out.contains(words), "{also} {words}: {out}");
    }
}

/// A filter that allows new privileges is loaded before the last of the runtime's own processes is
/// made.
#[test]
fn filters_that_are_older_than_clone3_let_others_in() {
    let rig = filtered(except(
        json!({"names": ["clone3", "faccessat2"], "action": "SCMP_ACT_ERRNO"}),
    ));
    rig.config(|config| config["process"]["noNewPrivileges"] = json!(false));
    rig.args(&["sleep", "1000"]);
    rig.runtime(&["run", "-d", "c"]).ok();
    assert_eq!(exec(&rig, &["c", "echo", "in"]).ok(), "in");
    let err = refused(exec(&rig, &["c", "/no/such"]));
    assert!(err.contains("No such file"), "{err}");
    let pids = format!("/proc/{}/ns/pid", rig.pid("c"));
    rig.config(|config| {
        config["linux"]["namespaces"][0] = json!({"type": "pid", "path": pids});
    });
    rig.args(&["echo", "beside"]);
    assert_eq!(rig.runtime(&["run", "second"]).ok(), "beside");
}

#[test]
fn every_flag_is_taken() {
    let flags = [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]),
        json!([
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
        ]),
    ];
    for flags in flags {
        let rig = filtered(except(
            json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}),
        ));
        rig.config(|config| config["linux"]["seccomp"]["flags"] = flags);
        rig.script("grep -c '^Seccomp_filters:.*1$' /proc/self/status");
        assert_eq!(rig.run().ok(), "1");
    }
    let rig = filtered(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SIDEWAYS"]}));
    assert!(rig.run().refused().contains("SIDEWAYS"));
}

#[test]
fn last_hooks_are_filtered_too() {
    let rig = filtered(except(
        json!({"names": ["mkdir"], "action": "SCMP_ACT_KILL"}),
    ));
    let hook = json!({"path": "/bin/mkdir", "args": ["mkdir", "/tmp/d"]});
    rig.config(|config| config["hooks"] = json!({"startContainer": [hook]}));
    assert!(
        rig.args(&["true"])
            .run()
            .refused()
            .contains("startContainer")
    );
}

/// Listens at `agent`; answers `mkdir` with ENOMEDIUM and lets everything else through. Hands over
/// what it was told of each process.
fn agent(rig: &Rig) -> Receiver<Value> {
    let listener = UnixListener::bind(rig.bundle().join("agent")).unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (state, descriptor) = take(&socket.unwrap());
            if sender.send(state).is_err() {
                return;
            }
            std::thread::spawn(move || answer(&descriptor));
        }
    });
    receiver
}

fn take(socket: &UnixStream) -> (Value, OwnedFd) {
    let mut bytes = [0; 4096];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags).unwrap();
    let Some(ControlMessageOwned::ScmRights(rights)) = message.cmsgs().unwrap().next() else {
        panic!("no descriptor came")
    };
    #[allow(unsafe_code, reason = "the kernel has just made it for us alone")]
    // SAFETY: nobody else owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(rights[0]) };
    let length = message.bytes;
    (
        serde_json::from_slice(&bytes[..length]).unwrap(),
        descriptor,
    )
}

/// Until the last process that is filtered is gone.
fn answer(descriptor: &OwnedFd) {
    let mkdir = ScmpSyscall::from_name("mkdir").unwrap();
    while let Ok(request) = ScmpNotifReq::receive(descriptor.as_raw_fd()) {
        let (id, go_on) = (request.id, ScmpNotifRespFlags::CONTINUE);
        let response = match request.data.syscall == mkdir {
            true => {
                ScmpNotifResp::new_error(id, -nix::libc::ENOMEDIUM, ScmpNotifRespFlags::empty())
            }
            false => ScmpNotifResp::new_continue(id, go_on),
        };
        let _ = response.respond(descriptor.as_raw_fd());
    }
}

fn notifying(config: &mut Value, socket: &str, no_new_privileges: bool) {
    config["process"]["noNewPrivileges"] = json!(no_new_privileges);
    config["annotations"] = json!({"colour": "blue"});
    let names = [
        "mkdir", "execve", "openat", "read", "close", "fcntl", "sendto", "getcwd",
    ];
    let mut seccomp = except(json!({"names": names, "action": "SCMP_ACT_NOTIFY"}));
    seccomp["listenerPath"] = json!(socket);
    seccomp["listenerMetadata"] = json!("bar");
    seccomp["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    config["linux"]["seccomp"] = seccomp;
}

fn told(state: &Value, status: &str) {
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "bar");
    assert_eq!(state["state"]["status"], status);
    assert_eq!(state["state"]["id"], "c");
    assert_eq!(state["state"]["annotations"]["colour"], "blue");
    assert!(state["ociVersion"].is_string() && state["state"]["bundle"].is_string());
}

#[test]
fn a_listener_answers_for_the_kernel() {
    for no_new_privileges in [false, true] {
        let rig = Rig::new();
        let heard = agent(&rig);
        let socket = rig.bundle().join("agent").display().to_string();
        rig.config(|config| notifying(config, &socket, no_new_privileges));
        rig.script("mkdir /tmp/d 2>/tmp/said; sleep 1000");
        let said = || std::fs::read_to_string(rig.rootfs().join("tmp/said")).unwrap_or_default();
        rig.runtime(&["create", "c"]).ok();
        let state = heard.recv().unwrap();
        told(&state, "creating");
        assert_eq!(state["pid"], rig.pid("c"));
        assert_eq!(state["state"]["pid"], rig.pid("c"));
        assert_eq!(said(), "");
        rig.runtime(&["start", "c"]).ok();
        rig::eventually(|| said().contains("No medium found"));

        let ended = exec(&rig, &["c", "sh", "-c", "mkdir /tmp/e 2>&1; exit 7"]);
        assert_eq!(ended.code, Some(7));
        assert!(ended.out.contains("No medium found"), "{}", ended.out);
        let state = heard.recv().unwrap();
        told(&state, "running");
        assert_ne!(state["pid"], state["state"]["pid"]);
        assert_eq!(state["state"]["pid"], rig.pid("c"));
        rig.runtime(&["delete", "--force", "c"]).ok();

        rig.script("mkdir /tmp/d");
        assert!(rig.run().err.contains("No medium found"));
        told(&heard.recv().unwrap(), "creating");
        rig.assert_clean();
    }
}

#[test]
fn without_a_listener_nothing_starts() {
    for no_new_privileges in [false, true] {
        let rig = Rig::new();
        rig.args(&["true"]);
        rig.config(|config| notifying(config, "/no/such", no_new_privileges));
        let err = rig.run().refused();
        assert!(
            err.contains("linux.seccomp.listenerPath '/no/such'"),
            "{err}"
        );
        rig.config(|config| config["linux"]["seccomp"]["listenerPath"] = json!(""));
        assert!(rig.run().refused().contains("linux.seccomp.listenerPath"));
        rig.assert_clean();
    }
    let rig = sleeping(|config| {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/no/such", "listenerMetadata": "x"});
    });
    exec(&rig, &["c", "true"]).ok();
}
