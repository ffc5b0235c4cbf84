//! What every verb starts from, and the conditions under which one may change something.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::deployment::{
    self, Brief, Container, ContainerName, Deployment, Deployments, Journal, Lock,
};
use crate::host::{self, Happened, Systemd};
use crate::places::Places;
use crate::projection::{self, Change, Recovered, Site};
use crate::report::Report;
use crate::settings::{self, Settings};
use crate::store::Store;

/// The settings and places of this call.
pub(super) struct Session<'a> {
    pub settings: Settings,
    pub places: Places,
    pub deployments: Deployments,
    pub report: &'a Report,
}

/// The right to change the store: the lock is held, the repository open.
pub(super) struct StoreAccess {
    pub store: Store,
    lock: Option<Lock>,
}

/// The right to change the host: what an earlier command left unfinished is finished.
pub(super) struct HostAccess {
    pub store: Store,
    pub systemd: Systemd,
    /// Recovery found nothing that it could not put right.
    whole: bool,
    _store_access: StoreAccess,
}

impl HostAccess {
    /// Every container is as it should be.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Removes what no container needs any more.
    pub fn clean(&self, session: &Session) -> Result<Vec<deployment::Error>, projection::Error> {
        projection::clean(&session.site(self), &self.store)
    }
}

/// A repository that was made for nothing goes again, and so do the folders around it. Only
/// tidying: one that stays does no harm.
impl Drop for StoreAccess {
    fn drop(&mut self) {
        self.store.remove_if_unused();
        if let Some(lock) = self.lock.take() {
            lock.remove_if_alone();
        }
    }
}

impl<'a> Session<'a> {
    pub fn open(report: &'a Report) -> anyhow::Result<Self> {
        let settings = Settings::read(Path::new(settings::FILE), &|name| std::env::var_os(name))?;
        let places = Places::system(&settings);
        let deployments = Deployments::new(&places.deployments);
        Ok(Self {
            settings,
            places,
            deployments,
            report,
        })
    }

    /// For verbs that only read: the repository, where there is one already.
    pub fn look_into_store(&self) -> anyhow::Result<Option<Store>> {
        for repository in self.places.repositories() {
            if let Some(store) = Store::open_existing(&repository)? {
                return Ok(Some(store));
            }
        }
        Ok(None)
    }

    /// For verbs that write to the repository alone.
    pub fn change_store(&self) -> anyhow::Result<StoreAccess> {
        let lock = self.lock()?;
        match self.open_store() {
            Ok(store) => Ok(StoreAccess {
                store,
                lock: Some(lock),
            }),
            Err(error) => {
                lock.remove_if_alone();
                Err(error)
            }
        }
    }

    /// For verbs that change the host.
    pub fn change_host(&self) -> anyhow::Result<HostAccess> {
        self.enter(|_, _| Ok(()))
    }

    /// For the unit that runs while a host boots.
    pub fn change_host_at_boot(&self) -> anyhow::Result<HostAccess> {
        self.enter(projection::boot)
    }

    fn enter(
        &self,
        more: impl FnOnce(&Site, &mut Recovered) -> Result<(), projection::Error>,
    ) -> anyhow::Result<HostAccess> {
        let systemd = Systemd::connect()?;
        let store_access = self.change_store()?;
        let mut access = HostAccess {
            store: store_access.store.clone(),
            systemd,
            whole: false,
            _store_access: store_access,
        };
        let site = self.site(&access);
        let recovered = projection::recover(&site, &access.store).and_then(|mut recovered| {
            more(&site, &mut recovered)?;
            Ok(recovered)
        });
        let recovered = recovered.context("cannot finish what an earlier command left")?;
        access.whole = recovered.failed.is_empty();
        self.tell(recovered);
        Ok(access)
    }

    /// Where projections are made.
    pub fn site<'b>(&'b self, access: &'b HostAccess) -> Site<'b> {
        Site {
            places: &self.places,
            systemd: &access.systemd,
            keep: self.settings.generations,
        }
    }

    /// What recovery did, and what it could not do.
    pub fn tell(&self, recovered: Recovered) {
        for (name, changes) in recovered.projected {
            let message = format!("finished what an earlier command left of '{name}'");
            host::note(Happened::Finished, name.as_ref(), &message, &[]);
            self.report.note(message);
            self.tell_changes(&changes);
        }
        for (name, error) in recovered.failed {
            let error = anyhow::Error::new(error);
            self.report
                .warn(format_args!("'{name}' is not as it should be: {error:#}"));
        }
        self.tell_kept(recovered.kept);
    }

