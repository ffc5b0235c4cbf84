//! The container's side of the clone.
//!
//! In: a [`Plan`] and the child's end of the ladder. Out: the payload, executed in this process; or
//! one sentence said up the ladder. Nothing here prints or logs: after the root is changed there is
//! nowhere to print to. What reads like a list below is the order that matters.

mod cgroups;
mod copy_up;
mod devices;
mod exec;
mod identity;
mod mask;
mod mounts;
mod namespaces;
mod root;
mod start;
mod sysctl;
mod terminal;

use std::os::fd::{AsRawFd, OwnedFd};

use crate::hooks;
use crate::ladder::ChildEnd;
use crate::plan::{DEFAULT_UMASK, Plan};

pub use start::StartGate;

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

/// What the child has in its hands besides the plan.
#[derive(Debug)]
pub struct Child {
    /// Its end of the ladder.
    pub ladder: ChildEnd,
    /// Where the terminal's master is sent.
    pub console: Option<OwnedFd>,
    /// What releases the payload.
    pub gate: StartGate,
    /// The state that hooks inside the container read.
    pub state: crate::record::HookState,
    /// Descriptors that belong to the payload.
    pub passed: Passed,
    /// Whether the payload gets a session keyring of its own.
    pub session_keyring: bool,
}

/// Descriptors from 3 upwards that go through to the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many.
    pub count: u32,
    /// How many of them are sockets that systemd listens on for us, and their names.
    pub sockets: Option<(u32, Option<String>)>,
}

impl Child {
    /// The parent's descriptors came with the clone. Its end of the ladder must go, or its death
    /// would go unnoticed; its lock, or it would be held; and none may be found by the payload.
    fn close_the_rest(&self) -> nix::Result<()> {
        let mut keep = self.gate.descriptors();
        keep.push(self.ladder.as_raw_fd());
        keep.extend(self.console.as_ref().map(AsRawFd::as_raw_fd));
        keep.extend((3..).take(self.passed.count as usize));
        crate::sys::descriptors::close_all_but(&keep)
    }
}

/// Becomes the payload. Returns only when that failed, with the status to exit with.
pub fn run(plan: &Plan, child: Child) -> i32 {
    match become_payload(plan, &child) {
        Err(Error::Orphaned) => 1,
        Err(error) => {
            let sentence = error.to_string();
            // With both gone the exit status is all that is left to say.
            let _ = child.ladder.failed(&sentence);
            child.gate.failed(&sentence);
            1
        }
        Ok(never) => match never {},
    }
}

fn become_payload(plan: &Plan, child: &Child) -> Result<std::convert::Infallible, Error> {
    crate::sys::signals::reset_for_payload().map_err(|errno| failed("reset signals", errno))?;
    child
        .close_the_rest()
        .map_err(|errno| failed("close descriptors", errno))?;
    // Mount points that are made have the modes that are asked for.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(DEFAULT_UMASK));
    // Until the parent has written the id maps and put us into our cgroup, nothing can be done.
    await_go(child)?;
    let cgroups = namespaces::enter(plan)?;
    if child.session_keyring {
        crate::sys::process::new_session_keyring()
            .map_err(|errno| failed("make a session keyring", errno))?;
    }

    let host = root::prepare(plan, cgroups)?;
    mounts::make_all(&host, &plan.mounts)?;
    devices::make_all(&host, &plan.devices)?;
    let pid = number_on_host();
    creation_hooks(plan, child, pid)?;
    let covers = mask::Covers::from_host(&plan.masks)?;
    root::enter(&plan.root, host)?;

    sysctl::write_all(&plan.sysctls)?;
    terminal::set_up(plan, child.console.as_ref())?;
    root::protect(plan)?;
    mask::make_all(&plan.masks, covers)?;

    let program = identity::assume(plan, child)?;
    child.ladder.ready().map_err(|_| Error::Orphaned)?;
    child.gate.wait(&child.ladder)?;
    let state = child.state.text("created", pid);
    hooks::run(
        "startContainer",
        plan.hooks.start_container().as_deref(),
        &state,
    )?;
    exec::execute(plan, &program)
}

/// prestart and createRuntime run on the host, createContainer here; all see the container's mounts
/// before its root has changed.
fn creation_hooks(plan: &Plan, child: &Child, pid: Option<i32>) -> Result<(), Error> {
    let on_host = [plan.hooks.prestart(), plan.hooks.create_runtime()];
    if on_host
        .iter()
        .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
    {
        child.ladder.ask_hooks().map_err(|_| Error::Orphaned)?;
        await_go(child)?;
    }
    let state = child.state.text("creating", pid);
    Ok(hooks::run(
        "createContainer",
        plan.hooks.create_container().as_deref(),
        &state,
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

fn await_go(child: &Child) -> Result<(), Error> {
    match child.ladder.await_go() {
        Ok(true) => Ok(()),
        _ => Err(Error::Orphaned),
    }
}
