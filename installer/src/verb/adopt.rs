//! `sysc adopt`: the containers that atomic left on this host become ours, where they are.
//!
//! One whose service runs is left alone, unit and runtime too: a unit of ours would stop what
//! another runtime started. It is taken over when it does not run, at the latest at the next boot.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::building;
use super::rendering::{self, Generation};
use super::session::{HostAccess, Session, require_root};
use crate::cli::Adopt;
use crate::deployment::{self, AtomicContainer, Deployment, Setup, make_current};
use crate::durable;
use crate::exports::{About, Exports, FORCED, LocalRoot, Origin};
use crate::image::{Digest, Image};
use crate::interrupt;
use crate::projection::{self, Ledger};
use crate::store::Tree;

/// Some still run.
const UNFINISHED: u8 = 3;

/// Values of the host that atomic recorded as if somebody had set them.
const OF_THE_HOST: [&str; 4] = ["ALL_PROCESS_CAPABILITIES", "ATOMIC", "PIDFILE", "RUNTIME"];

const BOOT_UNIT: &str = include_str!("../../../unit-templates/sysc-adopt.service");
const BOOT_UNIT_NAME: &str = "sysc-adopt.service";

pub(super) fn run(options: &Adopt, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("adopt")?;
    let mut found = deployment::atomics(&session.deployments)?;
    if let Some(name) = options
        .names
        .iter()
        .find(|name| !found.iter().any(|one| one.name.as_str() == *name))
    {
        bail!("there is no container '{name}' of atomic's\nhelp: without a name, all are adopted");
    }
    found.retain(|one| options.names.is_empty() || options.names.contains(&one.name.to_string()));
    let access = session.change_host()?;
    let mut waiting = Vec::new();
    for container in &found {
        let unit = format!("{}.service", container.name);
        if access.systemd.is_running(&unit)? {
            waiting.push(container.name.to_string());
            continue;
        }
        adopt(container, session, &access)
            .with_context(|| format!("cannot adopt '{}'", container.name))?;
    }
    settle(&waiting, session, &access)?;
    Ok(match waiting.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(UNFINISHED),
    })
}

