//! `run`: create, start, and in the foreground wait.

use anyhow::{Context, Result};

use super::Tools;
use crate::cli::RunArgs;
use crate::inside::Passed;
use crate::launch::{self, StartedBy, Waiting, supervise};
use crate::manager::Manager;
use crate::record::{Error, Id};
use crate::report;

/// The status is the payload's in the foreground, and 0 once it has begun with `--detach`.
pub fn run(tools: &Tools, args: &RunArgs, passed: Passed) -> Result<u8> {
    let start = if args.detach {
        StartedBy::UsAndLeave
    } else {
        StartedBy::UsInForeground
    };
    let mut request = super::request(tools, &args.create, passed, start)?;
    let id = request.id.clone();
    let told = || format!("cannot run container '{}'", id.as_str());
    request.manager = Manager::of_this_process().with_context(told)?;
    let waiting = super::make(tools, request).with_context(told)?;
    if let Err(error) = waiting.start() {
        if waiting.is_handed_over() {
            waiting.keep();
            return Err(error).with_context(told);
        }
        waiting.kill();
        if let Some(path) = &args.create.pid_file {
            // It names a process that never was the payload.
            let _ = std::fs::remove_file(path);
        }
        forget(tools, &id, &waiting)?;
        return Err(error).with_context(told);
    }
    if waiting.start == StartedBy::UsAndLeave {
        return Ok(0);
    }
    let end = supervise(&waiting.child, waiting.terminal.as_ref()).with_context(told)?;
    if !args.keep {
        forget(tools, &id, &waiting)?;
    }
    Ok(end.status())
}

/// Removes the record, unless somebody has done so already or has made another of that name.
fn forget(tools: &Tools, id: &Id, waiting: &Waiting) -> Result<()> {
    let claim = match tools.registry.find(id) {
        Err(Error::Missing { .. }) => return Ok(()),
        other => other?,
    };
    let (state, _) = claim.read()?;
    if state.init != waiting.state.init {
        return Ok(());
    }
    for warning in launch::end_and_forget(&claim, &state)? {
        report::warning(tools.log, &warning.to_string());
    }
    Ok(claim.remove()?)
}
