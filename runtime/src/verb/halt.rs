//! `halt`: ends a container that would not hear its stop signal. A unit's `ExecStop=`.

use anyhow::{Context, Result};

use super::{Tools, kill};
use crate::cli::HaltArgs;
use crate::launch;
use crate::record::{Error, Id, Status};

/// Does nothing to a container that hears the signal: whoever calls this will send it.
pub fn halt(tools: &Tools, args: &HaltArgs) -> Result<u8> {
    let signal = kill::parse(&args.signal)?;
    let (state, status) = match tools.registry.look(&Id::parse(&args.id)?) {
        Err(Error::Missing { .. }) => return Ok(0),
        other => other?,
    };
    let told = || format!("cannot halt container '{}'", args.id);
    let hears = hears(state.init.pid, signal);
    if status != Status::Stopped && state.own_pid_namespace && !hears {
        launch::power_off(&state).with_context(told)?;
    }
    Ok(0)
}

/// Whether a signal would come to a process that is the first of its PID namespace: it handles it,
/// waits for it or has chosen to pass over it. One that has ended needs none.
fn hears(pid: i32, signal: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => has_any(&status, signal),
        Err(_) => true,
    }
}

fn has_any(status: &str, signal: i32) -> bool {
    let bit = 1_u64 << (signal - 1).clamp(0, 63);
    let masks = ["SigBlk:", "SigIgn:", "SigCgt:"];
    status.lines().any(|line| {
        let mask = masks.iter().find_map(|name| line.strip_prefix(name));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & bit != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heard_that_any_mask_names() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n\
                      SigCgt:\t8000000000004000\nSigQ:\t0/1\n";
        for (signal, heard) in [(1, true), (13, true), (15, true), (64, true), (2, false)] {
            assert_eq!(has_any(status, signal), heard, "{signal}");
        }
        assert!(!has_any("", 15));
    }
}
