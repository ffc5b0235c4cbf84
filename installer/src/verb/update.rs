//! `sysc update`: the next generation, made beside the current one and then chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::building;
use super::choosing::{self, Outcome};
use super::pull::Wanted;
use super::rendering::Generation;
use super::session::{HostAccess, Session, current, require_root};
use super::values;
use crate::cli::{Source, Update};
use crate::deployment::{ContainerName, Deployment, Journal, Move, PREINSTALLED, State, Why};
use crate::image::Image;
use crate::interrupt;
use crate::projection;

pub(super) fn run(options: &Update, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("update")?;
    let access = session.change_host()?;
    if !options.all {
        let mut worst = Outcome::Done;
        for name in &options.names {
            let name = ContainerName::parse(name)?;
            let journal = Journal::open(&session.places.storage(), &name)?;
            if journal.hold {
                bail!(
                    "'{name}' is held\nhelp: 'sysc hold --release {name}' lets it be updated again"
                );
            }
            let outcome = update(&name, options, session, &access)
                .with_context(|| format!("cannot update '{name}'"))?;
            worst = worst.max(outcome);
        }
        return Ok(worst.exit_code());
    }
    update_all(options, session, &access)
}

/// Goes on after a failure, and says at the end which there were.
fn update_all(
    options: &Update,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<ExitCode> {
    let mut failed = Vec::new();
    let mut worst = Outcome::Done;
    for (name, _) in session.deployments.containers()? {
        if Journal::open(&session.places.storage(), &name)?.hold {
            session.report.say(format_args!("'{name}' is held"));
            continue;
        }
        match update(&name, options, session, access) {
            Ok(outcome) => worst = worst.max(outcome),
            Err(error) if error.is::<interrupt::Interrupted>() => return Err(error),
            Err(error) => failed.push(format!("'{name}': {error:#}")),
        }
    }
    match failed.len() {
        0 => Ok(worst.exit_code()),
        count => bail!("{count} could not be updated:\n{}", failed.join("\n")),
    }
}

fn update(
    name: &ContainerName,
    options: &Update,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<Outcome> {
    let current = current(name, session)?;
    session.runtime()?;
    let source = Source {
        login: options.login.clone(),
        image: options
            .rebase
            .clone()
            .unwrap_or_else(|| current.info.source.clone()),
    };
    let given = values::given(&options.values)?;
    let image = match (options.offline, &options.rebase) {
        (true, None) => stored(&current, access)?,
        (true, Some(_)) => Wanted::find(&source)?.bring(&access.store, session.report)?,
        (false, _) => Wanted::find(&source)?.fetch(&access.store, session.report)?,
    };
    let mut user_values = current.info.user_values.clone();
    user_values.extend(given.clone());

    let same = |found: &Deployment| {
        found.info.revision == image.digest.hex()
            && found.info.image == image.name
            && found.info.user_values == user_values
    };
    if same(&current) {
        forget_staged(name, session, access)?;
        session
            .report
            .say(format_args!("'{name}': Latest version already installed."));
        return Ok(Outcome::Done);
    }
    let guard = interrupt::guard()?;
    let staged = choosing::staged(name, session)?.filter(same);
    let next = match staged {
        Some(staged) => staged,
        None => {
            let order = Order {
                current: &current,
                image: &image,
                user_values,
                typed: values::typed(&options.values, &given),
                stage: options.stage,
            };
            make(order, session, access)?
        }
    };
    let outcome = if options.stage {
        stage(&current, &next, session, access)
    } else {
        instead_of_preinstalled(&current, &next, session, access)
            .unwrap_or_else(|| choosing::choose(&next, Why::Update, session, access))
    };
    drop(guard);
    outcome
}

/// The first generation beside one that came with the host. `None`: it does not follow such a one.
fn instead_of_preinstalled(
    current: &Deployment,
    next: &Deployment,
    session: &Session,
    access: &HostAccess,
) -> Option<anyhow::Result<Outcome>> {
    if current.info.serial != PREINSTALLED {
        return None;
    }
    let unit = format!("{}.service", current.info.name);
    let switch = || {
        let running = access.systemd.is_running(&unit)?;
        let enabled = access.systemd.is_enabled(&unit);
        let outcome = choosing::choose(next, Why::Update, session, access)?;
        if !enabled {
            access.systemd.disable(&unit)?;
        }
        if running {
            access.systemd.restart(&unit)?;
        }
        Ok(outcome)
    };
    Some(switch())
}

/// The image of that name as the repository has it now.
fn stored(current: &Deployment, access: &HostAccess) -> anyhow::Result<Image> {
    let name = &current.info.image;
    let stored = access.store.image(name)?.with_context(|| {
        format!(
            "the image '{name}' is not in the repository\nhelp: fetch it with 'sysc pull {name}'"
        )
    })?;
    Ok(stored.image)
}

/// What the next generation is made of.
struct Order<'a> {
    current: &'a Deployment,
    image: &'a Image,
    user_values: BTreeMap<String, String>,
    typed: BTreeSet<String>,
    stage: bool,
}

/// Builds the next generation, in the place of the oldest one that gives way to it. What is only
/// staged takes nothing away yet.
fn make(order: Order, session: &Session, access: &HostAccess) -> anyhow::Result<Deployment> {
    let name = ContainerName::parse(&order.current.info.name)?;
    let gives_way = if order.stage {
        Vec::new()
    } else {
        projection::evictable(&session.site(access), &name)?
    };
    let slot = match gives_way.first() {
        Some(oldest) => oldest.dir.clone(),
        None => session.deployments.free_slot(&name),
    };
    let generation = Generation {
        name: &name,
        image: order.image,
        user_values: order.user_values,
        setup: order.current.info.setup.clone(),
        serial: building::take_serial(&name, session, access)?,
        slot,
        former: Some(order.current),
        typed: order.typed,
        once: false,
        root: None,
    };
    building::build(&generation, &gives_way, session, access)
}

fn stage(
    current: &Deployment,
    next: &Deployment,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<Outcome> {
    let name = ContainerName::parse(&current.info.name)?;
    let storage = session.places.storage();
    let mut journal = Journal::open(&storage, &name)?;
    State::observe(Some(current.info.serial), Some(&journal), true)
        .after(Move::Stage(next.info.serial))?;
    journal.staged = Some(next.info.serial);
    journal.write(&storage)?;
    session.tell_kept(access.clean(session)?);
    session.report.say(format_args!(
        "staged generation {} of '{name}' from {}; 'sysc switch' or the next boot starts it",
        next.info.serial, next.info.image
    ));
    Ok(Outcome::Done)
}

/// What was staged is older than what is wanted now.
fn forget_staged(
    name: &ContainerName,
    session: &Session,
    access: &HostAccess,
) -> anyhow::Result<()> {
    let storage = session.places.storage();
    let mut journal = Journal::open(&storage, name)?;
    if journal.staged.take().is_some() {
        journal.write(&storage)?;
        session.tell_kept(access.clean(session)?);
    }
    Ok(())
}
