//! Choosing another generation, and the way from the choice to a host that follows it.
//!
//! [`choose`] writes the intent and renames the link; [`carry_on`] does the rest, and is the same
//! after a choice and after a crash. States and moves are drawn in [`crate::deployment::State`].

use std::time::{SystemTime, UNIX_EPOCH};

use super::project::project;
use super::stop::stops_otherwise;
use super::{Change, Error, Ledger};
use crate::deployment::{
    Brief, ContainerName, Deployment, Deployments, Intent, Journal, Move, State, Why, make_current,
};
use crate::host::{self, Systemd};
use crate::places::Places;

/// Where containers are and how many generations of each stay.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// Directories and files.
    pub places: &'a Places,
    /// The service manager.
    pub systemd: &'a Systemd,
    /// Generations of a container, with the current one.
    pub keep: usize,
}

/// What was done for a container.
#[derive(Debug, Default)]
pub struct Done {
    /// The changes on the host.
    pub changes: Vec<Change>,
    /// A switch that was begun was given up, or taken to its end.
    pub settled: bool,
    /// The generation that was taken back, and what was wrong with it.
    pub rejected: Option<(u64, String)>,
}

impl Done {
    /// There was something to do.
    pub fn did_anything(&self) -> bool {
        self.settled || !self.changes.is_empty()
    }
}

/// Makes `to` the current generation, lets the host follow, and restarts the service if it ran.
/// One that does not come up is taken back, once.
pub fn choose(site: &Site, to: &Deployment, why: Why) -> Result<Done, Error> {
    let name = ContainerName::parse(&to.info.name).map_err(crate::deployment::Error::from)?;
    let at = Standing::of(site, &name)?;
    let state = at.state.after(Move::Begin(to.info.serial))?;
    let unit = format!("{name}.service");
    let restart = at.current.is_some() && site.systemd.is_running(&unit).map_err(host_error)?;
    let mut journal = at.journal.unwrap_or_else(|| Journal::new(&name));
    // What else was staged is not what is wanted any more.
    journal.staged = journal.staged.filter(|staged| *staged == to.info.serial);
    journal.intent = Some(Intent {
        from: at.current.as_ref().map(|current| current.info.serial),
        to: to.info.serial,
        why,
        reason: None,
        restart,
        boot: host::boot_id(),
    });
    journal.write(&site.places.storage())?;
    if let Some(from) = at.current.filter(|_| restart)
        && stops_otherwise(&from, to)?
    {
        site.systemd.stop(&unit).map_err(host_error)?;
    }
    state.after(Move::Commit)?;
    make_current(&Deployments::new(&site.places.deployments), to)?;
    carry_on(site, &name)
}

/// Takes `name` from wherever it stands to where nothing is under way.
pub fn carry_on(site: &Site, name: &ContainerName) -> Result<Done, Error> {
    let at = Standing::of(site, name)?;
    match at.state {
        State::Absent => Ok(Done::default()),
        State::Settled { .. } | State::Staged { .. } => Ok(Done {
            changes: project(site, name)?,
            ..Done::default()
        }),
        State::Switching { to, .. } if at.is_going_back() => go_back(site, name, to),
        State::Switching { .. } => abandon(site, name, at),
        State::Committed { .. } => follow(site, name, at),
        State::Leaving => {
            let changes = project(site, name)?;
            at.state.after(Move::Forget)?;
            Journal::remove(&site.places.storage(), name)?;
            Ok(Done {
                changes,
                settled: true,
                ..Done::default()
            })
        }
    }
}

/// Where a container stands, and what says so.
struct Standing {
    state: State,
    current: Option<Deployment>,
    journal: Option<Journal>,
}

impl Standing {
    fn is_going_back(&self) -> bool {
        let intent = self
            .journal
            .as_ref()
            .and_then(|journal| journal.intent.as_ref());
        intent.is_some_and(|intent| intent.why == Why::Rejected)
    }

    fn of(site: &Site, name: &ContainerName) -> Result<Self, Error> {
        let storage = site.places.storage();
        let current = Deployments::new(&site.places.deployments).current(name)?;
        let journal = Journal::read(&storage, name)?;
        let ledger = Ledger::read(&storage, name.as_str())?.is_some();
        let serial = current.as_ref().map(|current| current.info.serial);
        Ok(Self {
            state: State::observe(serial, journal.as_ref(), ledger),
            current,
            journal,
        })
    }
}

/// The link was not renamed: what was current still is. If it was stopped, it is started again.
fn abandon(site: &Site, name: &ContainerName, at: Standing) -> Result<Done, Error> {
    let storage = site.places.storage();
    let changes = project(site, name)?;
    let mut journal = at.journal.unwrap_or_else(|| Journal::new(name));
    let intent = journal.intent.take();
    let mut started = Ok(());
    if at.state.after(Move::Abandon)? == State::Absent {
        Journal::remove(&storage, name)?;
    } else {
        if let Some(intent) = intent
            && runs_no_more(site, name, &intent)?
        {
            started = restart(site, name);
        }
        journal.write(&storage)?;
    }
    started.map(|()| Done {
        changes,
        settled: true,
        ..Done::default()
    })
}

