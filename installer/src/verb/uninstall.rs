//! `sysc uninstall`: the link goes first, then every trace that projecting left.

use std::process::ExitCode;

use anyhow::{Context, bail};

use super::session::{Session, no_container, require_root};
use crate::cli::Uninstall;
use crate::deployment::{self, ContainerName, Deployment, drop_current};
use crate::host::Happened;
use crate::interrupt;
use crate::projection::{self, Ledger};

pub(super) fn run(options: &Uninstall, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("uninstall")?;
    let name = ContainerName::parse(&options.name)?;
    let vendor = deployment::preinstalled(&session.places.vendor, &name)?;
    if vendor.is_some() && session.deployments.current(&name)?.is_none() {
        bail!(
            "'{name}' is preinstalled: it came with the host, and goes with it\n\
             help: 'systemctl disable --now {name}' keeps it from running"
        );
    }
    // Asking for the right to change a host makes a store, which one without any shall not get.
    if !session.places.storage().exists() {
        return Err(no_container(&name));
    }
    refuse_while_shared(&name, session)?;
    let access = session.change_host()?;
    let guard = interrupt::guard()?;
    let unit = format!("{name}.service");
    let enabled = vendor.is_some() && access.systemd.is_enabled(&unit);
    let running = vendor.is_some() && access.systemd.is_running(&unit)?;
    let dropped = drop_current(&session.deployments, &name)?;
    // A ledger without a deployment: an uninstall that failed half-way, called again.
    if !dropped && Ledger::read(&session.places.storage(), name.as_str())?.is_none() {
        return Err(no_container(&name));
    }
    let done = projection::carry_on(&session.site(&access), &name)
        .with_context(|| format!("'{name}' is not wholly uninstalled; call the same again"))?;
    session.tell_changes(&done.changes);
    session.tell_kept(access.clean(session)?);
    // What came with the host takes its place again.
    if enabled {
        access.systemd.enable(&unit)?;
    }
    if running {
        access.systemd.restart(&unit)?;
    }
    drop(guard);
    let message = format!("uninstalled '{name}'");
    session.tell_done(Happened::Uninstalled, name.as_str(), &message, &[]);
    Ok(ExitCode::SUCCESS)
}

/// Another container lives on this one's files (`--rootfs`).
fn refuse_while_shared(name: &ContainerName, session: &Session) -> anyhow::Result<()> {
    let Ok(Some(shared)) = session.deployments.current(name) else {
        return Ok(());
    };
    for (other, current) in session.deployments.containers()? {
        let uses = |found: &Deployment| {
            let rootfs = found.info.setup.rootfs.as_ref();
            rootfs.is_some_and(|rootfs| rootfs.starts_with(&shared.dir))
        };
        if current.as_ref().is_ok_and(uses) {
            bail!(
                "'{other}' was installed on the files of '{name}'\n\
                 help: uninstall '{other}' first"
            );
        }
    }
    Ok(())
}
