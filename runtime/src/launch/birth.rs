//! From a plan to a child that is ready, rung by rung of the ladder.

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Pid, getuid};
use std::fs::File;

use super::{
    Console, Ends, Error, Request, StartedBy, Waiting, idmap, kill_child, rungs, step,
    write_pid_file,
};
use crate::bundle::Bundle;
use crate::inside::{self, StartGate, Task};
use crate::ladder::{HostEnd, ladder};
use crate::plan::{Cgroup, Namespaces, Plan};
use crate::record::{Claim, HookState, ProcessId, State};
use crate::sys::clone::{Child, spawn};
use crate::{cgroup, hooks};

/// Clones, sets up, records. On failure nothing of it is left.
pub fn give(
    bundle: &Bundle,
    plan: &Plan,
    request: &Request,
    console: Console,
    claim: &Claim,
) -> Result<Waiting, Error> {
    let seen = HookState {
        id: request.id.as_str().to_owned(),
        bundle: bundle.dir.clone(),
        annotations: bundle.annotations.clone().into_iter().collect(),
    };
    if let Cgroup::Own { path, .. } = &plan.cgroup {
        cgroup::must_be_free(path)?;
        claim.intend(path)?;
    }
    let (host_end, child_end) = ladder().map_err(|errno| step("make the ladder", errno))?;
    let ends = Ends {
        ladder: child_end,
        console: console.child_end()?,
        gate: gate(request, claim)?,
    };
    if request.start == StartedBy::UsInForeground {
        rungs::hold_signals()?;
    }
    let mut child = clone(plan, request, &seen, ends)?;
    let made = bring_up(plan, &mut child, &host_end, &seen)
        .and_then(|()| record(bundle, plan, request, &child))
        .and_then(|state| {
            let terminal = console.serve()?;
            claim.write(&state)?;
            if let Some(path) = &request.pid_file {
                write_pid_file(path, child.pid)?;
            }
            Ok((state, terminal))
        });
    match made {
        Ok((state, terminal)) => Ok(Waiting {
            child,
            state,
            terminal,
            ladder: host_end,
        }),
        Err(error) => Err(undo(plan, child, &seen, error)),
    }
}

/// Everything that was done for a container that will not be. The error may learn how the child
/// ended.
fn undo(plan: &Plan, child: Child, seen: &HookState, error: Error) -> Error {
    let end = kill_child(&child);
    if let Cgroup::Own { path, .. } = &plan.cgroup {
        // What cannot be removed now is removed when the name is used again.
        let _ = cgroup::remove(path);
    }
    let _ = hooks::run(
        "poststop",
        plan.hooks.poststop().as_deref(),
        &seen.text("stopped", None),
    );
    match (error, end) {
        (Error::Died(_), Some(end)) => Error::Died(end.to_string()),
        (error, _) => error,
    }
}

fn gate(request: &Request, claim: &Claim) -> Result<StartGate, Error> {
    if request.start != StartedBy::Command {
        return Ok(StartGate::Parent);
    }
    let (start, outcome) = claim.make_pipes()?;
    StartGate::open(&start, &outcome).map_err(|error| step("open the start pipes", error))
}

fn clone(plan: &Plan, request: &Request, seen: &HookState, ends: Ends) -> Result<Child, Error> {
    let namespaces = &plan.namespaces;
    if namespaces.any() {
        rungs::become_undumpable()?;
    }
    let task = Task::Make { plan, state: seen };
    let inside = inside::Child {
        ladder: ends.ladder,
        console: ends.console,
        gate: ends.gate,
        passed: request.passed.clone(),
        session_keyring: !request.wishes.no_new_keyring,
    };
    with_borrowed_namespaces(namespaces, || {
        spawn(namespaces.clone_flags, || inside::run(&task, inside))
            .map_err(|errno| step("make the container's first process", errno))
    })
}

