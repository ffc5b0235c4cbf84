//! From a plan to a child that is ready, rung by rung of the ladder.

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Pid, getuid};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use super::handover::HandOver;
use super::{
    Console, Ends, Error, Request, StartedBy, Waiting, host_mounts, idmap, kill_child, listener,
    netdevices, rungs, sources, step,
};
use crate::advice::{self, explained};
use crate::bundle::Bundle;
use crate::cgroup::{self, Nursery, Settled};
use crate::inside::{self, StartGate, Task};
use crate::ladder::{HostEnd, ladder};
use crate::plan::{Cgroup, Namespaces, Place, Plan};
use crate::record::{Claim, HookState, ProcessId, State};
use crate::sys::clone::{Child, TIME, spawn};
use crate::{hooks, resctrl};

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
    let (host_end, child_end) = ladder().map_err(|errno| step("make the ladder", errno))?;
    let (sources, asks) = match plan.from_host() {
        0 => (None, None),
        _ => ladder()
            .map(|(host, child)| (Some(host), Some(child)))
            .map_err(|errno| step("make a ladder", errno))?,
    };
    let ends = Ends {
        ladder: child_end,
        sources: asks,
        console: console.child_end()?,
        gate: gate(request, claim)?,
        herald: herald(request)?,
    };
    let mut handover = HandOver::prepare(request, claim)?;
    if request.start == StartedBy::UsInForeground {
        rungs::hold_signals()?;
    }
    let nursery = prepare(plan, claim)?;
    let birthplace = nursery.as_ref().and_then(Nursery::birthplace);
    let child = clone(plan, request, (&seen, &host_end), (ends, birthplace));
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            if let Some(nursery) = nursery {
                nursery.close();
            }
            return Err(error);
        }
    };
    let home = match settle(plan, nursery, &child) {
        Ok(home) => home,
        Err(error) => return Err(undo(plan, request, (child, None), (&seen, host_end), error)),
    };
    let at_once = home.as_ref().is_some_and(Settled::restricts_at_once);
    let early = at_once && !plan.needs_devices();
    let meanwhile = |child: &Child| {
        // Where another process will go on, that one is named.
        if plan.namespaces.join_last.is_none() {
            handover.name(child)?;
        }
        if early {
            restrict(plan, home.as_ref())?;
        }
        Ok(claim.keep_config(&bundle.text)?)
    };
    let made = bring_up(plan, &mut child, (&host_end, sources), &seen, meanwhile)
        .and_then(|()| match early {
            true => Ok(()),
            false => restrict(plan, home.as_ref()),
        })
        .and_then(|()| handover.complete(&child))
        .and_then(|()| record(bundle, plan, request, &child, home.as_ref()))
        .and_then(|state| {
            let terminal = console.serve()?;
            claim.write(&state)?;
            request.handles.give(&child)?;
            Ok((state, terminal))
        });
    match made {
        Ok((state, terminal)) => Ok(Waiting {
            child,
            state,
            terminal,
            start: request.start,
            manager: None,
            ladder: host_end,
        }),
        Err(error) => {
            let made = (child, home.as_ref());
            Err(undo(plan, request, made, (&seen, host_end), error))
        }
    }
}

/// The container's cgroup, if it gets one. Its name is on record before it is there.
fn prepare<'a>(plan: &'a Plan, claim: &Claim) -> Result<Option<Nursery<'a>>, Error> {
    let Cgroup::Own(own) = &plan.cgroup else {
        return Ok(None);
    };
    if let Place::Path(path) = &own.place {
        cgroup::must_be_free(path)?;
        if cgroup::exists(path)
            && let Some(other) = claim.other_with(path)
        {
            return Err(Error::Taken {
                path: path.clone(),
                other,
            });
        }
        // Not before: whoever cleans up after us ends what is in it.
        claim.intend(path)?;
    }
    Ok(Some(Nursery::prepare(own)?))
}

fn restrict(plan: &Plan, home: Option<&Settled>) -> Result<(), Error> {
    match (home, &plan.cgroup) {
        (Some(home), Cgroup::Own(own)) => Ok(home.restrict(&own.devices)?),
        _ => Ok(()),
    }
}

