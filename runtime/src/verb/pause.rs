//! `pause` and `resume`: holds all processes of a container, and lets them go.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::Tools;
use crate::cgroup;
use crate::record::{Id, State, Status};

/// Returns once all are held.
pub fn pause(tools: &Tools, id: &str) -> Result<u8> {
    let told = || format!("cannot pause container '{id}'");
    let (state, status) = tools.registry.look(&Id::parse(id)?)?;
    match status {
        Status::Created | Status::Running => {}
        Status::Paused | Status::Stopped => bail!("{}: it is {status}", told()),
    }
    cgroup::freeze(&own_cgroup(&state, "freeze").with_context(told)?).with_context(told)?;
    Ok(0)
}

/// Only a paused one can be resumed.
pub fn resume(tools: &Tools, id: &str) -> Result<u8> {
    let told = || format!("cannot resume container '{id}'");
    let (state, status) = tools.registry.look(&Id::parse(id)?)?;
    if status != Status::Paused {
        bail!("{}: it is not paused, but {status}", told());
    }
    cgroup::thaw(&own_cgroup(&state, "thaw").with_context(told)?).with_context(told)?;
    Ok(0)
}

/// A cgroup that was not made for the container holds others, too.
fn own_cgroup(state: &State, verb: &str) -> Result<PathBuf> {
    if let Some(path) = &state.cgroup {
        return Ok(path.clone());
    }
    match cgroup::unit_of(state.init.pid) {
        Some(unit) => bail!(
            "it runs in the cgroup of the unit '{}', which is systemd's\nhelp: use 'systemctl \
             {verb} {0}'",
            unit.display()
        ),
        None => bail!(
            "it has no cgroup of its own\nhelp: set linux.cgroupsPath, or run it in a unit and \
             use 'systemctl {verb}'"
        ),
    }
}
