//! From an image in the store to a complete deployment, for installations and updates alike.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;

use super::rendering::{self, Generation};
use super::session::{HostAccess, Session};
use super::values;
use crate::deployment::{self, ContainerName, Contents, Deployment, Draft, Info, next_serial};
use crate::exports::{HostFile, HostFileKind, MountPointKind, Rendered};
use crate::image::Digest;
use crate::interrupt;
use crate::store::{Owner, Tree};

/// Builds `generation` beside the live ones. It is complete when this returns, and nothing counts
/// on it yet. Those that give way to it go when nothing can fail any more but the last rename.
pub(super) fn build(
    generation: &Generation,
    gives_way: &[Deployment],
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<Deployment> {
    let store = &access.store;
    let mut tree = store.merged(&generation.image.layers)?;
    let rendered = rendering::render(generation, &tree, store, session)?;
    if rendered.run_once {
        bail!(
            "the image '{0}' is made to run once (label atomic.run=once), and becomes no service\n\
             help: run it with 'sysc run {0}'",
            generation.image.name
        );
    }
    values::check_names(generation, &rendered, session)?;
    for warning in &rendered.warnings {
        session.report.warn(warning);
    }
    check_host_files(&rendered.host_files, generation.name, session)?;
    let installation = deployment::installation(&session.places.storage())?;
    let owner = Owner {
        installation: &installation,
        name: generation.name.as_str(),
        serial: generation.serial,
    };
    let commit = store.commit_tree(&tree, owner)?;
    let info = info(generation, &rendered, commit)?;
    let draft = Draft::begin(
        &session.deployments,
        generation.name,
        generation.serial,
        &generation.slot,
    )?;
    if let Some(rootfs) = &generation.setup.rootfs {
        draft.point_at_tree(rootfs)?;
    } else if rendered.unit.is_some() {
        add_mount_points(&mut tree, &rendered)?;
        draft.link_tree(store, &tree)?;
    }
    draft.write(&contents(&rendered, &info))?;
    interrupt::check()?;
    for former in gives_way {
        deployment::remove(&former.dir, former.info.serial)?;
    }
    Ok(draft.complete(info)?)
}

/// The files of a deployment, without its root file system.
pub(super) fn contents<'a>(rendered: &'a Rendered, info: &'a Info) -> Contents<'a> {
    Contents {
        config_json: rendered.config_json.as_deref(),
        unit: rendered.unit.as_deref(),
        tmpfiles: rendered.tmpfiles.as_deref(),
        host_files: &rendered.host_files,
        info,
    }
}

/// What the configuration mounts on must be there, since the root is read-only when it does.
pub(super) fn add_mount_points(tree: &mut Tree, rendered: &Rendered) -> anyhow::Result<()> {
    for mount in &rendered.mount_points {
        match mount.kind {
            MountPointKind::Dir => tree.ensure_dir(&mount.path)?,
            MountPointKind::File => tree.ensure_file(&mount.path)?,
        }
    }
    Ok(())
}

/// A number that no generation had, here or in another installation on the same repository.
pub(super) fn take_serial(
    name: &ContainerName,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<u64> {
    loop {
        let serial = next_serial(&session.places.storage())?;
        if !access.store.has_deployment(name.as_str(), serial)? {
            return Ok(serial);
        }
    }
}

/// An image's files are for the host, not for sysc: neither its records nor the unit.
fn check_host_files(
    host_files: &[HostFile],
    name: &ContainerName,
    session: &Session,
) -> anyhow::Result<()> {
    let places = &session.places;
    let mut ours = vec![places.unit(name.as_str()), places.tmpfile(name.as_str())];
    ours.extend(places.repositories());
    ours.push(places.deployments.clone());
    ours.extend(["/proc", "/sys", "/dev", "/run/sysc-runtime"].map(PathBuf::from));
    let taken = |file: &&HostFile| {
        ours.iter()
            .any(|path| Path::new(&file.path).starts_with(path))
    };
    match host_files.iter().find(taken) {
        None => Ok(()),
        Some(file) => bail!(
            "the image has a file for '{}', which is not for images",
            file.path
        ),
    }
}

pub(super) fn info(
    generation: &Generation,
    rendered: &Rendered,
    commit: String,
) -> anyhow::Result<Info> {
    let checksum = |file: &HostFile| match &file.kind {
        HostFileKind::File(content) => Digest::of(content).hex().to_owned(),
        HostFileKind::Link(target) => Digest::of(target.as_bytes()).hex().to_owned(),
        HostFileKind::Dir => String::new(),
    };
    let config: Option<serde_json::Value> = rendered
        .config_json
        .as_deref()
        .map(serde_json::from_str)
        .transpose()?;
    let arguments = config
        .as_ref()
        .and_then(|config| config.pointer("/process/args")?.as_array());
    Ok(Info {
        format: Info::format(),
        name: generation.name.to_string(),
        serial: generation.serial,
        image: generation.image.name.clone(),
        source: generation.image.source.clone(),
        revision: generation.image.digest.hex().to_owned(),
        ostree_commit: commit,
        created: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs()),
        user_values: generation.user_values.clone(),
        setup: generation.setup.clone(),
        values: rendered.values.clone(),
        has_container_service: rendered.unit.is_some(),
        installed_files_checksum: rendered
            .host_files
            .iter()
            .map(|file| (file.path.clone(), checksum(file)))
            .collect(),
        runtime: rendered.values.get("RUNTIME").cloned().unwrap_or_default(),
        command: arguments
            .into_iter()
            .flatten()
            .filter_map(|argument| argument.as_str().map(str::to_owned))
            .collect(),
        other: serde_json::Map::new(),
    })
}
