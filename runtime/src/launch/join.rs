//! An exec: another program into a container that is there.
//!
//! The container stays as it is, whatever becomes of the exec: nothing is recorded, its cgroup is
//! entered but neither made nor removed, and what is undone on failure is the new child alone.

use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::sched::CloneFlags;
use nix::unistd::Pid;

use super::{Console, Error, Handles, Terminal, kill_child, listener, rungs, step};
use crate::cgroup::{self, Below};
use crate::inside::{self, Passed, StartGate, Target, Task};
use crate::ladder::{HostEnd, ladder};
use crate::plan::{Affinity, Payload};
use crate::record::{ProcessId, State};
use crate::sys::clone::{Child, TIME, spawn};
use crate::sys::process::{End, pidfd_open};

const KINDS: [(&str, CloneFlags); 8] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("net", CloneFlags::CLONE_NEWNET),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("time", TIME),
];

/// What joins a container, and how.
#[derive(Debug)]
pub struct Visit {
    /// The program.
    pub payload: Payload,
    /// Whether nobody waits for it.
    pub detached: bool,
    /// How the caller gets hold of it.
    pub handles: Handles,
    /// Where its terminal goes.
    pub console_socket: Option<PathBuf>,
    /// Cgroups below the container's own to be in instead.
    pub cgroups: Vec<Below>,
    /// Descriptors for it.
    pub passed: Passed,
}

/// A program inside a container; only the order to start is missing.
#[derive(Debug)]
pub struct Guest {
    /// Its process.
    pub child: Child,
    /// Its terminal, when that is ours to serve.
    pub terminal: Option<Terminal>,
    ladder: HostEnd,
}

/// Joins the container that `state` describes, up to the point where the program could be executed.
pub fn join(state: &State, visit: &Visit) -> Result<Guest, Error> {
    let socket = visit.console_socket.as_deref();
    let console = Console::choose(&visit.payload.program, visit.detached, socket)?;
    let mut target = find(&state.init)?;
    target.cgroup = birthplace(state, visit, &target);
    let (host_end, child_end) = ladder().map_err(|errno| step("make the ladder", errno))?;
    let inside = inside::Child {
        ladder: child_end,
        console: console.child_end()?,
        sources: None,
        gate: StartGate::Parent,
        herald: None,
        is_service: false,
        passed: visit.passed.clone(),
        session_keyring: true,
        goes_ahead: false,
        unprivileged: !rungs::is_root(),
    };
    if !visit.detached {
        rungs::hold_signals()?;
    }
    let mut child = send(state, (&target, &visit.payload), inside, &host_end)?;
    match bring_up(state, visit, &mut child, &host_end).and_then(|()| console.serve()) {
        Ok(terminal) => Ok(Guest {
            child,
            terminal,
            ladder: host_end,
        }),
        Err(error) => Err(undo(&child, error)),
    }
}

/// Where the program is to be born: not before its first processors are set, nor by somebody who has
/// no power over the host's cgroups any more.
fn birthplace(state: &State, visit: &Visit, target: &Target) -> Option<OwnedFd> {
    let waits = visit.payload.scheduling.affinity.initial.is_some();
    match waits || target.kinds.contains(CloneFlags::CLONE_NEWUSER) {
        true => None,
        false => cgroup::birthplace(&state.home(), &visit.cgroups),
    }
}

/// The child is all that there is to undo. The error may learn how it ended.
fn undo(child: &Child, error: Error) -> Error {
    match (error, kill_child(child)) {
        (Error::Died(_), Some(end)) => Error::Died(end.to_string()),
        (error, _) => error,
    }
}

impl Guest {
    /// Lets the program begin, and returns once it has: its exec is done.
    pub fn start(&self) -> Result<(), Error> {
        rungs::release(&self.ladder)
    }

    /// Ends it, if it has not ended already, and waits for it.
    pub fn kill(&self) -> Option<End> {
        kill_child(&self.child)
    }
}

