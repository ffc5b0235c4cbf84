//! `state`: what a container does.

use anyhow::Result;

use super::Tools;
use crate::record::Id;
use crate::report;

/// Prints the state as the specification writes it.
pub fn state(tools: &Tools, id: &str) -> Result<u8> {
    let (state, status) = tools.registry.look(&Id::parse(id)?)?;
    report::answer(&serde_json::to_string_pretty(&state.shown(status))?);
    Ok(0)
}
