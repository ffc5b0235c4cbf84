//! Which deployments stay, and the removal of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::switch::Site;
use super::{Error, Ledger};
use crate::deployment::{self, Container, ContainerName, Deployment, Deployments, Journal};
use crate::durable;
use crate::places::Places;
use crate::store::Store;

/// Removes deployments that no container keeps, half-built ones, and refs of those that are gone.
/// A ref goes after the directory that it keeps the objects of. Returns why some could not be
/// removed yet.
///
/// What has a ledger is still on the host, and its service may run: it is kept until it is gone.
pub fn clean(site: &Site, store: &Store) -> Result<Vec<deployment::Error>, Error> {
    let places = site.places;
    let deployments = Deployments::new(&places.deployments);
    let storage = places.storage();
    let ours = [
        places.deployments.clone(),
        storage.join("ledger"),
        places.deployments.join(".journal"),
        storage,
    ];
    for dir in ours {
        durable::sweep_unfinished(&dir).map_err(|source| Error::io("tidy", &dir, source))?;
    }
    let used = Used::find(site, &deployments)?;
    let survey = deployments.survey()?;
    let unused = survey
        .deployments
        .iter()
        .filter(|found| !used.needs(found) && !is_donor(found, &survey.deployments))
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

/// The generations of `name` that give way to the next one, though they stay until it is complete:
/// the oldest beyond what is kept beside it, unless somebody lives in them.
pub fn evictable(site: &Site, name: &ContainerName) -> Result<Vec<Deployment>, Error> {
    let deployments = Deployments::new(&site.places.deployments);
    let survey = deployments.survey()?;
    let all = survey
        .deployments
        .iter()
        .filter(|found| found.info.name == name.as_str() && !is_donor(found, &survey.deployments));
    let kept = match deployments.current(name)? {
        Some(current) => kept(site, name, current.info.serial, site.keep.saturating_sub(1))?,
        None => BTreeSet::new(),
    };
    let mut evictable = Vec::new();
    for found in all.filter(|found| !kept.contains(&found.info.serial)) {
        if !deployment::is_used(&found.dir)? {
            evictable.push(found.clone());
        }
    }
    Ok(evictable)
}

/// Another deployment stands on the files of this one (`--rootfs`).
fn is_donor(found: &Deployment, all: &[Deployment]) -> bool {
    let stands_on_it = |other: &Deployment| {
        let rootfs = other.info.setup.rootfs.as_ref();
        other.dir != found.dir && rootfs.is_some_and(|rootfs| rootfs.starts_with(&found.dir))
    };
    all.iter().any(stands_on_it)
}

/// The serials of `name` that stay when `current` is current: besides it what is staged or under
/// way, and the most recent others, `keep` in all.
fn kept(
    site: &Site,
    name: &ContainerName,
    current: u64,
    keep: usize,
) -> Result<BTreeSet<u64>, Error> {
    let journal = Journal::open(&site.places.storage(), name)?;
    let deployments = Deployments::new(&site.places.deployments)
        .survey()?
        .deployments;
    let existing: BTreeSet<u64> = deployments.iter().map(|found| found.info.serial).collect();
    let others = journal.by_recency().into_iter();
    let others = others.filter(|serial| *serial != current && existing.contains(serial));
    let mut kept: BTreeSet<u64> = others.take(keep.saturating_sub(1)).collect();
    kept.insert(current);
    kept.extend(journal.staged);
    if let Some(intent) = &journal.intent {
        kept.extend(intent.from);
        kept.insert(intent.to);
    }
    Ok(kept)
}

/// What of the deployments is needed.
struct Used {
    /// The serials that each container keeps; `None` where that cannot be told.
    kept: BTreeMap<String, Option<BTreeSet<u64>>>,
    ledgers: BTreeSet<String>,
}

impl Used {
    fn find(site: &Site, deployments: &Deployments) -> Result<Self, Error> {
        let serials = |(name, current): Container| {
            let current = current.ok().map(|found| found.info.serial);
            let kept = current.and_then(|current| kept(site, &name, current, site.keep).ok());
            (name.to_string(), kept)
        };
        Ok(Self {
            kept: deployments.containers()?.into_iter().map(serials).collect(),
            ledgers: Ledger::names(&site.places.storage())?,
        })
    }

    fn needs(&self, found: &Deployment) -> bool {
        match self.kept.get(&found.info.name) {
            Some(Some(kept)) => kept.contains(&found.info.serial),
            Some(None) => true,
            None => self.ledgers.contains(&found.info.name),
        }
    }

    /// `dir` is damaged: it may be of any container that it is named after.
    fn may_need(&self, dir: &Path) -> bool {
        let mut names = self.kept.keys().chain(&self.ledgers);
        names.any(|name| deployment::is_slot_of(dir, name))
    }
}
