//! `kill`: a signal for a container.

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::Tools;
use crate::cgroup;
use crate::cli::KillArgs;
use crate::record::{Id, State, Status, members};
use crate::sys::process::{pidfd_open, pidfd_send_signal};

/// Sends the signal to the first process, or to all.
pub fn kill(tools: &Tools, args: &KillArgs) -> Result<u8> {
    let signal = parse(&args.signal)?;
    let (state, status) = tools.registry.look(&Id::parse(&args.id)?)?;
    // Without a PID namespace of their own the others outlive the first process.
    let others = args.all || (signal == libc::SIGKILL && !state.own_pid_namespace);
    let reached = if others {
        signal_others(&state, signal)
    } else {
        0
    };
    if !signal_first(&state, signal)? {
        // With --all it is fine that there is nobody left to hear it.
        if reached == 0 && !args.all {
            bail!("cannot kill container '{}': container not running", args.id);
        }
        return Ok(0);
    }
    if let (Status::Paused, libc::SIGKILL, Some(path)) = (status, signal, &state.cgroup) {
        // A process that is held cannot die.
        cgroup::thaw(path)?;
    }
    Ok(0)
}

/// `false` when it has ended.
fn signal_first(state: &State, signal: i32) -> Result<bool> {
    let sent = pidfd_open(Pid::from_raw(state.init.pid)).and_then(|pidfd| {
        // Looked at after the descriptor holds it: the number cannot change hands any more.
        match state.init.is_alive() {
            true => pidfd_send_signal(&pidfd, signal),
            false => Err(Errno::ESRCH),
        }
    });
    match sent {
        Err(Errno::ESRCH) => Ok(false),
        other => {
            other.context("cannot send the signal")?;
            Ok(true)
        }
    }
}

/// All but the first process, which gets its signal by descriptor. The number is how many.
fn signal_others(state: &State, signal: i32) -> usize {
    // One that ends meanwhile needs no signal.
    members(state)
        .into_iter()
        .filter(|pid| pid.as_raw() != state.init.pid)
        .filter_map(|pid| pidfd_open(pid).ok())
        .filter(|pidfd| pidfd_send_signal(pidfd, signal).is_ok())
        .count()
}

/// `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`; `0` asks whether it could be sent one.
pub fn parse(text: &str) -> Result<i32> {
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |base: i32, rest: &str| match rest {
        "" => Some(base),
        rest => Some(base + rest.parse::<i32>().ok()?),
    };
    let number = if let Ok(number) = text.parse::<i32>() {
        Some(number)
    } else if let Some(rest) = name.strip_prefix("RTMIN") {
        real_time(libc::SIGRTMIN(), rest)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        real_time(libc::SIGRTMAX(), rest)
    } else {
        format!("SIG{name}")
            .parse::<Signal>()
            .ok()
            .map(|signal| signal as i32)
    };
    match number {
        Some(number) if (0..=libc::SIGRTMAX()).contains(&number) => Ok(number),
        _ => bail!("unknown signal '{text}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for text in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert_eq!(parse(text).unwrap(), 9);
        }
        assert_eq!(parse("SIGRTMIN+3").unwrap(), libc::SIGRTMIN() + 3);
        assert_eq!(parse("RTMAX-1").unwrap(), libc::SIGRTMAX() - 1);
        assert_eq!(parse("0").unwrap(), 0);
        for text in ["", "-1", "65", "SIGNAL", "KILL9", "RTMIN+99"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
