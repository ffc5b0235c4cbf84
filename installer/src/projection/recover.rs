//! Projecting a container, and putting right what a crash left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::apply::{Hands, look};
use super::plan::{Host, plan};
use super::want::Want;
use super::{Change, Error, Ledger};
use crate::deployment::{self, Container, ContainerName, Deployment, Deployments};
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
    let changes = plan(want.as_ref(), ledger.as_ref(), host);
    Hands {
        systemd,
        storage: &storage,
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

/// Finishes what an interrupted command left: projects every container that has a deployment or
/// a ledger, then removes what no container needs. Called under the lock, by every command that
/// changes something.
pub fn recover(places: &Places, systemd: &Systemd, store: &Store) -> Result<Recovered, Error> {
    let deployments = Deployments::new(&places.deployments);
    let mut names = Ledger::names(&places.storage())?;
    let containers = deployments.containers()?;
    names.extend(containers.iter().map(|(name, _)| name.to_string()));
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
    let used = Used::find(places, &deployments)?;
    let survey = deployments.survey()?;
    let unused = survey
        .deployments
        .iter()
        .filter(|found| !used.needs(found))
        .map(|found| (found.dir.clone(), found.info.serial));
    let nobodys = survey.damaged.iter().filter(|dir| !used.may_need(dir));
    let left_over = deployments.left_over()?;
    let kept: Vec<_> = unused
        .chain(nobodys.map(|dir| (dir.clone(), 0)))
        .chain(left_over.into_iter().map(|dir| (dir, 0)))
        .filter_map(|(dir, serial)| deployment::remove(&dir, serial).err())
        .collect();
    drop_refs(places, &deployments, store)?;
    Ok(kept)
}

/// Drops the refs of this installation whose deployment is gone. What belongs to another one, or
/// may belong to a damaged deployment, stays.
fn drop_refs(places: &Places, deployments: &Deployments, store: &Store) -> Result<(), Error> {
    let Some(installation) = deployment::known_installation(&places.storage())? else {
        return Ok(());
    };
    let survey = deployments.survey()?;
    let existing: BTreeSet<u64> = survey
        .deployments
        .iter()
        .map(|found| found.info.serial)
        .collect();
    for found in store.deployment_refs()? {
        let ours = found.installation.as_ref() == Some(&installation);
        if ours && !existing.contains(&found.serial) && !survey.may_have(&found.name) {
            store.drop_deployment(&found.name, found.serial)?;
        }
    }
    Ok(())
}

/// What of the deployments is needed.
struct Used {
    /// The serial of each container's current deployment; `None` where that cannot be read.
    current: BTreeMap<String, Option<u64>>,
    ledgers: BTreeSet<String>,
}

impl Used {
    fn find(places: &Places, deployments: &Deployments) -> Result<Self, Error> {
        let serial = |(name, current): Container| {
            let serial = current.ok().map(|found| found.info.serial);
            (name.to_string(), serial)
        };
        Ok(Self {
            current: deployments.containers()?.into_iter().map(serial).collect(),
            ledgers: Ledger::names(&places.storage())?,
        })
    }

    fn needs(&self, found: &Deployment) -> bool {
        match self.current.get(&found.info.name) {
            Some(Some(current)) => *current == found.info.serial,
            Some(None) => true,
            None => self.ledgers.contains(&found.info.name),
        }
    }

    /// `dir` is damaged: it may be of any container that it is named after.
    fn may_need(&self, dir: &Path) -> bool {
        let mut names = self.current.keys().chain(&self.ledgers);
        names.any(|name| deployment::is_slot_of(dir, name))
    }
}
