//! `sysc hold`: no update until it is released.

use std::process::ExitCode;

use super::session::{Session, current, require_root};
use crate::cli::Hold;
use crate::deployment::{ContainerName, Journal};

pub(super) fn run(options: &Hold, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("hold")?;
    let name = ContainerName::parse(&options.name)?;
    let _access = session.change_host()?;
    current(&name, session)?;
    let storage = session.places.storage();
    let mut journal = Journal::open(&storage, &name)?;
    journal.hold = !options.release;
    journal.write(&storage)?;
    let now = if options.release {
        "no longer held"
    } else {
        "held"
    };
    session.report.say(format_args!("'{name}' is {now}"));
    Ok(ExitCode::SUCCESS)
}