/// Everything that was done for a container that will not be. The error may learn how the child
/// ended.
fn undo(
    plan: &Plan,
    request: &Request,
    (child, home): (Child, Option<&Settled>),
    (seen, ladder): (&HookState, HostEnd),
    error: Error,
) -> Error {
    // With the child's end systemd ends us, before we have told why. When we leave it ends by itself,
    // and the unit's `delete` removes its cgroup.
    let is_ours = !request.is_handed_over();
    if !is_ours {
        ladder.keep();
    }
    let end = is_ours.then(|| kill_child(&child)).flatten();
    if let Some(home) = home.filter(|_| is_ours) {
        // What cannot be removed now is removed when the name is used again.
        let _ = home.made.remove();
    }
    if let Some(wish) = &plan.resctrl {
        let _ = resctrl::remove(&resctrl::own(wish, &seen.id));
    }
    let _ = hooks::run_all(
        "poststop",
        plan.hooks.poststop().as_deref(),
        &seen.text("stopped", None),
    );
    match (error, end) {
        (Error::Died(_), Some(end)) => Error::Died(end.to_string()),
        (Error::Died(_), None) if !is_ours => Error::Died("systemd has its status".to_owned()),
        (error, _) => error,
    }
}

fn herald(request: &Request) -> Result<Option<OwnedFd>, Error> {
    match &request.manager {
        Some(manager) if request.is_handed_over() => Ok(manager.herald()?),
        _ => Ok(None),
    }
}

fn gate(request: &Request, claim: &Claim) -> Result<StartGate, Error> {
    if request.start != StartedBy::Command {
        return Ok(StartGate::Parent);
    }
    let (start, outcome) = claim.make_pipes()?;
    StartGate::open(&start, &outcome).map_err(|error| step("open the start pipes", error))
}

fn clone(
    plan: &Plan,
    request: &Request,
    (seen, ladder): (&HookState, &HostEnd),
    (ends, birthplace): (Ends, Option<OwnedFd>),
) -> Result<Child, Error> {
    let namespaces = &plan.namespaces;
    let is_root = rungs::is_root();
    if namespaces.any() && is_root {
        rungs::become_undumpable()?;
    }
    let task = Task::Make { plan, state: seen };
    let ahead = namespaces.ahead(is_root);
    let inside = inside::Child {
        ladder: ends.ladder,
        console: ends.console,
        sources: ends.sources,
        gate: ends.gate,
        herald: ends.herald,
        is_service: request.is_handed_over(),
        passed: request.passed.clone(),
        session_keyring: !request.wishes.no_new_keyring,
        goes_ahead: ahead.is_some(),
        unprivileged: !is_root,
    };
    // What systemd shall watch must be its own child.
    let parent = match request.is_handed_over() {
        true => libc::CLONE_PARENT as u64,
        false => 0,
    };
    // One that only goes ahead would take a place that may be counted.
    let birthplace = birthplace.filter(|_| ahead.is_none());
    let make = |flags| {
        let birthplace = birthplace.as_ref().map(AsFd::as_fd);
        spawn(flags | parent, birthplace, || inside::run(&task, inside))
            .map_err(|errno| explained(errno, advice::namespaces(errno)))
            .map_err(|error| step("make the container's first process", error))
    };
    let child = match ahead {
        Some(flags) => make(flags).and_then(|first| follow(namespaces, first, ladder)),
        None => with_borrowed_namespaces(namespaces, || make(namespaces.clone_flags)),
    }?;
    if namespaces.any() {
        rungs::become_undumpable()?;
    }
    Ok(child)
}

/// From the process that goes ahead to the one that it makes.
fn follow(namespaces: &Namespaces, first: Child, ladder: &HostEnd) -> Result<Child, Error> {
    let mapped = namespaces.mapping.as_ref().map_or(Ok(()), |mapping| {
        idmap::write(mapping, first.pid)?;
        rungs::go(ladder)
    });
    mapped
        .and_then(|()| rungs::await_successor(&first, ladder, no_listener))
        .inspect_err(|_| {
            kill_child(&first);
        })
}

/// A process that only goes ahead has no filter yet.
fn no_listener(_: &Child, _: RawFd) -> Result<(), Error> {
    Err(Error::Died(
        "a listener before there is a filter".to_owned(),
    ))
}

