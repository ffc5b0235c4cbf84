//! Ending a container and forgetting it; making way for one of the same name.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{Error, step};
use crate::record::{self, Claim, ProcessId, State, Status};
use crate::sys::process::{pidfd_open, pidfd_send_signal};
use crate::{cgroup, hooks};

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
/// stays. A poststop hook that fails is told to the caller but stops nothing.
pub fn end_and_forget(claim: &Claim, state: &State) -> Result<Option<hooks::Error>, Error> {
    if let Some(path) = state
        .cgroup
        .as_ref()
        .filter(|_| cgroup::is_frozen(&state.home()))
    {
        // A frozen process cannot die; and none shall do anything more once it is let go.
        cgroup::signal(path, Signal::SIGKILL);
        cgroup::thaw(path)?;
    }
    kill_and_wait(&state.init)?;
    if let Some(path) = &state.cgroup {
        cgroup::remove(path)?;
    }
    claim.clear()?;
    let text = state.for_hooks().text("stopped", None);
    Ok(hooks::run("poststop", Some(&state.poststop), &text).err())
}

/// Kills a process and waits until it is gone. One that is gone already is fine.
fn kill_and_wait(process: &ProcessId) -> Result<(), Error> {
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
    loop {
        match poll(
            &mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
            PollTimeout::NONE,
        ) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).map_err(failed),
        }
    }
}
