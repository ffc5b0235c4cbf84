//! The container's side of the clone.
//!
//! In: a [`Task`] and the child's end of the ladder. Out: the payload, executed in this process; or
//! one sentence said up the ladder. Nothing here prints or logs: after the root is changed there is
//! nowhere to print to. What reads like a list below is the order that matters.

mod ahead;
mod beneath;
mod cgroups;
mod copy_up;
mod devices;
mod exec;
mod identity;
mod join;
mod labels;
mod limits;
mod mask;
mod mounts;
mod namespaces;
mod places;
mod proc;
mod root;
mod seccomp;
mod sources;
mod start;
mod sysctl;
mod terminal;
mod trees;

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sched::{CloneFlags, setns};
use nix::unistd::setsid;

use crate::hooks::{self, Place};
use crate::ladder::ChildEnd;
use crate::manager;
use crate::plan::{DEFAULT_UMASK, Payload, Plan};
use crate::record::HookState;
use crate::sys::clone::spawn;
use crate::sys::signals::end_well_on_request;

use seccomp::Moment;

pub use join::Target;
pub(crate) use limits::score_and_limit;
pub use start::StartGate;
pub(crate) use trees::clone_tree;

/// What stopped the child. The text goes up the ladder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A step that the kernel refused.
    #[error("cannot {what}: {why}")]
    Step {
        /// What was attempted, in the words of a sentence.
        what: String,
        /// The reason.
        why: String,
    },
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] hooks::Error),
    /// The parent is gone; there is nobody to tell.
    #[error("the runtime is gone")]
    Orphaned,
}

/// `what` was attempted and failed with `why`.
pub(crate) fn failed(what: impl Into<String>, why: impl std::fmt::Display) -> Error {
    Error::Step {
        what: what.into(),
        why: why.to_string(),
    }
}

/// What the child does before it becomes the payload.
#[derive(Debug)]
pub enum Task<'a> {
    /// Makes the container.
    Make {
        /// Which.
        plan: &'a Plan,
        /// The state that hooks inside the container read.
        state: &'a HookState,
    },
    /// Enters one that is there.
    Join {
        /// What for.
        payload: &'a Payload,
        /// Which.
        target: &'a Target,
    },
}

/// What the child has in its hands besides its task.
#[derive(Debug)]
pub struct Child {
    /// Its end of the ladder.
    pub ladder: ChildEnd,
    /// Where the terminal's master is sent.
    pub console: Option<OwnedFd>,
    /// Where sources come from that the host's side opens, if there are any.
    pub sources: Option<ChildEnd>,
    /// What releases the payload.
    pub gate: StartGate,
    /// What systemd is told by that the service is ready, if that is to be said here.
    pub herald: Option<OwnedFd>,
    /// Whether systemd watches us: with our end it would end our parent, too.
    pub is_service: bool,
    /// Descriptors that belong to the payload.
    pub passed: Passed,
    /// Whether the payload gets a session keyring of its own.
    pub session_keyring: bool,
    /// Whether it is the first of two, which makes the other where that belongs.
    pub goes_ahead: bool,
    /// Whether the host's side is not root. Then limits are set here, and until the maps are written
    /// we are dumpable: the files in /proc are the user's only so long.
    pub unprivileged: bool,
}

/// Descriptors from 3 upwards that go through to the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many.
    pub count: u32,
    /// How many of them are sockets that systemd listens on for us, and their names.
    pub sockets: Option<(u32, Option<String>)>,
    /// How often systemd wants a sign of life, in µs, where the program is who gives it.
    pub watchdog: Option<String>,
}

impl Child {
    /// The parent's descriptors came with the clone. Its end of the ladder must go, or its death
    /// would go unnoticed; its lock, or it would be held; and none may be found by the payload.
    fn close_the_rest(&self, more: &[RawFd]) -> nix::Result<()> {
        let mut keep = self.gate.descriptors();
        keep.extend(more);
        keep.push(self.ladder.as_raw_fd());
        keep.extend(self.console.as_ref().map(AsRawFd::as_raw_fd));
        keep.extend(self.herald.as_ref().map(AsRawFd::as_raw_fd));
        keep.extend(self.sources.as_ref().map(AsRawFd::as_raw_fd));
        keep.extend((3..).take(self.passed.count as usize));
        crate::sys::descriptors::close_all_but(&keep)
    }
}

/// Becomes the payload. Returns only when that failed, with the status to exit with; or when another
/// process has gone on.
pub fn run(task: &Task, child: Child) -> i32 {
    let done = match task {
        Task::Make { plan, state } if child.goes_ahead => send_ahead(plan, state, &child),
        Task::Make { plan, state } => {
            begin(&plan.payload, &child, &[]).and_then(|()| be_first(plan, state, &child))
        }
        Task::Join { payload, target } => send_inside(payload, target, &child),
    };
    match done {
        Ok(()) => 0,
        Err(error) => tell(&child, &error),
    }
}

