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
        Ok(ProcessId {
            pid: pid.as_raw(),
            started: stat(pid.as_raw())?.started,
        })
    }

    /// Whether it still runs; one that only waits to be reaped does not.
    pub fn is_alive(&self) -> bool {
        match stat(self.pid) {
            Ok(stat) => stat.started == self.started && !matches!(stat.state, 'Z' | 'X'),
            Err(_) => false,
        }
    }
}

/// The parent of a process; `None` when it is gone.
pub fn parent_of(pid: i32) -> Option<i32> {
    Some(stat(pid).ok()?.parent)
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> std::io::Result<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))
}

/// The name before the fields is in parentheses and may hold anything.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the file; `parent` is field 4.
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        state,
        parent,
        started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_deceive() {
        let text = "7 (a) R 1 (b) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        let wanted = Stat {
            state: 'Z',
            parent: 1,
            started: 4242,
        };
        assert_eq!(parse(text), Some(wanted));
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
