//! Projecting one container.

use std::path::PathBuf;

use super::apply::{Hands, look};
use super::plan::{Host, plan};
use super::switch::Site;
use super::want::Want;
use super::{Change, Error, Ledger};
use crate::deployment::{ContainerName, Deployment, Deployments};
use crate::durable;

/// Brings the host to what the current deployment of `name` asks, or removes every trace where
/// it has none. Returns the changes that were made.
pub fn project(site: &Site, name: &ContainerName) -> Result<Vec<Change>, Error> {
    let Site {
        places, systemd, ..
    } = *site;
    let storage = places.storage();
    let current = Deployments::new(&places.deployments).current(name)?;
    let ledger = Ledger::read(&storage, name.as_str())?;
    if is_projected(current.as_ref(), ledger.as_ref()) {
        return Ok(Vec::new());
    }
    let want = current
        .as_ref()
        .map(|deployment| Want::of(deployment, places))
        .transpose()?;
    let enabled = |unit: &str| systemd.is_enabled(unit);
    let host = Host {
        look: &look,
        enabled: &enabled,
    };
    let wanted = want
        .iter()
        .flat_map(|want| want.files.keys().map(PathBuf::as_path));
    let written = ledger.iter().flat_map(Ledger::paths);
    for path in wanted.chain(written) {
        durable::forget_unfinished(path).map_err(|source| Error::io("tidy", path, source))?;
    }
    let changes = plan(want.as_ref(), ledger.as_ref(), host);
    Hands {
        systemd,
        storage: &storage,
        units: &places.units,
    }
    .apply(&changes)?;
    Ok(changes)
}

/// Nothing is to be done; told without reading a file of the deployment.
fn is_projected(current: Option<&Deployment>, ledger: Option<&Ledger>) -> bool {
    match (current, ledger) {
        (None, None) => true,
        (Some(current), Some(ledger)) => ledger.complete && ledger.serial == current.info.serial,
        _ => false,
    }
}
