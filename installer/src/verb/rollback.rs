//! `sysc rollback`: an earlier generation becomes current again, with its unit, its host files and
//! its values. Data is not touched.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{anyhow, bail};

use super::choosing;
use super::session::{Session, current, require_root};
use crate::cli::Rollback;
use crate::deployment::{ContainerName, Journal, Why};
use crate::interrupt;

pub(super) fn run(options: &Rollback, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("rollback")?;
    let name = match &options.name {
        Some(name) => ContainerName::parse(name)?,
        None => only_container(session)?,
    };
    let access = session.change_host()?;
    let current = current(&name, session)?.info.serial;
    let all = choosing::generations(&name, session)?;
    let journal = Journal::open(&session.places.storage(), &name)?;
    let existing: BTreeSet<u64> = all.iter().map(|found| found.info.serial).collect();
    let to = match options.to {
        Some(to) if to == current => bail!("generation {to} of '{name}' is the current one"),
        Some(to) => Some(to),
        None => journal.before(current, &existing),
    };
    let target = all
        .into_iter()
        .find(|found| Some(found.info.serial) == to)
        .ok_or_else(|| {
            let what = to.map_or_else(
                || "no former generation".to_owned(),
                |to| format!("no generation {to}"),
            );
            anyhow!(
                "there is {what} of '{name}'\nhelp: 'sysc history {name}' shows those that are kept"
            )
        })?;
    let guard = interrupt::guard()?;
    let outcome = choosing::choose(&target, Why::Rollback, session, &access)?;
    drop(guard);
    Ok(outcome.exit_code())
}

/// Where there is one container, its name need not be said.
fn only_container(session: &Session) -> anyhow::Result<ContainerName> {
    let mut names = session.deployments.containers()?.into_iter();
    match (names.next(), names.next()) {
        (Some((name, _)), None) => Ok(name),
        _ => bail!("which container?\nhelp: 'sysc list' shows those that there are"),
    }
}
