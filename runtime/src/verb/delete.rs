//! `delete`: forgets a container that has ended.

use anyhow::{Context, Result, bail};

use super::Tools;
use crate::cli::DeleteArgs;
use crate::record::{Error, Id, Status};
use crate::{launch, report};

/// One that was created but never started may go as it is; one that runs only with `--force`, unless
/// it is about to end.
pub fn delete(tools: &Tools, args: &DeleteArgs) -> Result<u8> {
    let claim = match tools.registry.find(&Id::parse(&args.id)?) {
        Err(Error::Missing { .. }) if args.force => return Ok(0),
        other => other?,
    };
    let (state, status) = claim.read()?;
    let in_the_way = match status {
        Status::Running => !args.force && !launch::is_ending(&state.init),
        Status::Paused => !args.force,
        Status::Created | Status::Stopped => false,
    };
    if in_the_way {
        bail!("cannot delete container '{}': it is {status}", args.id);
    }
    let warnings = launch::end_and_forget(&claim, &state)
        .with_context(|| format!("cannot delete container '{}'", args.id))?;
    claim.remove()?;
    for warning in warnings {
        report::warning(tools.log, &warning.to_string());
    }
    Ok(0)
}
