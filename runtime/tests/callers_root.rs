//! What callers of runc hand in, and what they look for in its answers. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use rig::{Rig, eventually, guest, is_alive};
use serde_json::json;
use sysc_runtime::sys::descriptors::receive;
use sysc_runtime::sys::process::pidfd_send_signal;

/// The number of the process that a pidfd is for.
fn number_of(pidfd: &File) -> i32 {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_pidfd_is_sent_to_whom_it_may_concern() {
    let rig = Rig::new();
    rig.args(&["sleep", "1000"]);
    let path = rig.bundle().join("pidfd");
    let listener = UnixListener::bind(&path).unwrap();
    let taken = || {
        let (socket, _) = listener.accept().unwrap();
        let (_, pidfd) = receive(socket.as_fd(), &mut [0; 64]).unwrap();
        File::from(pidfd.unwrap())
    };
    let flag = ["--pidfd-socket", path.to_str().unwrap()];

    rig.runtime(&[&["run", "-d"], &flag[..], &["c"]].concat())
        .ok();
    let init = taken();
    assert_eq!(number_of(&init), rig.pid("c"));

    guest::exec(
        &rig,
        &[&["-d"], &flag[..], &["c", "sleep", "1000"]].concat(),
    )
    .ok();
    let guest = taken();
    let number = number_of(&guest);
    assert!(is_alive(number) && number != rig.pid("c"));
    pidfd_send_signal(&guest, libc::SIGKILL).unwrap();
    eventually(|| !is_alive(number));

    pidfd_send_signal(&init, libc::SIGKILL).unwrap();
    rig.until("c", "stopped");
}

#[test]
fn a_pidfd_that_nobody_takes_stops_the_start() {
    let rig = Rig::new();
    let err = rig.runtime(&["run", "--pidfd-socket", "nobody", "c"]);
    assert!(err.refused().contains("cannot send a pidfd to 'nobody'"));
    rig.assert_clean();
}

#[test]
fn a_file_of_the_command_line_can_be_a_descriptor() {
    let rig = guest::sleeping(|_| {});
    let process = json!({"cwd": "/", "args": ["echo", "from a pipe"], "user": {"uid": 0, "gid": 0},
        "env": ["PATH=/bin"]});
    // Descriptors of two digits are more than every shell knows how to name.
    let line = format!(
        "echo '{process}' | {} --root {} exec --process /dev/fd/9 c 9<&0 </dev/null",
        rig::executable().display(),
        rig.state_root().display()
    );
    assert_eq!(rig.shell(&line).ok(), "from a pipe");
}

#[test]
fn a_stopped_container_is_told_in_the_words_that_callers_match() {
    let rig = guest::sleeping(|_| {});
    rig.runtime(&["kill", "c", "0"]).ok();
    rig.runtime(&["kill", "c", "KILL"]).ok();
    rig.until("c", "stopped");
    for signal in ["0", "KILL"] {
        let err = rig.runtime(&["kill", "c", signal]).refused();
        assert!(err.contains("container not running"), "{err}");
        rig.runtime(&["kill", "--all", "c", signal]).ok();
    }
    let err = rig.runtime(&["kill", "d", "KILL"]).refused();
    assert!(err.contains("does not exist"), "{err}");
}

#[test]
fn with_debug_and_without_a_log_more_is_said_where_errors_are() {
    let rig = Rig::new();
    rig.args(&["echo", "hello"]);
    let ended = rig.runtime(&["--debug", "run", "c"]);
    assert_eq!(ended.out, "hello");
    assert!(ended.err.contains("level=debug"), "{}", ended.err);
    let ended = rig.runtime(&["--debug", "--log", "log", "run", "c"]);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("hello", ""));
    let log = std::fs::read_to_string(rig.bundle().join("log")).unwrap();
    assert!(log.contains("level=debug"), "{log}");
}

#[test]
fn a_variable_is_there_once_and_home_is_never_empty() {
    let rig = Rig::new();
    rig.args(&["env"]).config(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "A=1", "HOME=/x", "A=2", "HOME="]);
    });
    let out = rig.run().ok();
    let mut found: Vec<_> = out.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["A=2", "HOME=/root", "PATH=/bin"]);
}

#[test]
fn a_created_container_ends_when_it_is_asked_to() {
    let rig = Rig::new();
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        rig.runtime(&["create", "c"]).ok();
        rig.runtime(&["kill", "c", signal]).ok();
        rig.until("c", "stopped");
        rig.runtime(&["delete", "c"]).ok();
    }
}

#[test]
fn the_payload_handles_its_signals_itself() {
    let rig = Rig::new();
    rig.script("grep -E 'Sig(Blk|Cgt)' /proc/self/status >/signals");
    rig.runtime(&["create", "c"]).ok();
    rig.runtime(&["start", "c"]).ok();
    rig.until("c", "stopped");
    let found = std::fs::read_to_string(rig.rootfs().join("signals")).unwrap();
    let masks: Vec<_> = found.split_whitespace().skip(1).step_by(2).collect();
    assert_eq!(masks, ["0000000000000000"; 2]);
}

#[test]
fn errors_and_warnings_say_what_they_are() {
    let rig = Rig::new();
    let err = rig.runtime(&["state", "c"]).refused();
    assert!(
        err.starts_with("sysc-runtime: error: container 'c' "),
        "{err}"
    );
}

#[test]
fn a_working_directory_that_is_missing_is_made() {
    let rig = Rig::new();
    rig.args(&["pwd"])
        .config(|config| config["process"]["cwd"] = json!("/srv/new/place"));
    assert_eq!(rig.run().ok(), "/srv/new/place");
}
