//! Putting right what a crash left.

use super::switch::{self, Site};
use super::{Change, Error, Ledger, clean};
use crate::deployment::{self, ContainerName, Deployments, Journal};
use crate::store::Store;

/// What recovery found to do.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Containers whose switch or projection was finished, with what was changed.
    pub projected: Vec<(String, Vec<Change>)>,
    /// Containers whose projection could not be finished, and why. It is tried again.
    pub failed: Vec<(String, Error)>,
    /// Deployments that could not be removed yet, and why.
    pub kept: Vec<deployment::Error>,
}

/// Finishes what an interrupted command left: carries every container on that has a deployment, a
/// ledger or a journal, then removes what no container needs. Called under the lock, by every
/// command that changes something.
pub fn recover(site: &Site, store: &Store) -> Result<Recovered, Error> {
    let storage = site.places.storage();
    let mut names = Ledger::names(&storage)?;
    names.extend(Journal::names(&storage)?);
    let containers = Deployments::new(&site.places.deployments).containers()?;
    names.extend(containers.iter().map(|(name, _)| name.to_string()));
    let mut recovered = Recovered::default();
    for name in names
        .iter()
        .filter_map(|name| ContainerName::parse(name).ok())
    {
        // One container that cannot be put right is no reason to leave the others.
        match switch::carry_on(site, &name) {
            Ok(done) if !done.did_anything() => {}
            Ok(done) => recovered.projected.push((name.to_string(), done.changes)),
            Err(error) => recovered.failed.push((name.to_string(), error)),
        }
    }
    recovered.kept = clean(site, store)?;
    Ok(recovered)
}