/// The link was renamed: the host follows, and the service if it ran.
fn follow(site: &Site, name: &ContainerName, at: Standing) -> Result<Done, Error> {
    let (Some(current), Some(mut journal)) = (at.current, at.journal) else {
        return Ok(Done::default());
    };
    let Some(intent) = journal.intent.clone() else {
        return Ok(Done::default());
    };
    let projected = project(site, name);
    let (changes, outcome) = match projected {
        Ok(changes) => (changes, start_again(site, &current, &intent)),
        // The host is not what it should be: that is not the end of it, but for going back.
        Err(error) if intent.from.is_none() || intent.why == Why::Rejected => return Err(error),
        Err(error) => (Vec::new(), Err(Unfit::NotProjected(error))),
    };
    let mut done = Done {
        changes,
        settled: true,
        ..Done::default()
    };
    let generation = Brief::of(&current.info, &current.dir);
    match outcome {
        Err(unfit) if unfit.is_reason_to_go_back(&intent) => {
            at.state.after(Move::Reject)?;
            done.rejected = Some((current.info.serial, unfit.to_string()));
            journal.settle(generation, now());
            journal.intent = Some(Intent {
                from: Some(current.info.serial),
                to: intent.from.unwrap_or_default(),
                why: Why::Rejected,
                reason: Some(unfit.to_string()),
                ..intent
            });
            journal.write(&site.places.storage())?;
            done.changes.extend(carry_on(site, name)?.changes);
            Ok(done)
        }
        // What ran before still does: it is not over, and the next command goes on from here.
        Err(Unfit::NotStarted(error)) if still_up(site, name)? => Err(error),
        outcome => {
            at.state.after(Move::Settle)?;
            journal.settle(generation, now());
            journal.write(&site.places.storage())?;
            match outcome {
                Ok(()) => Ok(done),
                Err(Unfit::NotStarted(error) | Unfit::NotProjected(error)) => Err(error),
            }
        }
    }
}

/// A generation was found not to do, which was written down: the way back is gone to its end.
fn go_back(site: &Site, name: &ContainerName, to: u64) -> Result<Done, Error> {
    let deployments = Deployments::new(&site.places.deployments);
    let all = deployments.survey()?.deployments;
    let former = all
        .into_iter()
        .find(|found| found.info.name == name.as_str() && found.info.serial == to);
    let former = former.ok_or_else(|| Error::NothingBefore {
        name: name.to_string(),
    })?;
    make_current(&deployments, &former)?;
    carry_on(site, name)
}

/// Why a generation does not do.
enum Unfit {
    NotProjected(Error),
    NotStarted(Error),
}

impl Unfit {
    /// Whoever goes back by hand gets what was asked for, as long as the host takes it.
    fn is_reason_to_go_back(&self, intent: &Intent) -> bool {
        match self {
            Self::NotProjected(_) => true,
            Self::NotStarted(_) => intent.why.can_be_taken_back(),
        }
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, error) = match self {
            Self::NotProjected(error) => ("the host does not take it", error),
            Self::NotStarted(error) => ("the service does not start", error),
        };
        let causes =
            std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let last = causes
            .last()
            .map_or_else(|| error.to_string(), |cause| cause.to_string());
        write!(f, "{what}: {}", last.lines().next().unwrap_or_default())
    }
}

/// The service ran, in this boot: it runs again.
fn start_again(site: &Site, current: &Deployment, intent: &Intent) -> Result<(), Unfit> {
    let runs =
        intent.restart && intent.boot == host::boot_id() && current.info.has_container_service;
    let name = ContainerName::parse(&current.info.name);
    match name {
        Ok(name) if runs => restart(site, &name).map_err(Unfit::NotStarted),
        _ => Ok(()),
    }
}

/// It ran in this boot, and does no longer.
fn runs_no_more(site: &Site, name: &ContainerName, intent: &Intent) -> Result<bool, Error> {
    let unit = format!("{name}.service");
    Ok(intent.restart
        && intent.boot == host::boot_id()
        && !site.systemd.is_running(&unit).map_err(host_error)?)
}

/// The service is up, so that a restart that failed was none.
fn still_up(site: &Site, name: &ContainerName) -> Result<bool, Error> {
    let state = site.systemd.show(&format!("{name}.service"));
    Ok(state.map_err(host_error)?.get("ActiveState") == "active")
}

fn restart(site: &Site, name: &ContainerName) -> Result<(), Error> {
    let restarted = site.systemd.restart(&format!("{name}.service"));
    restarted.map_err(|source| Error::Host {
        change: format!("start '{name}'"),
        source,
    })
}

fn host_error(source: host::Error) -> Error {
    Error::Host {
        change: "ask or stop the service".to_owned(),
        source,
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
