//! Our side of the clone.
//!
//! In: a [`Request`]. Out: first a [`Prepared`] one, of which nothing is made; then a [`Waiting`]
//! container, set up and recorded, whose payload is held before its exec. This room sees the host and
//! never a path inside the container. Whatever fails here is undone here: no process, cgroup or record
//! is left.

mod birth;
mod clear;
mod console;
mod handles;
mod handover;
mod host_mounts;
#[expect(
    clippy::disallowed_methods,
    reason = "newuidmap and newgidmap alone may map a user's ranges"
)]
mod idmap;
mod join;
mod listener;
mod netdevices;
mod power_off;
mod raw_mode;
mod relay;
mod rungs;
mod sources;
mod wait;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::ladder::HostEnd;
use crate::manager::{Manager, Ready};
use crate::record::{self, Id, Registry, State};
use crate::sys::clone::Child;
use crate::sys::process::{End, pidfd_send_signal, wait as wait_for};
use crate::{bundle, cgroup, facts, hooks, manager, plan, resctrl};

pub use clear::{end, end_and_forget, is_ending};
pub use console::{Console, Terminal};
pub use handles::Handles;
pub use join::{Guest, Visit, join};
pub use power_off::power_off;
pub use wait::supervise;

/// Why no container was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle is no good.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// The configuration cannot be honoured here.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The record.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The cgroup.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// It would be ended with the other.
    #[error(
        "cgroup '{path}' is that of container '{other}'\nhelp: give another linux.cgroupsPath, or \
         delete that container"
    )]
    Taken {
        /// From the root of the hierarchy.
        path: PathBuf,
        /// Who has it.
        other: String,
    },
    /// The class of service.
    #[error(transparent)]
    Resctrl(#[from] resctrl::Error),
    /// systemd.
    #[error(transparent)]
    Manager(#[from] manager::Error),
    /// A hook.
    #[error(transparent)]
    Hook(#[from] hooks::Error),
    /// A step on the host's side.
    #[error("cannot {what}")]
    Step {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Nobody listens for the filter.
    #[error("failed to connect with seccomp agent at linux.seccomp.listenerPath '{path}'")]
    Agent {
        /// The socket.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Flags or fields that contradict each other.
    #[error("{0}")]
    Usage(&'static str),
    /// What the child said.
    #[error("{0}")]
    Inside(String),
    /// The child went away without a word.
    #[error("the container's first process ended during set-up ({}){}", .0, crate::advice::ended(.0))]
    Died(String),
}

/// What a container is made from.
#[derive(Debug)]
pub struct Request {
    /// Its name.
    pub id: Id,
    /// The directory with config.json.
    pub bundle: PathBuf,
    /// Who starts it.
    pub start: StartedBy,
    /// systemd, if we are a service of its that is to become the container.
    pub manager: Option<Manager>,
    /// How the caller gets hold of it.
    pub handles: Handles,
    /// Where its terminal goes.
    pub console_socket: Option<PathBuf>,
    /// What the command line adds.
    pub wishes: plan::Wishes,
    /// System call filters that were compiled before.
    pub filters: plan::Filters,
    /// Descriptors for the payload.
    pub passed: crate::inside::Passed,
}

impl Request {
    /// Whether the container will be the service, in our place.
    fn is_handed_over(&self) -> bool {
        self.manager.is_some() && self.start == StartedBy::UsAndLeave
    }
}

/// Who starts the payload, and who stays with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedBy {
    /// This process, which then waits for it.
    UsInForeground,
    /// This process, which then leaves.
    UsAndLeave,
    /// A later `start`.
    Command,
}

/// A container that is set up and recorded; only the order to start is missing.
#[derive(Debug)]
pub struct Waiting {
    /// Its first process.
    pub child: Child,
    /// What was recorded.
    pub state: State,
    /// Its terminal, when that is ours to serve.
    pub terminal: Option<Terminal>,
    /// Who waits for it from now on.
    pub start: StartedBy,
    /// systemd, if we are a service of its.
    manager: Option<Manager>,
    ladder: HostEnd,
}

/// A container that is understood, and nothing of it made.
#[derive(Debug)]
pub struct Prepared {
    request: Request,
    bundle: bundle::Bundle,
    plan: plan::Plan,
}

/// Decides what will be done.
pub fn prepare(registry: &Registry, mut request: Request) -> Result<Prepared, Error> {
    let mut bundle = bundle::read(&request.bundle)?;
    request.start = who_stays(&request, &bundle);
    manager::add_credentials(&mut bundle)?;
    if let Some(manager) = &request.manager
        && manager.ready == Ready::Payload
    {
        manager::add_socket(&mut bundle, &registry.notify_socket(&request.id))?;
        request.passed.watchdog = manager::watchdog();
    }
    let facts = facts::Facts::read();
    let mut plan = plan::plan(
        &bundle,
        &facts,
        request.id.as_str(),
        request.wishes,
        &request.filters,
    )?;
    if request.wishes.rootless.unwrap_or(facts.rootless) {
        settle(&mut plan)?;
    }
    if plan.namespaces.can_join_last() && facts::proc_takes_namespace() {
        plan.join_pids_last();
    }
    if request.start != StartedBy::Command && plan.payload.program.args.is_empty() {
        let nothing = "'process' is missing from config.json: there is nothing to run";
        return Err(Error::Usage(nothing));
    }
    Ok(Prepared {
        request,
        bundle,
        plan,
    })
}

impl Prepared {
    /// What the user is to be told, also if it fails.
    pub fn remarks(&self) -> &[plan::Remark] {
        &self.plan.payload.remarks
    }
}

/// Makes a container up to the point where the payload could be executed.
pub fn create(registry: &Registry, prepared: Prepared) -> Result<Waiting, Error> {
    let Prepared {
        request,
        bundle,
        plan,
    } = prepared;
    let detached = request.start != StartedBy::UsInForeground;
    let socket = request.console_socket.as_deref();
    let console = Console::choose(&plan.payload.program, detached, socket)?;
    let claim = registry.claim(&request.id)?;
    clear::make_way(&claim)?;
    let made = host_mounts::make(&plan.root).and_then(|bound| {
        birth::give(&bundle, &plan, &request, console, &claim).inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = host_mounts::remove(&plan.root.path, bound);
        })
    });
    match made {
        Ok(mut waiting) => {
            claim.release()?;
            waiting.manager = request.manager;
            Ok(waiting)
        }
        Err(error) => {
            // The first failure is the one to tell; that the record could not be removed would show
            // at the next start, which clears it. What systemd's `delete` shall find stays.
            if !request.is_handed_over() {
                let _ = claim.remove();
            }
            Err(error)
        }
    }
}

/// Where systemd would watch us, nobody need: the container can be the service. Not one whose terminal
/// we serve, nor where we can make no brother. Then we stay, whatever the command line says: to leave
/// would end the service.
fn who_stays(request: &Request, bundle: &bundle::Bundle) -> StartedBy {
    let has_terminal = bundle.process.terminal().unwrap_or(false);
    let is_served = has_terminal && request.console_socket.is_none();
    match (&request.manager, request.start) {
        (None, start) | (_, start @ StartedBy::Command) => start,
        _ if is_served || !Manager::takes_over() => StartedBy::UsInForeground,
        _ => StartedBy::UsAndLeave,
    }
}

/// A user's container gets a cgroup of its own where the user may make one, and else stays; but what
/// was to be limited must be.
fn settle(plan: &mut plan::Plan) -> Result<(), Error> {
    // A scope is made by systemd, which may do it.
    if let plan::Cgroup::Own(own) = &plan.cgroup
        && let plan::Place::Path(path) = &own.place
        && !cgroup::may_make(path)
    {
        plan.cgroup = plan.cgroup.without_permission()?;
    }
    Ok(())
}

impl Waiting {
    /// Lets the payload begin, and returns once it has: its exec is done.
    pub fn start(&self) -> Result<(), Error> {
        rungs::release(&self.ladder)?;
        if let Some(manager) = &self.manager
            && !self.is_handed_over()
        {
            manager.be_ready()?;
        }
        let text = self
            .state
            .for_hooks()
            .text("running", Some(self.child.pid.as_raw()));
        Ok(hooks::run("poststart", Some(&self.state.poststart), &text)?)
    }

    /// Whether it is the service in our place: systemd waits for it, and cleans up.
    pub fn is_handed_over(&self) -> bool {
        self.manager.is_some() && self.start == StartedBy::UsAndLeave
    }

    /// Leaves it waiting until this process ends: with its own end systemd would end us, too.
    pub fn keep(self) {
        self.ladder.keep();
    }

    /// Ends the first process, if it has not ended already, and waits for it.
    pub fn kill(&self) -> Option<End> {
        kill_child(&self.child)
    }
}

/// A child of ours is killed and reaped; the only failure is that this was done before.
fn kill_child(child: &Child) -> Option<End> {
    let _ = pidfd_send_signal(&child.pidfd, libc::SIGKILL);
    wait_for(&child.pidfd).ok()
}

fn step(what: impl Into<String>, cause: impl Into<std::io::Error>) -> Error {
    Error::Step {
        what: what.into(),
        source: cause.into(),
    }
}

/// What the child may hold besides its plan: nothing of these is a host path.
struct Ends {
    ladder: crate::ladder::ChildEnd,
    console: Option<OwnedFd>,
    sources: Option<crate::ladder::ChildEnd>,
    gate: crate::inside::StartGate,
    herald: Option<OwnedFd>,
}

/// An error and its causes in one sentence.
fn sentence(error: &Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        sentence = format!("{sentence}: {error}");
        cause = error.source();
    }
    sentence
}