fn tell(child: &Child, error: &Error) -> i32 {
    if !matches!(error, Error::Orphaned) {
        let sentence = error.to_string();
        // With both gone the exit status is all that is left to say.
        let _ = child.ladder.failed(&sentence);
        child.gate.failed(&sentence);
        if child.is_service {
            // Our parent has to tell it, and leaves then.
            while let Ok(true) = child.ladder.await_go() {}
        }
    }
    1
}

fn be_first(plan: &Plan, state: &HookState, child: &Child) -> Result<(), Error> {
    // Until the parent has written the id maps and put us into our cgroup, nothing can be done.
    await_go(child)?;
    let join_last = plan.namespaces.join_last.as_ref();
    let pids = join_last.map(namespaces::open_one).transpose()?;
    become_undumpable(child)?;
    let pid = make(plan, state, child)?;
    identity::take_policy(&plan.payload.scheduling)?;
    if let Some(pids) = pids {
        return go_on_in(pids, plan, state, child);
    }
    let _listener = identity::assume(&plan.payload, child)?;
    be_payload(plan, state, child, pid).map(|never| match never {})
}

/// Enters what the container's first process must be born in, and makes it there.
fn send_ahead(plan: &Plan, state: &HookState, child: &Child) -> Result<(), Error> {
    begin(&plan.payload, child, &[])?;
    ahead::lead(&plan.namespaces, child)?;
    become_undumpable(child)?;
    let user = libc::CLONE_NEWUSER as u64;
    send(plan.namespaces.clone_flags & !user, None, child, || {
        child.close_the_rest(&[]).map_err(closing_failed)?;
        be_first(plan, state, child)
    })
}

/// Makes the process that goes on in a PID namespace that others are in. They see it from its first
/// moment, so by then it is no more than the payload: whoever may trace it there gains nothing.
fn go_on_in(pids: File, plan: &Plan, state: &HookState, child: &Child) -> Result<(), Error> {
    // Felt by our children only; later we shall not have the right.
    setns(&pids, CloneFlags::CLONE_NEWPID)
        .map_err(|errno| failed("join the PID namespace", errno))?;
    drop(pids);
    let _listener = identity::assume(&plan.payload, child)?;
    send(0, None, child, || {
        let pid = await_number(child)?;
        lead_session(child)?;
        be_payload(plan, state, child, Some(pid))
    })
}

/// Makes the one that goes on, as a child of our parent, and says who it is.
fn send<T>(
    flags: u64,
    cgroup: Option<BorrowedFd>,
    child: &Child,
    go_on: impl FnOnce() -> Result<T, Error>,
) -> Result<(), Error> {
    let sibling = spawn(libc::CLONE_PARENT as u64 | flags, cgroup, || {
        match go_on() {
            Ok(_) => 0,
            Err(error) => tell(child, &error),
        }
    })
    .map_err(|errno| failed("make a process in the container", errno))?;
    child
        .ladder
        .joined(sibling.pid.as_raw())
        .map_err(|_| Error::Orphaned)
}

/// A session and its terminal are a process's own, and not its maker's.
fn lead_session(child: &Child) -> Result<(), Error> {
    setsid().map_err(|errno| failed("start a session", errno))?;
    match child.console {
        Some(_) => terminal::control(),
        None => Ok(()),
    }
}

/// All is set up; the program is what is left.
fn be_payload(
    plan: &Plan,
    state: &HookState,
    child: &Child,
    pid: Option<i32>,
) -> Result<Infallible, Error> {
    let program = identity::look_ahead(&plan.payload, child)?;
    await_start(child)?;
    if plan.payload.program.args.is_empty() {
        let why = "'process' is missing from config.json";
        return Err(failed("execute anything", why));
    }
    seccomp::load(&plan.payload, Moment::Exec, child)?;
    let hooks = plan.hooks.start_container().as_deref();
    let place = Place {
        env: Some(&program.env),
        ..Place::default()
    };
    hooks::run_at(place, "startContainer", hooks, &state.text("created", pid))?;
    say_ready(child)?;
    exec::execute(&plan.payload, &program)
}

/// The last word to systemd: nothing but the exec can fail any more.
fn say_ready(child: &Child) -> Result<(), Error> {
    let Some(herald) = &child.herald else {
        return Ok(());
    };
    // By a call that every filter allows.
    let said = nix::unistd::write(herald, manager::LAST_WORDS);
    said.map(drop)
        .map_err(|errno| failed("tell systemd that the service is ready", errno))
}

/// Where the parent could not do it before the clone.
fn become_undumpable(child: &Child) -> Result<(), Error> {
    match child.unprivileged {
        true => {
            nix::sys::prctl::set_dumpable(false).map_err(|errno| failed("become undumpable", errno))
        }
        false => Ok(()),
    }
}

