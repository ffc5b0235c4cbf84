//! `create`: everything but the program itself.

use anyhow::{Context, Result};

use super::Tools;
use crate::cli::CreateArgs;
use crate::inside::Passed;
use crate::launch::StartedBy;

/// Leaves a container whose first process waits for `start`.
pub fn create(tools: &Tools, args: &CreateArgs, passed: Passed) -> Result<u8> {
    let request = super::request(tools, args, passed, StartedBy::Command)?;
    super::make(tools, request)
        .with_context(|| format!("cannot create container '{}'", args.id))?;
    Ok(0)
}
