//! Terminals: served in the foreground, or sent away. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use rig::Rig;
use serde_json::json;

const SCRIPT: &str =
    "tty; stty size; test -c /dev/console && echo console; read word; echo got $word; exit 7";

fn read_until(master: &mut File, words: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains(words) {
        let length = master.read(&mut buffer).unwrap();
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    seen
}

#[test]
fn a_terminal_in_the_foreground_is_served_and_restored() {
    let rig = Rig::new();
    rig.script(SCRIPT)
        .config(|config| config["process"]["terminal"] = json!(true));
    let size = Winsize {
        ws_row: 33,
        ws_col: 99,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let end = |slave: &OwnedFd| Stdio::from(slave.try_clone().unwrap());
    let mut child = rig
        .command(&["run", "c"])
        .stdin(end(&pty.slave))
        .stdout(end(&pty.slave))
        .stderr(end(&pty.slave))
        .spawn()
        .unwrap();
    let mut master = File::from(pty.master);
    let seen = read_until(&mut master, "console");
    assert!(
        seen.contains("/dev/pts/0") && seen.contains("33 99"),
        "{seen}"
    );
    let during = tcgetattr(&pty.slave).unwrap();
    assert!(!during.local_flags.contains(LocalFlags::ICANON));
    master.write_all(b"hello\r").unwrap();
    read_until(&mut master, "got hello");
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
    rig.assert_clean();
}

#[test]
fn what_goes_to_a_file_has_plain_line_ends() {
    let rig = Rig::new();
    rig.script("tty; echo two")
        .config(|config| config["process"]["terminal"] = json!(true));
    assert_eq!(rig.run().ok(), "/dev/pts/0\ntwo");
}

#[test]
fn a_terminal_is_sent_to_the_console_socket() {
    let rig = Rig::new();
    rig.script(SCRIPT).config(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({"height": 11, "width": 22});
    });
    let path = rig.bundle().join("console");
    let listener = UnixListener::bind(&path).unwrap();
    rig.runtime(&["run", "-d", "--console-socket", path.to_str().unwrap(), "c"])
        .ok();
    let (socket, _) = listener.accept().unwrap();
    let mut master = std::fs::File::from(
        sysc_runtime::sys::descriptors::receive(socket.as_fd(), &mut [0; 64])
            .unwrap()
            .1
            .unwrap(),
    );
    let seen = read_until(&mut master, "console");
    assert!(seen.contains("11 22"), "{seen}");
    master.write_all(b"you\r").unwrap();
    read_until(&mut master, "got you");
    rig.until("c", "stopped");
    rig.runtime(&["delete", "c"]).ok();
}

/// The payload says sixteen times what it hears, so that both ways are full most of the time: who
/// waits for one of them alone stands still here.
#[test]
fn a_large_paste_goes_through_and_its_answer_comes_back() {
    const LINES: usize = 16 * 1024;
    const LINE: &[u8; 64] = &{
        let mut line = [b'x'; 64];
        line[63] = b'\n';
        line
    };
    let rig = Rig::new();
    rig.config(|config| config["process"]["terminal"] = json!(true))
        .script(&format!(
            "stty raw -echo; echo ready; head -c {} | sed s/x/yyyyyyyyyyyyyyyy/g; echo done",
            LINES * LINE.len()
        ));
    let mut command = rig.command(&["run", "c"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut piece = vec![0; 256];
    while !seen.ends_with(b"ready\n") {
        let length = output.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..length]);
    }
    let mut input = child.stdin.take().unwrap();
    let paste = std::thread::spawn(move || {
        (0..LINES).for_each(|_| input.write_all(LINE).unwrap());
        // The end of our input must not be the end of the terminal.
        input
    });
    let mut back = Vec::new();
    output.read_to_end(&mut back).unwrap();
    assert!(child.wait().unwrap().success());
    let answers = back.iter().filter(|byte| **byte == b'y').count();
    assert_eq!(answers, LINES * 63 * 16);
    assert!(back.ends_with(b"done\n"), "what comes last is not lost");
    drop(paste.join().unwrap());
    rig.assert_clean();
}

#[test]
fn a_terminal_that_was_closed_can_be_opened_again() {
    let rig = Rig::new();
    rig.config(|config| config["process"]["terminal"] = json!(true));
    rig.script("exec 0</dev/null 1>/dev/null 2>/dev/null; sleep 0.2; echo again >/dev/console");
    let ended = rig.run();
    assert_eq!(ended.out, "again", "{}", ended.err);
}
