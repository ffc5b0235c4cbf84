//! `sysc recover`: what a cut left is finished or given up.

use std::process::ExitCode;

use super::session::{Session, require_root};
use crate::cli::Recover;

pub(super) fn run(options: &Recover, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("recover")?;
    // A host on which nothing was ever installed gets no store for being asked.
    if !session.places.storage().exists() {
        return Ok(ExitCode::SUCCESS);
    }
    let access = if options.boot {
        session.change_host_at_boot()?
    } else {
        session.change_host()?
    };
    Ok(if access.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
