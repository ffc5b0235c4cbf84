//! `pause` and `resume`: holds all processes of a container, and lets them go.

use anyhow::{Context, Result, bail};

use super::Tools;
use crate::cgroup;
use crate::record::{Id, Status};

/// Returns once all are held.
pub fn pause(tools: &Tools, id: &str) -> Result<u8> {
    let told = || format!("cannot pause container '{id}'");
    let (state, status) = tools.registry.look(&Id::parse(id)?)?;
    match status {
        Status::Created | Status::Running => {}
        Status::Paused | Status::Stopped => bail!("{}: it is {status}", told()),
    }
    let made = super::own_cgroup(&state, "freeze").with_context(told)?;
    cgroup::freeze(&made.path).with_context(told)?;
    Ok(0)
}

/// Only a paused one can be resumed.
pub fn resume(tools: &Tools, id: &str) -> Result<u8> {
    let told = || format!("cannot resume container '{id}'");
    let (state, status) = tools.registry.look(&Id::parse(id)?)?;
    if status != Status::Paused {
        bail!("{}: it is not paused, but {status}", told());
    }
    let made = super::own_cgroup(&state, "thaw").with_context(told)?;
    cgroup::thaw(&made.path).with_context(told)?;
    Ok(0)
}
