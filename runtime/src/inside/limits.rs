//! Limits of the payload, set by the host's side, or by a child of a user without privileges on
//! itself.

use nix::unistd::Pid;

use super::{Error, failed};
use crate::plan::Payload;
use crate::sys;

/// The score before any id map: afterwards its file belongs to the user namespace. `None` is this
/// process.
pub fn score_and_limit(payload: &Payload, pid: Option<Pid>) -> Result<(), Error> {
    if let Some(score) = payload.oom_score {
        let process = pid.map_or("self".to_owned(), |pid| pid.to_string());
        std::fs::write(format!("/proc/{process}/oom_score_adj"), score.to_string())
            .map_err(|error| failed(format!("set process.oomScoreAdj to {score}"), error))?;
    }
    for limit in &payload.limits {
        let pid = pid.unwrap_or(Pid::from_raw(0));
        sys::process::set_limit(pid, limit.resource, limit.soft, limit.hard)
            .map_err(|errno| failed(format!("set limit '{}'", limit.name), errno))?;
    }
    Ok(())
}
