//! `sysc switch`: what was staged becomes current.

use std::process::ExitCode;

use anyhow::bail;

use super::choosing::{self, Outcome};
use super::session::{Session, current, require_root};
use crate::cli::Switch;
use crate::deployment::{ContainerName, Why};
use crate::interrupt;

pub(super) fn run(options: &Switch, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("switch")?;
    let access = session.change_host()?;
    let mut worst = Outcome::Done;
    let mut names = Vec::new();
    for name in &options.names {
        let name = ContainerName::parse(name)?;
        current(&name, session)?;
        if choosing::staged(&name, session)?.is_none() {
            bail!(
                "no generation of '{name}' is staged\nhelp: 'sysc update --stage {name}' stages one"
            );
        }
        names.push(name);
    }
    if options.names.is_empty() {
        let all = session.deployments.containers()?.into_iter();
        names.extend(all.map(|(name, _)| name));
    }
    let mut switched = false;
    for name in names {
        if let Some(next) = choosing::staged(&name, session)? {
            let guard = interrupt::guard()?;
            worst = worst.max(choosing::choose(&next, Why::Switch, session, &access)?);
            switched = true;
            drop(guard);
        }
    }
    if !switched {
        session.report.say("nothing is staged");
    }
    Ok(worst.exit_code())
}
