//! Ending a container and forgetting it; making way for one of the same name.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{Error, host_mounts, step};
use crate::record::{self, Claim, ProcessId, State, Status};
use crate::sys::process::{await_end, pidfd_open, pidfd_send_signal};
use crate::{cgroup, hooks, resctrl};

/// Clears a name for a new container: one that has stopped, or whose foreground runtime was killed
/// so that nobody waits for it, is ended and forgotten. Any other is in the way.
pub fn make_way(claim: &Claim) -> Result<(), Error> {
    if !claim.has_state() {
        // Whoever held the claim before us died on the way.
        claim.end_leftovers()?;
        return Ok(claim.clear()?);
    }
    let (state, status) = claim.read()?;
    let abandoned = state.keeper.is_some_and(|keeper| !keeper.is_alive());
    if status != Status::Stopped && !abandoned {
        return Err(Error::Record(record::Error::Exists {
            id: claim.id().as_str().to_owned(),
            status,
        }));
    }
    end_and_forget(claim, &state)?;
    Ok(())
}

/// Ends what still runs, removes the cgroup, runs the poststop hooks, clears the record. The claim
/// stays. Poststop hooks that fail are told to the caller but stop nothing.
pub fn end_and_forget(claim: &Claim, state: &State) -> Result<Vec<hooks::Error>, Error> {
    if let Some(path) = state
        .cgroup
        .as_ref()
        .filter(|_| cgroup::is_frozen(&state.home()))
    {
        // A frozen process cannot die; and none shall do anything more once it is let go.
        cgroup::signal(path, Signal::SIGKILL);
        cgroup::thaw(path)?;
    }
    end(&state.init)?;
    if let Some(made) = state.made() {
        made.remove()?;
    }
    resctrl::remove(&state.resctrl)?;
    host_mounts::remove(&state.rootfs, state.host_mount)?;
    claim.clear()?;
    let text = state.for_hooks().text("stopped", None);
    Ok(hooks::run_all("poststop", Some(&state.poststop), &text))
}

/// How long a killed process may take: one that somebody has frozen, or that hangs in the kernel,
/// takes for ever.
const LONGEST_DEATH: Duration = Duration::from_secs(10);

/// Kills a process and waits until it is gone. One that is gone already is fine.
pub fn end(process: &ProcessId) -> Result<(), Error> {
    let failed = |errno| step(format!("kill process {}", process.pid), errno);
    let pidfd = match pidfd_open(Pid::from_raw(process.pid)) {
        Err(Errno::ESRCH) => return Ok(()),
        other => other.map_err(failed)?,
    };
    // Looked at after the descriptor holds it: the number cannot change hands any more.
    if !process.is_alive() {
        return Ok(());
    }
    match pidfd_send_signal(&pidfd, libc::SIGKILL) {
        Err(Errno::ESRCH) => return Ok(()),
        other => other.map_err(failed)?,
    }
    match await_end(&pidfd, Some(LONGEST_DEATH)).map_err(failed)? {
        true => Ok(()),
        false => Err(failed(Errno::ETIMEDOUT)),
    }
}

/// Whether a process that may have said its last word is gone after a moment.
pub fn is_ending(process: &ProcessId) -> bool {
    const MOMENT: Duration = Duration::from_millis(100);
    match pidfd_open(Pid::from_raw(process.pid)) {
        Ok(pidfd) if process.is_alive() => await_end(&pidfd, Some(MOMENT)).unwrap_or(false),
        _ => !process.is_alive(),
    }
}