fn adopt(
    container: &AtomicContainer,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<()> {
    let report = session.report;
    let (name, atomic) = (&container.name, &container.info);
    let rootfs = container.dir.join("rootfs");
    let image = image(atomic)?;
    let exports = Exports::read(&LocalRoot::open(&rootfs)?)?;
    let (user_values, dropped) = values(atomic, &About::of(&exports, &image.config)?);

    let guard = interrupt::guard()?;
    let generation = Generation {
        name,
        image: &image,
        user_values,
        typed: Default::default(),
        setup: Setup {
            rootfs: Some(rootfs),
            ..Setup::default()
        },
        once: false,
        root: None,
        former: None,
        serial: building::take_serial(name, session, access)?,
        slot: container.dir.clone(),
    };
    let rendered = rendering::render(&generation, &Tree::empty(), &access.store, session)?;
    for warning in &rendered.warnings {
        report.warn(warning);
    }
    let commit = atomic.ostree_commit.clone().unwrap_or_default();
    let mut info = building::info(&generation, &rendered, commit)?;
    info.setup = Setup::default();
    let unit = rendered
        .unit
        .as_deref()
        .filter(|_| atomic.has_container_service);
    info.has_container_service = unit.is_some();
    write_ledger(container, info.serial, session, access)?;
    let adopted = deployment::take_over(&container.dir, unit, &rendered.host_files, info)?;
    make_current(&session.deployments, &adopted)?;
    let done = projection::carry_on(&session.site(access), name)?;
    drop(guard);

    session.tell_changes(&done.changes);
    report.say(format_args!(
        "adopted '{name}', from {}; an update asks the registry for that name",
        atomic.image
    ));
    if !dropped.is_empty() {
        report.say(format_args!(
            "  values that are the host's or the image's: {}",
            dropped.join(", ")
        ));
    }
    for old in older_slots(&adopted) {
        report.say(format_args!(
            "  left, and of no use any more: '{}'",
            old.display()
        ));
    }
    Ok(())
}

/// What is known of the image. Its own configuration is not: config.json stays as atomic made it.
fn image(atomic: &deployment::AtomicInfo) -> anyhow::Result<Image> {
    let revision = atomic.revision.as_deref().unwrap_or_default();
    let digest = Digest::from_hex(revision)
        .or_else(|_| Digest::parse(revision))
        .context("its record names no image id")?;
    Ok(Image {
        name: atomic.image.clone(),
        source: atomic.image.clone(),
        digest,
        manifest: Vec::new(),
        config: br#"{"config": {"Cmd": ["run.sh"]}}"#.to_vec(),
        layers: Vec::new(),
    })
}

/// What the user had set, and the names of the rest: atomic recorded every value, and one of its
/// own would win over ours (a unit would call a runtime that may be gone).
fn values(
    atomic: &deployment::AtomicInfo,
    about: &About,
) -> (BTreeMap<String, String>, Vec<String>) {
    let usual = |name: &str, value: &str| {
        matches!(
            (name, value),
            ("RUN_DIRECTORY", "/run")
                | ("STATE_DIRECTORY", "/var/lib")
                | ("CONF_DIRECTORY", "/etc")
        )
    };
    let default = |name: &str, value: &str| {
        let same = Origin::Default(value.to_owned());
        about
            .variables
            .iter()
            .any(|one| one.name == name && one.origin == same)
    };
    let (mut kept, mut dropped) = (BTreeMap::new(), Vec::new());
    for (name, value) in &atomic.values {
        if FORCED.contains(&name.as_str()) || OF_THE_HOST.contains(&name.as_str()) {
            dropped.push(name.clone());
        } else if !usual(name, value) && !default(name, value) {
            kept.insert(name.clone(), value.clone());
        }
    }
    (kept, dropped)
}

/// What atomic wrote on the host is taken for ours, as far as nobody has changed it since.
fn write_ledger(
    container: &AtomicContainer,
    serial: u64,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<()> {
    let name = container.name.as_str();
    let mut ledger = Ledger::new(name, serial);
    let checksums = &container.info.installed_files_checksum;
    ledger.files = checksums
        .iter()
        .map(|(path, sha256)| (path.clone(), Some(sha256.clone())))
        .collect();
    for path in [session.places.unit(name), session.places.tmpfile(name)] {
        if let Ok(content) = std::fs::read(&path) {
            ledger
                .files
                .insert(path.clone(), Some(Digest::of(&content).hex().to_owned()));
            ledger.own.insert(path);
        }
    }
    if container.info.has_container_service {
        let unit = format!("{name}.service");
        ledger.enabled = access.systemd.is_enabled(&unit);
        ledger.unit = Some(unit);
    }
    ledger.write(&session.places.storage())?;
    Ok(())
}

/// Deployments that atomic kept for a rollback.
fn older_slots(adopted: &Deployment) -> Vec<std::path::PathBuf> {
    let Some(parent) = adopted.dir.parent() else {
        return Vec::new();
    };
    [0, 1]
        .map(|number| parent.join(format!("{}.{number}", adopted.info.name)))
        .into_iter()
        .filter(|dir| *dir != adopted.dir && dir.join("info").exists())
        .collect()
}

/// The unit that finishes at the next boot is there for as long as something waits for it.
fn settle(waiting: &[String], session: &Session, access: &HostAccess) -> anyhow::Result<()> {
    let path = session.places.units.join(BOOT_UNIT_NAME);
    if waiting.is_empty() {
        if path.exists() {
            access.systemd.disable(BOOT_UNIT_NAME)?;
            durable::remove(&path)
                .with_context(|| format!("cannot remove '{}'", path.display()))?;
            access.systemd.reload()?;
        }
        return Ok(());
    }
    for name in waiting {
        session.report.say(format_args!(
            "'{name}' runs, and is left alone: it is adopted at the next boot, or by \
             'systemctl stop {name} && sysc adopt && systemctl start {name}'"
        ));
    }
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let units: Vec<String> = waiting
        .iter()
        .map(|name| format!("{name}.service"))
        .collect();
    let text = BOOT_UNIT
        .replace("$WAITING", &units.join(" "))
        .replace("$SYSC", &program.to_string_lossy());
    write_unit(&path, &text)?;
    access.systemd.reload()?;
    access.systemd.enable(BOOT_UNIT_NAME)?;
    Ok(())
}

fn write_unit(path: &Path, text: &str) -> anyhow::Result<()> {
    durable::replace(path, text.as_bytes(), 0o644)
        .with_context(|| format!("cannot write '{}'", path.display()))
}
