//! `sysc storage` and `sysc images prune`: what space is used for, and what can be freed.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::{Session, require_root};
use crate::cli::Json;
use crate::deployment::Deployment;
use crate::report::{size, table};
use crate::store::{Objects, Store, objects};

pub(super) fn prune(session: &Session) -> anyhow::Result<ExitCode> {
    require_root("images prune")?;
    if session.look_into_store()?.is_none() {
        session.report.say("nothing to free");
        return Ok(ExitCode::SUCCESS);
    }
    let access = session.change_host()?;
    let pruned = access.store.prune()?;
    session.report.say(format_args!(
        "freed {} in {} objects; {} layers were in no image",
        size(pruned.bytes),
        pruned.objects,
        pruned.layers
    ));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(options: &Json, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("storage")?;
    let Some(store) = session.look_into_store()? else {
        session.report.say("nothing is stored");
        return Ok(ExitCode::SUCCESS);
    };
    let shares = shares(session, &store)?;
    let (total, reclaimable) = (store.size()?, store.reclaimable()?);
    let disk = nix::sys::statvfs::statvfs(store.path())?;
    let block = disk.fragment_size();
    let (free, capacity) = (disk.blocks_available() * block, disk.blocks() * block);
    if options.json {
        session.report.json(&json!({
            "repository": store.path(),
            "objects": total,
            "reclaimable": reclaimable,
            "free": free,
            "capacity": capacity,
            "deployments": shares.iter().map(Share::json).collect::<Vec<_>>(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = shares.iter().map(Share::row).collect();
    let headers = ["NAME", "GENERATION", "SIZE", "SHARED", "UNIQUE"];
    session.report.say(table(&headers, &rows));
    session.report.say(format_args!(
        "\nobjects {}, of which 'sysc images prune' can free {}; free on disk {} of {}",
        size(total),
        size(reclaimable),
        size(free),
        size(capacity)
    ));
    Ok(ExitCode::SUCCESS)
}

/// What a deployment has of the repository.
struct Share {
    deployment: Deployment,
    size: u64,
    /// What no other deployment has.
    unique: u64,
}

impl Share {
    fn row(&self) -> Vec<String> {
        vec![
            self.deployment.info.name.clone(),
            self.deployment.info.serial.to_string(),
            size(self.size),
            size(self.size - self.unique),
            size(self.unique),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "name": self.deployment.info.name,
            "generation": self.deployment.info.serial,
            "size": self.size,
            "shared": self.size - self.unique,
            "unique": self.unique,
        })
    }
}

fn shares(session: &Session, store: &Store) -> anyhow::Result<Vec<Share>> {
    let mut all: Vec<(Deployment, Objects)> = Vec::new();
    for deployment in session.deployments.survey()?.deployments {
        let tree = store.tree_of_commit(&deployment.info.ostree_commit)?;
        all.push((deployment, objects(&tree)));
    }
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for checksum in all.iter().flat_map(|(_, objects)| objects.keys()) {
        *users.entry(checksum.clone()).or_default() += 1;
    }
    let share = |(deployment, objects): (Deployment, Objects)| {
        let own = objects.iter().filter(|(checksum, _)| users[*checksum] == 1);
        Share {
            size: objects.values().sum(),
            unique: own.map(|(_, size)| size).sum(),
            deployment,
        }
    };
    Ok(all.into_iter().map(share).collect())
}
