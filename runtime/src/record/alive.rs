//! Whether a process that was written down is still that process.

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process by its number and the moment it began: numbers are used again, the pair is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number in our PID namespace.
    pub pid: i32,
    /// When it began, in clock ticks after boot.
    #[serde(rename = "startTime")]
    pub started: u64,
}

impl ProcessId {
    /// Looks at a process that is there now.
    pub fn of(pid: Pid) -> std::io::Result<ProcessId> {
        let (started, _) = stat(pid.as_raw())?;
        Ok(ProcessId {
            pid: pid.as_raw(),
            started,
        })
    }

    /// Whether it still runs; one that only waits to be reaped does not.
    pub fn is_alive(&self) -> bool {
        match stat(self.pid) {
            Ok((started, state)) => started == self.started && !matches!(state, 'Z' | 'X'),
            Err(_) => false,
        }
    }
}

fn stat(pid: i32) -> std::io::Result<(u64, char)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))
}

/// Start time and state letter. The name before them is in parentheses and may hold anything.
fn parse(text: &str) -> Option<(u64, char)> {
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // Field 22 of the file; `state` is field 3.
    let started = fields.nth(18)?.parse().ok()?;
    Some((started, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_deceive() {
        let text = "7 (a) R 1 (b) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        assert_eq!(parse(text), Some((4242, 'Z')));
    }

    #[test]
    fn we_are_alive_and_our_predecessor_is_not() {
        let me = ProcessId::of(Pid::this()).unwrap();
        assert!(me.is_alive());
        assert!(
            !ProcessId {
                started: me.started + 1,
                ..me
            }
            .is_alive()
        );
    }
}
