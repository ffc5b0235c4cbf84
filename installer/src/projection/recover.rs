//! Projecting a container, and putting right what a crash left.

use std::collections::BTreeSet;

use super::apply::{Hands, look};
use super::plan::plan;
use super::want::Want;
use super::{Change, Error, Ledger};
use crate::deployment::{self, ContainerName, Deployment, Deployments};
use crate::host::Systemd;
use crate::places::Places;
use crate::store::Store;

/// What recovery found to do.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Containers whose projection was finished.
    pub projected: Vec<String>,
    /// Containers whose projection could not be finished, and why. It is tried again.
    pub failed: Vec<(String, Error)>,
    /// Deployments that could not be removed yet, and why.
    pub kept: Vec<deployment::Error>,
}

/// Brings the host to what the current deployment of `name` asks, or removes every trace where
/// it has none. Returns the changes that were made.
pub fn project(
    places: &Places,
    systemd: &Systemd,
    name: &ContainerName,
) -> Result<Vec<Change>, Error> {
    let storage = places.storage();
    let current = Deployments::new(&places.deployments).current(name)?;
    let want = current
        .as_ref()
        .map(|deployment| Want::of(deployment, places))
        .transpose()?;
    let ledger = Ledger::read(&storage, name.as_str())?;
    let changes = plan(want.as_ref(), ledger.as_ref(), &look);
    Hands {
        systemd,
        storage: &storage,
    }
    .apply(&changes)?;
    Ok(changes)
}

/// Finishes what an interrupted command left: projects every container that has a deployment or
/// a ledger, then removes what no container needs. Called under the lock, by every command that
/// changes something.
pub fn recover(places: &Places, systemd: &Systemd, store: &Store) -> Result<Recovered, Error> {
    let deployments = Deployments::new(&places.deployments);
    let mut names = Ledger::names(&places.storage())?;
    names.extend(
        deployments
            .containers()?
            .into_iter()
            .map(|found| found.info.name),
    );
    let mut recovered = Recovered::default();
    for name in names
        .iter()
        .filter_map(|name| ContainerName::parse(name).ok())
    {
        // One container that cannot be put right is no reason to leave the others.
        match project(places, systemd, &name) {
            Ok(changes) if changes.is_empty() => {}
            Ok(_) => recovered.projected.push(name.to_string()),
            Err(error) => recovered.failed.push((name.to_string(), error)),
        }
    }
    recovered.kept = clean(places, store)?;
    Ok(recovered)
}

/// Removes deployments that are not current, half-built ones, and refs of those that are gone.
/// A ref goes after the directory that it keeps the objects of. Returns why some could not be
/// removed yet.
///
/// What has a ledger is still on the host, and its service may run: it is kept until it is gone.
pub fn clean(places: &Places, store: &Store) -> Result<Vec<deployment::Error>, Error> {
    let deployments = Deployments::new(&places.deployments);
    let ledgers = Ledger::names(&places.storage())?;
    let current = deployments.containers()?;
    let is_used = |found: &Deployment| {
        let of_name = || {
            current
                .iter()
                .find(|other| other.info.name == found.info.name)
        };
        match of_name() {
            Some(current) => current.info.serial == found.info.serial,
            None => ledgers.contains(&found.info.name),
        }
    };
    let unused = deployments
        .all()?
        .into_iter()
        .filter(|found| !is_used(found));
    let left_over = deployments.left_over()?.into_iter().map(|dir| (dir, 0));
    let kept: Vec<_> = unused
        .map(|found| (found.dir, found.info.serial))
        .chain(left_over)
        .filter_map(|(dir, serial)| deployment::remove(&dir, serial).err())
        .collect();
    let existing: BTreeSet<u64> = deployments
        .all()?
        .iter()
        .map(|found| found.info.serial)
        .collect();
    for found in store.deployment_refs()? {
        if !existing.contains(&found.serial) {
            store.drop_deployment(&found.name, found.serial)?;
        }
    }
    Ok(kept)
}