/// Namespaces of PIDs and of time are felt by children only, so the parent enters them for the
/// moment of the clone.
fn with_borrowed_namespaces(
    namespaces: &Namespaces,
    make: impl FnOnce() -> Result<Child, Error>,
) -> Result<Child, Error> {
    let (pid, time) = (CloneFlags::CLONE_NEWPID, rungs::TIME);
    let borrows = |kind| namespaces.join_before.iter().any(|join| join.kind == kind);
    let kinds = [
        (borrows(pid), pid),
        (borrows(time) || namespaces.new_time.is_some(), time),
    ];
    let kinds = kinds.iter().filter(|(borrowed, _)| *borrowed);
    let kinds: CloneFlags = kinds.map(|(_, kind)| *kind).collect();
    with_children_elsewhere(kinds, || borrow(namespaces), make)
}

/// Makes a child while this process's children belong elsewhere: to other namespaces of `kinds`,
/// which `enter` takes them to.
fn with_children_elsewhere(
    kinds: CloneFlags,
    enter: impl FnOnce() -> Result<(), Error>,
    make: impl FnOnce() -> Result<Child, Error>,
) -> Result<Child, Error> {
    let mut ours = Vec::new();
    for (kind, path) in [
        (CloneFlags::CLONE_NEWPID, "/proc/self/ns/pid"),
        (rungs::TIME, "/proc/self/ns/time"),
    ] {
        if kinds.contains(kind) {
            let file = File::open(path);
            ours.push((
                file.map_err(|error| step(format!("open '{path}'"), error))?,
                kind,
            ));
        }
    }
    let made = enter().and_then(|()| make());
    let mut back = ours.into_iter();
    match (back.try_for_each(|(file, kind)| setns(file, kind)), made) {
        (Ok(()), made) => made,
        (Err(errno), made) => {
            // Nobody else knows of the child yet.
            if let Ok(child) = made {
                kill_child(&child);
            }
            Err(step("return to our own namespaces", errno))
        }
    }
}

fn borrow(namespaces: &Namespaces) -> Result<(), Error> {
    for join in &namespaces.join_before {
        let shown = join.path.display();
        let file = File::open(&join.path)
            .map_err(|error| step(format!("open namespace '{shown}'"), error))?;
        setns(file, join.kind).map_err(|errno| step(format!("join '{shown}'"), errno))?;
    }
    if let Some(offsets) = &namespaces.new_time {
        unshare(rungs::TIME).map_err(|errno| step("make a time namespace", errno))?;
        std::fs::write("/proc/self/timens_offsets", offsets.concat())
            .map_err(|error| step("set linux.timeOffsets", error))?;
    }
    Ok(())
}

/// What only the host may do for the child, and then the rungs up to READY.
fn bring_up(
    plan: &Plan,
    child: &mut Child,
    ladder: &HostEnd,
    seen: &HookState,
) -> Result<(), Error> {
    rungs::score_and_limit(&plan.payload, child.pid)?;
    if let Some(mapping) = &plan.namespaces.mapping {
        idmap::write(mapping, child.pid)?;
    }
    if let Cgroup::Own { path, resources } = &plan.cgroup {
        cgroup::join(path, resources, child.pid)?;
    }
    let pid = child.pid.as_raw();
    rungs::until_ready(ladder, child, || {
        let text = seen.text("creating", Some(pid));
        hooks::run("prestart", plan.hooks.prestart().as_deref(), &text)?;
        let create = plan.hooks.create_runtime().as_deref();
        Ok(hooks::run("createRuntime", create, &text)?)
    })
}

fn record(bundle: &Bundle, plan: &Plan, request: &Request, child: &Child) -> Result<State, Error> {
    let process = |pid| ProcessId::of(pid).map_err(|error| step("look at the child", error));
    Ok(State {
        id: request.id.as_str().to_owned(),
        init: process(child.pid)?,
        keeper: match request.start {
            StartedBy::UsInForeground => Some(process(Pid::this())?),
            _ => None,
        },
        bundle: bundle.dir.clone(),
        rootfs: bundle.rootfs.clone(),
        created: crate::clock::now(),
        owner: getuid().as_raw(),
        cgroup: match &plan.cgroup {
            Cgroup::Own { path, .. } => Some(path.clone()),
            Cgroup::Stay => None,
        },
        own_pid_namespace: plan.namespaces.has_new_pid(),
        annotations: bundle.annotations.clone().into_iter().collect(),
        poststart: plan.hooks.poststart().clone().unwrap_or_default(),
        poststop: plan.hooks.poststop().clone().unwrap_or_default(),
    })
}
