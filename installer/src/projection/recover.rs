//! Putting right what a crash left.

use super::stray::strays;
use super::switch::{self, Done, Site};
use super::{Change, Error, Ledger, clean};
use crate::deployment::{self, ContainerName, Deployments, Journal, Why};
use crate::host::{self, Systemd};
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

/// What is done besides while a host boots, after [`recover`]: staged generations become current,
/// units that came back without their container go, and what systemd could not know when it
/// planned the boot is started. Nothing here waits for a service.
pub fn boot(site: &Site, recovered: &mut Recovered) -> Result<(), Error> {
    let deployments = Deployments::new(&site.places.deployments);
    for ledger in strays(site)? {
        let name = ledger.name.clone();
        // From here on it is an uninstallation that was cut.
        ledger.write(&site.places.storage())?;
        match ContainerName::parse(&name) {
            Ok(parsed) => note(recovered, name, switch::carry_on(site, &parsed)),
            Err(error) => recovered
                .failed
                .push((name, deployment::Error::from(error).into())),
        }
    }
    let survey = deployments.survey()?;
    for (name, _) in deployments.containers()? {
        let staged = Journal::open(&site.places.storage(), &name)?.staged;
        let next = survey
            .deployments
            .iter()
            .find(|found| found.info.name == name.as_str() && Some(found.info.serial) == staged);
        if let Some(next) = next {
            let done = switch::choose(site, next, Why::Switch);
            note(recovered, name.to_string(), done);
        }
    }
    for (name, _) in &recovered.projected {
        let ledger = Ledger::read(&site.places.storage(), name)?;
        if let Some((unit, enabled)) = ledger.and_then(|l| Some((l.unit?, l.enabled))) {
            plan_anew(site.systemd, &unit, enabled).map_err(|source| Error::Host {
                change: format!("start or leave '{unit}'"),
                source,
            })?;
        }
    }
    Ok(())
}

/// systemd planned the boot by what it found in /etc.
fn plan_anew(systemd: &Systemd, unit: &str, enabled: bool) -> Result<(), host::Error> {
    if enabled {
        return systemd.start_later(unit);
    }
    let state = systemd.show(unit)?;
    let waits = state.get("ActiveState") == "inactive" && !state.get("Job").is_empty();
    if waits {
        systemd.stop_later(unit)
    } else {
        Ok(())
    }
}

fn note(recovered: &mut Recovered, name: String, done: Result<Done, Error>) {
    match done {
        Ok(done) => recovered.projected.push((name, done.changes)),
        Err(error) => recovered.failed.push((name, error)),
    }
}
