//! `sysc install`: image → tree → rendered → deployment ═ commit ═ projection.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use super::display;
use super::pull::Wanted;
use super::rendering::{self, Generation};
use super::session::{HostAccess, Session, require_root};
use super::values;
use crate::cli::{self, Install};
use crate::deployment::{
    ContainerName, Contents, Deployment, Draft, Info, Setup, drop_current, make_current,
    next_serial,
};
use crate::exports::{HostFile, HostFileKind, MountPointKind, Network, Rendered};
use crate::image::Digest;
use crate::interrupt;
use crate::projection;
use crate::store::Tree;

pub(super) fn run(options: &Install, session: &Session) -> anyhow::Result<ExitCode> {
    if !options.display {
        require_root("install")?;
    }
    let user_values = values::given(&options.values)?;
    let setup = setup(options)?;
    let wanted = Wanted::find(&options.from)?;
    let name = match &options.name {
        Some(name) => ContainerName::parse(name)?,
        None => ContainerName::parse(&wanted.default_container_name())?,
    };
    if options.display {
        return display::run(&wanted, &name, user_values, setup, session);
    }
    let access = session.change_host()?;
    if session.deployments.current(&name)?.is_some() {
        session
            .report
            .say(format_args!("'{name}' is already present"));
        return Ok(ExitCode::SUCCESS);
    }
    check_free(&name, session, &access)?;
    let image = wanted.bring(&access.store, session.report)?;
    let tree = access.store.merged(&image.layers)?;

    let guard = interrupt::guard()?;
    let serial = next_serial(&session.places.storage())?;
    let slot = session.deployments.free_slot(&name);
    let generation = Generation {
        name: &name,
        image: &image,
        user_values,
        setup,
        serial,
        slot,
    };
    deploy(&generation, tree, session, &access)
        .and_then(|deployment| switch(&deployment, &name, session, &access))
        .map_err(|error| undo(error, &name, session, &access))?;
    drop(guard);
    session
        .report
        .say(format_args!("installed '{name}' from {}", image.name));
    Ok(ExitCode::SUCCESS)
}

/// Paths become absolute, since an update may be called from elsewhere.
fn setup(options: &Install) -> anyhow::Result<Setup> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).with_context(|| format!("cannot use '{}'", path.display()))
    };
    Ok(Setup {
        network: match options.network {
            cli::Network::Host => Network::Host,
            cli::Network::Private => Network::Private,
        },
        exports: options.exports.as_ref().map(absolute).transpose()?,
    })
}

/// A unit or file that is not ours is never taken over.
fn check_free(name: &ContainerName, session: &Session, access: &HostAccess) -> anyhow::Result<()> {
    session.deployments.check_free(name)?;
    let unit = access.systemd.show(&format!("{name}.service"))?;
    let known = Some(PathBuf::from(unit.get("FragmentPath"))).filter(|_| unit.exists());
    let others = ["/run", "/usr/local/lib", "/usr/lib"].map(|directory| {
        PathBuf::from(directory)
            .join("tmpfiles.d")
            .join(format!("{name}.conf"))
    });
    let files = [
        session.places.unit(name.as_str()),
        session.places.tmpfile(name.as_str()),
    ];
    let found = files
        .into_iter()
        .chain(known)
        .chain(others)
        .find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = found {
        bail!(
            "'{}' exists already and was not written for this container\n\
             help: install under another name with --name, or remove that file",
            path.display()
        );
    }
    Ok(())
}

/// Builds the deployment beside the live ones. Nothing counts on it when this returns.
fn deploy(
    generation: &Generation,
    mut tree: Tree,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<Deployment> {
    let store = &access.store;
    let mut rendered = rendering::render(generation, &tree, store, session)?;
    if rendered.run_once {
        bail!(
            "the image '{}' is made to run once and be removed (label atomic.run=once), which \
             this version of sysc cannot do",
            generation.image.name
        );
    }
    values::refuse_unknown(&rendered, &generation.image.name)?;
    for warning in &rendered.warnings {
        session.report.warn(warning);
    }
    check_host_files(&rendered.host_files, generation.name, session)?;
    skip_existing(&mut rendered.host_files, session);
    let commit = store.commit_tree(&tree, generation.name.as_str(), generation.serial)?;
    let info = info(generation, &rendered, commit)?;
    let draft = Draft::begin(
        &session.deployments,
        generation.name,
        generation.serial,
        &generation.slot,
    )?;
    if rendered.unit.is_some() {
        for mount in &rendered.mount_points {
            match mount.kind {
                MountPointKind::Dir => tree.ensure_dir(&mount.path)?,
                MountPointKind::File => tree.ensure_file(&mount.path)?,
            }
        }
        draft.link_tree(store, &tree)?;
    }
    draft.write(&Contents {
        config_json: rendered.config_json.as_deref(),
        unit: rendered.unit.as_deref(),
        tmpfiles: rendered.tmpfiles.as_deref(),
        host_files: &rendered.host_files,
        info: &info,
    })?;
    interrupt::check()?;
    Ok(draft.complete(info)?)
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

/// Host files that exist are the administrator's: left, said, and never removed by us.
fn skip_existing(host_files: &mut Vec<HostFile>, session: &Session) {
    host_files.retain(|file| {
        let exists = PathBuf::from(&file.path).symlink_metadata().is_ok();
        if exists && file.kind != HostFileKind::Dir {
            session.report.warn(format_args!(
                "'{}' exists already and is left as it is",
                file.path
            ));
        }
        !exists
    });
}

fn info(generation: &Generation, rendered: &Rendered, commit: String) -> anyhow::Result<Info> {
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

/// The commit point, and the projection that follows from it.
fn switch(
    deployment: &Deployment,
    name: &ContainerName,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<()> {
    make_current(&session.deployments, deployment)?;
    projection::project(&session.places, &access.systemd, name)
        .with_context(|| format!("cannot install '{name}' on this host"))?;
    interrupt::check()?;
    Ok(())
}

/// Takes back whatever of the installation was made; a failure to do so is added to `error`.
fn undo(
    error: anyhow::Error,
    name: &ContainerName,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Error {
    let undone = drop_current(&session.deployments, name)
        .map_err(anyhow::Error::new)
        .and_then(|_| {
            projection::project(&session.places, &access.systemd, name)?;
            Ok(projection::clean(&session.places, &access.store)?)
        });
    match undone {
        Ok(kept) => {
            session.tell_kept(kept);
            error
        }
        Err(second) => error.context(format!("not everything could be taken back ({second:#})")),
    }
}
