//! `sysc install`: image → tree → rendered → deployment ═ commit ═ projection.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::building;
use super::display;
use super::offline;
use super::once::{self, Wish};
use super::pull::Wanted;
use super::rendering::Generation;
use super::session::{self, HostAccess, Session, require_root};
use super::values;
use crate::cli::{self, Install};
use crate::deployment::{ContainerName, Deployment, Info, Setup, Why, drop_current};
use crate::exports::{self, Network};
use crate::host::Happened;
use crate::interrupt;
use crate::projection;

pub(super) fn run(options: &Install, session: &Session) -> anyhow::Result<ExitCode> {
    if !options.display {
        require_root("install")?;
    }
    let user_values = values::given(&options.values)?;
    let typed = values::typed(&options.values, &user_values);
    if let Some(tree) = &options.root {
        return offline::run(options, tree, setup(options, session)?, session);
    }
    let setup = setup(options, session)?;
    let wanted = Wanted::find(&options.from)?;
    let name = match &options.name {
        Some(name) => ContainerName::parse(name)?,
        None => ContainerName::parse(&wanted.default_container_name())?,
    };
    if options.display {
        return display::run(&wanted, &name, options, setup, session);
    }
    let access = session.change_host()?;
    if let Some(current) = session::present(&name, session)? {
        return already_present(&current.info, &user_values, session);
    }
    check_free(&name, session, &access)?;
    if setup.runtime.is_none() {
        session.runtime()?;
    }
    let image = wanted.bring(&access.store, session.report)?;
    if exports::runs_once(&image.config)? {
        let wish = Wish {
            name: &name,
            image: &image,
            user_values,
            typed,
            setup,
            command: &[],
        };
        let prepared = once::prepare(wish, &access.store, session)?;
        drop(access);
        return prepared.run();
    }

    let guard = interrupt::guard()?;
    let generation = Generation {
        name: &name,
        image: &image,
        user_values,
        typed,
        setup,
        once: false,
        root: None,
        former: None,
        serial: building::take_serial(&name, session, &access)?,
        slot: session.deployments.free_slot(&name),
    };
    building::build(&generation, &[], session, &access)
        .and_then(|deployment| switch(&deployment, &name, session, &access))
        .map_err(|error| undo(error, &name, session, &access))?;
    drop(guard);
    let message = format!("installed '{name}' from {}", image.name);
    let details = [("SYSC_IMAGE", image.name.as_str())];
    session.tell_done(Happened::Installed, name.as_str(), &message, &details);
    Ok(ExitCode::SUCCESS)
}

/// Paths become absolute, since an update may be called from elsewhere.
fn setup(options: &Install, session: &Session) -> anyhow::Result<Setup> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).with_context(|| format!("cannot use '{}'", path.display()))
    };
    Ok(Setup {
        early: options.early,
        network: match options.network {
            cli::Network::Host => Network::Host,
            cli::Network::Private => Network::Private,
        },
        rootfs: options
            .rootfs
            .as_deref()
            .map(|path| rootfs(path, session))
            .transpose()?,
        exports: options.exports.as_ref().map(absolute).transpose()?,
        runtime: options
            .runtime
            .as_deref()
            .filter(|_| options.root.is_none())
            .map(values::runtime)
            .transpose()?,
    })
}

/// Nothing is done, as with atomic; but values that would be lost in silence are refused.
fn already_present(
    info: &Info,
    user_values: &BTreeMap<String, String>,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let name = &info.name;
    if let Some((key, _)) = user_values
        .iter()
        .find(|(key, value)| info.values.get(*key) != Some(value))
    {
        bail!(
            "'{name}' is already present, with another value of '{key}'\n\
             help: change it with 'sysc update --set {key}=… {name}'"
        );
    }
    session.report.say(format_args!(
        "'{name}' is already present, from {}",
        info.image
    ));
    Ok(ExitCode::SUCCESS)
}

/// A container's files, the tree in a bundle, or a tree; the path without links, since a link to a
/// deployment is moved by updates.
fn rootfs(path: &Path, session: &Session) -> anyhow::Result<PathBuf> {
    let of_container = path
        .to_str()
        .and_then(|name| ContainerName::parse(name).ok())
        .map(|name| session.deployments.current(&name))
        .transpose()?
        .flatten()
        .map(|container| container.dir);
    let given = of_container.as_deref().unwrap_or(path);
    let tree = [given.join("rootfs"), given.to_owned()]
        .into_iter()
        .find(|dir| dir.join("usr").is_dir() || dir.ends_with("rootfs") && dir.is_dir());
    let cannot = || {
        format!(
            "'{}' is neither a container nor a root file system\n\
             help: --rootfs wants a directory with 'usr' or 'rootfs' in it, or a name that \
             'sysc list' shows",
            path.display()
        )
    };
    let tree = tree.with_context(cannot)?;
    tree.canonicalize().with_context(cannot)
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

/// The commit point, and the projection that follows from it.
fn switch(
    deployment: &Deployment,
    name: &ContainerName,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<()> {
    let done = projection::choose(&session.site(access), deployment, Why::Install)
        .with_context(|| format!("cannot install '{name}' on this host"))?;
    session.tell_changes(&done.changes);
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
            projection::carry_on(&session.site(access), name)?;
            Ok(access.clean(session)?)
        });
    match undone {
        Ok(kept) => {
            session.tell_kept(kept);
            error
        }
        Err(second) => error.context(format!("not everything could be taken back ({second:#})")),
    }
}
