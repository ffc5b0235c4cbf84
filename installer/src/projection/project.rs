//! Projecting one container.

use std::path::{Path, PathBuf};

use super::apply::{Hands, links, look};
use super::plan::{Found, Host, plan};
use super::switch::Site;
use super::want::Want;
use super::{Change, Error, Ledger};
use crate::deployment::{ContainerName, Deployment, Deployments};
use crate::durable;
use crate::host;

/// Brings the host to what the current deployment of `name` asks, or removes every trace where
/// it has none. Returns the changes that were made.
pub fn project(site: &Site, name: &ContainerName) -> Result<Vec<Change>, Error> {
    let Site {
        places, systemd, ..
    } = *site;
    let storage = places.storage();
    let current = Deployments::new(&places.deployments).current(name)?;
    let mut ledger = Ledger::read(&storage, name.as_str())?;
    let identity = host::identity();
    let enabled = |unit: &str| !links(&places.units, unit).is_empty();
    let host = Host {
        look: &look,
        enabled: &enabled,
        identity: &identity,
    };
    if is_projected(current.as_ref(), ledger.as_ref(), host) {
        if let Some(ledger) = &mut ledger {
            take_over(ledger, host, &storage)?;
        }
        return Ok(Vec::new());
    }
    let want = current
        .as_ref()
        .map(|deployment| Want::of(deployment, places))
        .transpose()?;
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

/// The paths of `ledger` that are not as they were written; `true`: nothing is there at all.
pub fn changed_on_host(ledger: &Ledger) -> Vec<(PathBuf, bool)> {
    let difference = |(path, written): (&PathBuf, &Option<String>)| match (look(path), written) {
        (Found::Nothing, _) => Some((path.clone(), true)),
        (Found::Content(found), Some(written)) if found == *written => None,
        (Found::Dir, None) => None,
        _ => Some((path.clone(), false)),
    };
    ledger.files.iter().filter_map(difference).collect()
}

/// Nothing is to be done; told without reading a file of the deployment.
fn is_projected(current: Option<&Deployment>, ledger: Option<&Ledger>, host: Host) -> bool {
    match (current, ledger) {
        (None, None) => true,
        (Some(current), Some(ledger)) => {
            ledger.complete && ledger.serial == current.info.serial && !host.is_another(ledger)
        }
        _ => false,
    }
}

/// Whether a unit is enabled is the administrator's to say: what is found on the host that was
/// projected to is written down, so that it holds on the next one.
fn take_over(ledger: &mut Ledger, host: Host, storage: &Path) -> Result<(), Error> {
    let enabled = ledger
        .unit
        .as_ref()
        .is_some_and(|unit| (host.enabled)(unit));
    if ledger.enabled == enabled && ledger.host == host.identity {
        return Ok(());
    }
    ledger.enabled = enabled;
    host.identity.clone_into(&mut ledger.host);
    ledger.write(storage)
}