/// Takes hold of a container by its first process.
pub(super) fn find(init: &ProcessId) -> Result<Target, Error> {
    let pid = init.pid;
    let pidfd = pidfd_open(Pid::from_raw(pid))
        .map_err(|errno| step(format!("open the container's first process {pid}"), errno))?;
    let mut kinds = CloneFlags::empty();
    for (name, kind) in KINDS {
        if is_other(pid, name)? {
            kinds |= kind;
        }
    }
    let root = match kinds.contains(CloneFlags::CLONE_NEWNS) {
        true => None,
        false => Some(open_root(pid)?),
    };
    // Looked at last: had the number changed hands meanwhile, we would have seen somebody else's.
    match init.is_alive() {
        true => Ok(Target {
            init: pidfd,
            kinds,
            root,
            cgroup: None,
        }),
        false => Err(Error::Usage("the container's first process is gone")),
    }
}

/// Whether a process is in another namespace of this kind than we are.
fn is_other(pid: i32, name: &str) -> Result<bool, Error> {
    let identity = |owner: &str| {
        let path = format!("/proc/{owner}/ns/{name}");
        match std::fs::metadata(&path) {
            Ok(found) => Ok(Some((found.dev(), found.ino()))),
            // The kernel has no namespaces of this kind.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(step(format!("look at namespace '{path}'"), error)),
        }
    };
    Ok(identity(&pid.to_string())? != identity("self")?)
}

fn open_root(pid: i32) -> Result<OwnedFd, Error> {
    let path = format!("/proc/{pid}/root");
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(&path)
        .map(OwnedFd::from)
        .map_err(|error| step(format!("open '{path}'"), error))
}

/// Sends a process into the container: one joins it and makes the next there, which is our child
/// too, and the one that goes on.
fn send(
    state: &State,
    (target, payload): (&Target, &Payload),
    inside: inside::Child,
    ladder: &HostEnd,
) -> Result<Child, Error> {
    if rungs::is_root() {
        rungs::become_undumpable()?;
    }
    let task = Task::Join { payload, target };
    let first = spawn(0, None, || inside::run(&task, inside))
        .map_err(|errno| step("make a process for the program", errno))?;
    rungs::become_undumpable()?;
    // While it still is what we are: later it takes a right that we may not have.
    rungs::score_and_limit(payload, first.pid)
        .and_then(|()| rungs::go(ladder))
        .and_then(|()| {
            let introduce = |first: &Child, number| introduce(state, payload, first, number);
            rungs::await_successor(&first, ladder, introduce)
        })
        .map_err(|error| undo(&first, error))
}

/// Tells who listens to the program's filter about it.
fn introduce(state: &State, payload: &Payload, child: &Child, number: RawFd) -> Result<(), Error> {
    let container = state.for_hooks().value("running", Some(state.init.pid));
    listener::introduce(payload, child, number, container)
}

/// What only the host may do for the child, and then the rungs up to READY.
fn bring_up(
    state: &State,
    visit: &Visit,
    child: &mut Child,
    ladder: &HostEnd,
) -> Result<(), Error> {
    let affinity = &visit.payload.scheduling.affinity;
    if let Some(cpus) = &affinity.initial {
        rungs::pin(child.pid, cpus, "process.execCPUAffinity.initial")?;
    }
    cgroup::enter(&state.home(), &visit.cgroups, child.pid)?;
    match affinity {
        Affinity {
            last: Some(cpus), ..
        } => {
            rungs::pin(child.pid, cpus, "process.execCPUAffinity.final")?;
        }
        Affinity { initial: None, .. } if state.cgroup.is_some() => rungs::unpin(child.pid)?,
        _ => {}
    }
    rungs::schedule(&visit.payload, child.pid)?;
    let introduce = |child: &Child, number| introduce(state, &visit.payload, child, number);
    rungs::go(ladder)?;
    rungs::until_ready(ladder, child, |_| Ok(()), |_| Ok(()), introduce)?;
    visit.handles.give(child)
}