    /// What came of a command, for the user and for the journal.
    pub fn tell_done(&self, what: Happened, name: &str, message: &str, details: &[(&str, &str)]) {
        self.report.say(message);
        host::note(what, name, message, details);
    }

    /// What was found to be somebody else's.
    pub fn tell_changes(&self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.is_noteworthy()) {
            self.report.warn(change);
        }
    }

    /// What could not be removed yet.
    pub fn tell_kept(&self, kept: Vec<deployment::Error>) {
        for error in kept {
            match error {
                // That is as it should be, and ends by itself.
                deployment::Error::InUse { .. } => self.report.note(error),
                error => self.report.warn(error),
            }
        }
    }

    /// The runtime that units call: the configured one, or the one beside this program.
    pub fn runtime(&self) -> anyhow::Result<PathBuf> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let runtime = match &self.settings.runtime {
            Some(runtime) => runtime.clone(),
            None => program.with_file_name("sysc-runtime"),
        };
        if !runtime.is_file() {
            bail!(
                "the runtime '{}' is not installed\n\
                 help: install sysc-runtime beside sysc, or set 'runtime' in {}",
                runtime.display(),
                settings::FILE
            );
        }
        Ok(runtime)
    }

    fn lock(&self) -> anyhow::Result<Lock> {
        let waiting = || {
            self.report
                .note("another sysc is at work; waiting for it to end")
        };
        Ok(Lock::acquire(&self.places.storage(), waiting)?)
    }

    /// The first of the possible repositories whose files can be linked to the deployments.
    fn open_store(&self) -> anyhow::Result<Store> {
        let mut failure = None;
        for repository in self.places.repositories() {
            match Store::open(&repository, self.deployments.dir()) {
                Ok(store) => return Ok(store),
                Err(error) => failure = Some(failure.unwrap_or(error)),
            }
        }
        Err(failure.map_or_else(
            || anyhow::anyhow!("no repository is configured"),
            Into::into,
        ))
    }
}

/// Said first, before anything else can fail for want of permission.
pub(super) fn require_root(verb: &str) -> anyhow::Result<()> {
    if host::is_root() {
        return Ok(());
    }
    bail!(
        "'sysc {verb}' changes the system and needs root\nhelp: call it as root, for example with sudo"
    )
}

/// What everybody may know of a container, and its deployment where that can be read. Others than
/// root, and anybody where a record is damaged, are told what the journal says.
pub(super) fn brief(
    name: &ContainerName,
    current: Result<Deployment, deployment::Error>,
    session: &Session,
) -> anyhow::Result<(Brief, Option<Deployment>)> {
    let unreadable = match current {
        Ok(current) => return Ok((Brief::of(&current.info, &current.dir), Some(current))),
        Err(error) => error,
    };
    let journal = Journal::read(&session.places.storage(), name)?;
    let last = journal.and_then(|mut journal| journal.events.pop());
    match last {
        Some(event) => {
            if host::is_root() {
                session.report.warn(unreadable);
            }
            Ok((event.generation, None))
        }
        None => Err(unreadable.into()),
    }
}

/// The deployment of `name` that counts: its own current one, or the one that came with the host.
pub(super) fn present(
    name: &ContainerName,
    session: &Session,
) -> Result<Option<Deployment>, deployment::Error> {
    match session.deployments.current(name)? {
        Some(current) => Ok(Some(current)),
        None => deployment::preinstalled(&session.places.vendor, name),
    }
}

/// All containers by name, with those that came with the host and that none stands in for.
pub(super) fn containers(session: &Session) -> anyhow::Result<Vec<Container>> {
    let mut all = session.deployments.containers()?;
    for name in deployment::preinstalled_names(&session.places.vendor) {
        if all.iter().any(|(own, _)| *own == name) {
            continue;
        }
        let found = deployment::preinstalled(&session.places.vendor, &name);
        all.extend(found.transpose().map(|found| (name, found)));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// The deployment of `name` that counts, which must be there.
pub(super) fn current(name: &ContainerName, session: &Session) -> anyhow::Result<Deployment> {
    present(name, session)?.ok_or_else(|| no_container(name))
}

/// A name that nothing is installed under.
pub(super) fn no_container(name: &ContainerName) -> anyhow::Error {
    anyhow::anyhow!("there is no container '{name}'\nhelp: 'sysc list' shows those that there are")
}