/// Joins the container, becomes what the program shall be, and makes the process that goes on. Its
/// like is seen in the container's /proc by others there, and CAP_SYS_PTRACE is all the power of what
/// is seen: so by then nothing of the host is in it any more, neither root nor working directory nor
/// descriptor, and its capabilities are the program's.
fn send_inside(payload: &Payload, target: &Target, child: &Child) -> Result<(), Error> {
    begin(payload, child, &target.descriptors())?;
    become_undumpable(child)?;
    await_go(child)?;
    target.enter()?;
    if child.session_keyring {
        labels::new_session_keyring(payload)?;
    }
    terminal::set_up(payload, child.console.as_ref(), terminal::Console::Nobody)?;
    let _listener = identity::assume(payload, child)?;
    let cgroup = target.cgroup.as_ref().map(AsFd::as_fd);
    send(0, cgroup, child, || {
        child.close_the_rest(&[]).map_err(closing_failed)?;
        // Until the parent has put us into the container's cgroup, nothing shall be done.
        await_go(child)?;
        lead_session(child)?;
        let program = identity::look_ahead(payload, child)?;
        await_start(child)?;
        seccomp::load(payload, Moment::Exec, child)?;
        exec::execute(payload, &program)
    })
}

/// What every child does first.
fn begin(payload: &Payload, child: &Child, keep: &[RawFd]) -> Result<(), Error> {
    crate::sys::signals::reset_for_payload().map_err(|errno| failed("reset signals", errno))?;
    child.close_the_rest(keep).map_err(closing_failed)?;
    if child.is_service {
        // systemd may stop the service before there is a program that could hear it.
        end_well_on_request().map_err(|errno| failed("listen to signals", errno))?;
    }
    // Mount points that are made have the modes that are asked for.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(DEFAULT_UMASK));
    match child.unprivileged {
        true => score_and_limit(payload, None),
        false => Ok(()),
    }
}

fn closing_failed(errno: nix::errno::Errno) -> Error {
    failed("close descriptors", errno)
}

/// Everything around the payload. Returns the number that the host has for us.
fn make(plan: &Plan, state: &HookState, child: &Child) -> Result<Option<i32>, Error> {
    sysctl::check_network(plan)?;
    let cgroups = namespaces::enter(plan)?;
    if child.session_keyring {
        labels::new_session_keyring(&plan.payload)?;
    }

    root::cut_off(&plan.root)?;
    let sources = sources::Sources::ask(plan, child)?;
    let host = root::prepare(&plan.root, sources.root(&plan.root)?, cgroups)?;
    mounts::make_all(&host, &plan.mounts, &sources)?;
    labels::label_queues(&host, plan)?;
    devices::make_all(&host, &plan.devices)?;
    let pid = number_on_host();
    creation_hooks(plan, state, child, pid)?;
    let covers = mask::Covers::from_host(&plan.masks)?;
    root::enter(&plan.root, host)?;
    // What cannot be made is missed, and told, when the payload is to begin there.
    let _ = std::fs::create_dir_all(&plan.payload.program.cwd);

    sysctl::write_all(&plan.sysctls)?;
    terminal::set_up(
        &plan.payload,
        child.console.as_ref(),
        terminal::Console::Container,
    )?;
    root::protect(plan)?;
    mask::make_all(&plan.masks, plan.mount_label.as_deref(), covers)?;
    mounts::verify(&plan.mounts)?;
    Ok(pid)
}

fn await_start(child: &Child) -> Result<(), Error> {
    child.ladder.ready().map_err(|_| Error::Orphaned)?;
    child.gate.wait(&child.ladder)
}

/// prestart and createRuntime run on the host, createContainer here; all see the container's mounts
/// before its root has changed.
fn creation_hooks(
    plan: &Plan,
    state: &HookState,
    child: &Child,
    pid: Option<i32>,
) -> Result<(), Error> {
    let on_host = [plan.hooks.prestart(), plan.hooks.create_runtime()];
    if on_host
        .iter()
        .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
    {
        child.ladder.ask_hooks().map_err(|_| Error::Orphaned)?;
        await_go(child)?;
    }
    let place = Place {
        dir: Some(&plan.root.path),
        ..Place::default()
    };
    Ok(hooks::run_at(
        place,
        "createContainer",
        plan.hooks.create_container().as_deref(),
        &state.text("creating", pid),
    )?)
}

/// The host's /proc still knows us by the number that the host has for us.
fn number_on_host() -> Option<i32> {
    std::fs::read_link("/proc/self")
        .ok()?
        .to_str()?
        .parse()
        .ok()
}

/// As `await_go`, where the host's number for us is not known otherwise.
fn await_number(child: &Child) -> Result<i32, Error> {
    match child.ladder.await_number() {
        Ok(Some(number)) => Ok(number),
        _ => Err(Error::Orphaned),
    }
}

fn await_go(child: &Child) -> Result<(), Error> {
    match child.ladder.await_go() {
        Ok(true) => Ok(()),
        _ => Err(Error::Orphaned),
    }
}