/// Namespaces of PIDs and of time are felt by children only, so the parent enters them for the
/// moment of the clone.
fn with_borrowed_namespaces(
    namespaces: &Namespaces,
    make: impl FnOnce() -> Result<Child, Error>,
) -> Result<Child, Error> {
    let (pid, time) = (CloneFlags::CLONE_NEWPID, TIME);
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
        (TIME, "/proc/self/ns/time"),
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
        unshare(TIME).map_err(|errno| step("make a time namespace", errno))?;
        std::fs::write("/proc/self/timens_offsets", offsets.concat())
            .map_err(|error| step("set linux.timeOffsets", error))?;
    }
    Ok(())
}

/// What only the host may do for the child, before it does anything itself.
fn settle(plan: &Plan, nursery: Option<Nursery>, child: &Child) -> Result<Option<Settled>, Error> {
    match (make_known(plan, child), nursery) {
        (Ok(()), nursery) => Ok(nursery.map(|nursery| nursery.admit(child)).transpose()?),
        (Err(error), nursery) => {
            if let Some(nursery) = nursery {
                nursery.close();
            }
            Err(error)
        }
    }
}

fn make_known(plan: &Plan, child: &Child) -> Result<(), Error> {
    rungs::score_and_limit(&plan.payload, child.pid)?;
    let namespaces = &plan.namespaces;
    match &namespaces.mapping {
        Some(mapping) if namespaces.ahead(rungs::is_root()).is_none() => {
            idmap::write(mapping, child.pid)
        }
        _ => Ok(()),
    }
}

/// The rungs up to READY; `meanwhile` is done while the child is about its mounts.
fn bring_up(
    plan: &Plan,
    child: &mut Child,
    (ladder, sources): (&HostEnd, Option<HostEnd>),
    seen: &HookState,
    meanwhile: impl FnOnce(&Child) -> Result<(), Error>,
) -> Result<(), Error> {
    if matches!(plan.cgroup, Cgroup::Own(_)) {
        rungs::unpin(child.pid)?;
    }
    if let Some(wish) = &plan.resctrl {
        resctrl::enter(wish, &seen.id, child.pid)?;
    }
    netdevices::move_all(plan, child.pid)?;
    let mut helper = None;
    let open = |child: &Child| {
        if let Some(to) = sources {
            helper = Some(sources::serve(plan, child, to)?);
        }
        Ok(())
    };
    let introduce = |child: &Child, number| {
        let container = seen.value("creating", Some(child.pid.as_raw()));
        listener::introduce(&plan.payload, child, number, container)
    };
    let hooks = |child: &Child| host_hooks(plan, child, seen);
    rungs::go(ladder)?;
    meanwhile(child)?;
    let ready = rungs::until_ready(ladder, child, open, hooks, introduce);
    helper.as_ref().and_then(kill_child);
    ready
}

fn host_hooks(plan: &Plan, child: &Child, seen: &HookState) -> Result<(), Error> {
    let place = hooks::Place {
        dir: Some(&seen.bundle),
        ..hooks::Place::default()
    };
    let text = |status| seen.text(status, Some(child.pid.as_raw()));
    // Hooks of this kind are from a time at which the container counted as created by now.
    let prestart = plan.hooks.prestart().as_deref();
    hooks::run_at(place, "prestart", prestart, &text("created"))?;
    let create = plan.hooks.create_runtime().as_deref();
    let creating = text("creating");
    Ok(hooks::run_at(place, "createRuntime", create, &creating)?)
}

fn record(
    bundle: &Bundle,
    plan: &Plan,
    request: &Request,
    child: &Child,
    home: Option<&Settled>,
) -> Result<State, Error> {
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
        cgroup: home.map(|home| home.made.path.clone()),
        unit: home.and_then(|home| home.made.unit.clone()),
        resctrl: match &plan.resctrl {
            Some(wish) => resctrl::own(wish, request.id.as_str()),
            None => Vec::new(),
        },
        host_mount: host_mounts::of(&plan.root)?,
        own_pid_namespace: plan.namespaces.has_new_pid(),
        annotations: bundle.annotations.clone().into_iter().collect(),
        poststart: plan.hooks.poststart().clone().unwrap_or_default(),
        poststop: plan.hooks.poststop().clone().unwrap_or_default(),
    })
}
