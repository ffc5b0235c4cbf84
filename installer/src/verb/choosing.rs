//! What update, switch and rollback have in common: another generation becomes current.

use std::process::ExitCode;

use anyhow::Context;

use super::session::{HostAccess, Session};
use crate::deployment::{ContainerName, Deployment, Journal, Why};
use crate::host::{self, Happened};
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
        let message = format!("generation {serial} of '{name}' was taken back: {reason}");
        let details = [("SYSC_GENERATION", serial.to_string())];
        host::note(Happened::TakenBack, name, &message, &fields(&details));
        session.report.warn(message);
        return Ok(Outcome::TakenBack);
    }
    let (serial, image) = (to.info.serial, &to.info.image);
    let message = format!("'{name}' is at generation {serial} now, from {image}");
    let details = [
        ("SYSC_GENERATION", serial.to_string()),
        ("SYSC_IMAGE", image.clone()),
    ];
    session.tell_done(Happened::Changed, name, &message, &fields(&details));
    Ok(Outcome::Done)
}

fn fields<'a>(owned: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    let field = |(name, value): &'a (&str, String)| (*name, value.as_str());
    owned.iter().map(field).collect()
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
