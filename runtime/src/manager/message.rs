//! Messages to systemd: lines of `NAME=value`.

use nix::unistd::Pid;

/// Of a service that stays what it is.
pub const READY: &[u8] = b"READY=1";
/// Of one that has nothing more to say.
pub const READY_AND_NO_MORE: &[u8] = b"READY=1\nNOTIFYACCESS=none";

/// What a program in a container may say. Everything else steers what systemd thinks of the unit, and
/// there is more of that with each version: `MAINPID=` of any process of the host would be killed in
/// place of the service.
const ALLOWED: [&str; 13] = [
    "READY",
    "STATUS",
    "ERRNO",
    "RELOADING",
    "MONOTONIC_USEC",
    "STOPPING",
    "WATCHDOG",
    "EXTEND_TIMEOUT_USEC",
    "FDSTORE",
    "FDSTOREREMOVE",
    "FDNAME",
    "FDPOLL",
    "BARRIER",
];

/// Which process is the main one. Its number may be another's by the time it is read, where nothing
/// else names it.
pub fn main(pid: Pid, pidfd: Option<u64>) -> String {
    let pidfd = pidfd.map(|number| format!("\nMAINPIDFDID={number}"));
    format!("MAINPID={pid}{}", pidfd.unwrap_or_default())
}

/// What of a message goes on to systemd; `None` if nothing does.
pub fn allowed(message: &[u8]) -> Option<Vec<u8>> {
    let kept: Vec<&[u8]> = lines(message).filter(|line| is_allowed(line)).collect();
    (!kept.is_empty()).then(|| kept.join(&b'\n'))
}

/// Whether a message says this.
pub fn says(message: &[u8], line: &[u8]) -> bool {
    lines(message).any(|it| it == line)
}

/// As systemd takes a message apart: a carriage return ends a line, too.
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message.split(|byte| matches!(byte, b'\n' | b'\r'))
}

fn is_allowed(line: &[u8]) -> bool {
    let mut parts = line.splitn(2, |byte| *byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next());
    let known = ALLOWED.iter().any(|allowed| name == allowed.as_bytes());
    match (known, value) {
        (true, Some(value)) => !value.iter().any(u8::is_ascii_control),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_process_is_named_by_both_numbers_where_there_are_two() {
        assert_eq!(main(Pid::from_raw(7), None), "MAINPID=7");
        assert_eq!(main(Pid::from_raw(7), Some(9)), "MAINPID=7\nMAINPIDFDID=9");
    }

    #[test]
    fn only_what_is_the_programs_own_goes_through() {
        let table: [(&[u8], Option<&[u8]>); 12] = [
            (b"STATUS=x\rMAINPID=1", Some(b"STATUS=x")),
            (b"READY=1\r\nMAINPID=1\r", Some(b"READY=1")),
            (b"STATUS=x\x0bMAINPID=1", None),
            (b"READY=1", Some(b"READY=1")),
            (b"READY=1\nMAINPID=1", Some(b"READY=1")),
            (b"MAINPID=1", None),
            (b"MAINPIDFD=1", None),
            (b"NOTIFYACCESS=all\nSTATUS=a=b\n", Some(b"STATUS=a=b")),
            (b"RESTART_RESET=1\nBUSERROR=x", None),
            (b"WATCHDOG=1\nWATCHDOG_USEC=1", Some(b"WATCHDOG=1")),
            (b"READY", None),
            (b"STATUS=a\0MAINPID=1", None),
        ];
        for (said, goes_on) in table {
            assert_eq!(allowed(said).as_deref(), goes_on, "{said:?}");
        }
    }

    #[test]
    fn a_line_is_found_whole() {
        assert!(says(b"A=1\nREADY=1", b"READY=1"));
        assert!(!says(b"XREADY=1", b"READY=1"));
        assert!(!says(b"READY=12", b"READY=1"));
    }
}
