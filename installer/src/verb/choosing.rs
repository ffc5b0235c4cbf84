//! What update, switch and rollback have in common: another generation becomes current.

use std::process::ExitCode;

use anyhow::Context;

use super::session::{HostAccess, Session};
use crate::deployment::{ContainerName, Deployment, Journal, Why};
use crate::projection;

/// A new generation did not do, and the former one runs again.
const TAKEN_BACK: u8 = 4;

/// How it ended, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// As was asked for.
    Done,
    /// The former generation is current again.
    TakenBack,
}

impl Outcome {
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::TakenBack => ExitCode::from(TAKEN_BACK),
        }
    }
}

/// Makes `to` current, and tells what came of it.
pub(super) fn choose(
    to: &Deployment,
    why: Why,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<Outcome> {
    let name = &to.info.name;
    let done = projection::choose(&session.site(access), to, why)
        .with_context(|| format!("cannot make generation {} of '{name}' run", to.info.serial))?;
    session.tell_changes(&done.changes);
    session.tell_kept(access.clean(session)?);
    if let Some((serial, reason)) = done.rejected {
        session.report.warn(format_args!(
            "generation {serial} of '{name}' was taken back: {reason}"
        ));
        return Ok(Outcome::TakenBack);
    }
    session.report.say(format_args!(
        "'{name}' is at generation {} now, from {}",
        to.info.serial, to.info.image
    ));
    Ok(Outcome::Done)
}

/// The generations of `name` that are on disk, by serial.
pub(super) fn generations(
    name: &ContainerName,
    session: &Session,
) -> anyhow::Result<Vec<Deployment>> {
    let mut found = session.deployments.survey()?.deployments;
    found.retain(|found| found.info.name == name.as_str());
    found.sort_by_key(|found| found.info.serial);
    Ok(found)
}

/// The generation that waits for a switch.
pub(super) fn staged(
    name: &ContainerName,
    session: &Session,
) -> anyhow::Result<Option<Deployment>> {
    let serial = Journal::open(&session.places.storage(), name)?.staged;
    let all = generations(name, session)?;
    Ok(all
        .into_iter()
        .find(|found| Some(found.info.serial) == serial))
}
