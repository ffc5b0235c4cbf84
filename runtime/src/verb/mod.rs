//! One file per verb: what happens, in the order in which it happens.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod halt;
mod kill;
mod list;
mod pause;
#[expect(
    clippy::disallowed_methods,
    reason = "the options of `ps` are those of the host's own"
)]
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod update;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cgroup::{self, Made};
use crate::cli::{Cli, CreateArgs, Verb};
use crate::facts::Facts;
use crate::inside::Passed;
use crate::launch::{self, Handles, Request, StartedBy, Waiting};
use crate::plan::{Filters, Remark, Wishes};
use crate::record::{Id, Registry, State, default_root};
use crate::report::{self, Log};

/// What every verb has at hand.
struct Tools<'a> {
    registry: Registry,
    filters: Filters,
    log: &'a Log,
    rootless: Option<bool>,
    systemd_cgroup: bool,
}

/// Carries a command out; the value is the exit status.
pub fn dispatch(cli: &Cli, passed: Passed, log: &Log) -> Result<u8> {
    let root = root(cli);
    let tools = Tools {
        registry: Registry::new(&root),
        filters: Filters::of(&root),
        log,
        rootless: cli.global.rootless.said(),
        systemd_cgroup: cli.global.systemd_cgroup,
    };
    log.debug(&format!("{:?}", cli.verb));
    match &cli.verb {
        Verb::Run(args) => run::run(&tools, args, passed),
        Verb::Exec(args) => exec::exec(&tools, args, passed),
        Verb::Create(args) => create::create(&tools, args, passed),
        Verb::Start(args) => start::start(&tools, &args.id),
        Verb::State(args) => state::state(&tools, &args.id),
        Verb::Kill(args) => kill::kill(&tools, args),
        Verb::Halt(args) => halt::halt(&tools, args),
        Verb::Delete(args) => delete::delete(&tools, args),
        Verb::Ps(args) => ps::ps(&tools, args),
        Verb::Pause(args) => pause::pause(&tools, &args.id),
        Verb::Resume(args) => pause::resume(&tools, &args.id),
        Verb::Update(args) => update::update(&tools, args),
        Verb::Events(args) => events::events(&tools, args),
        Verb::Checkpoint(_) => checkpoint::refuse("checkpoint"),
        Verb::Restore(_) => checkpoint::refuse("restore"),
        Verb::List(args) => list::list(&tools, args),
        Verb::Spec(args) => spec::spec(args),
        Verb::Features => features::features(),
    }
}

/// Where records are kept.
fn root(cli: &Cli) -> PathBuf {
    let default = || default_root(Facts::is_rootless(), |name| std::env::var_os(name));
    cli.global.root.clone().unwrap_or_else(default)
}

/// What `run` and `create` have in common.
fn request(tools: &Tools, args: &CreateArgs, passed: Passed, start: StartedBy) -> Result<Request> {
    Ok(Request {
        id: Id::parse(&args.id)?,
        bundle: args.bundle.clone(),
        start,
        manager: None,
        handles: Handles {
            pid_file: args.pid_file.clone(),
            pidfd_socket: args.pidfd_socket.clone(),
        },
        console_socket: args.console_socket.clone(),
        wishes: Wishes {
            no_pivot: args.no_pivot,
            no_new_keyring: args.no_new_keyring,
            rootless: tools.rootless,
            systemd_cgroup: tools.systemd_cgroup,
        },
        filters: tools.filters.clone(),
        passed,
    })
}

/// Makes a container of which only the start is missing.
fn make(tools: &Tools, request: Request) -> Result<Waiting, launch::Error> {
    let prepared = launch::prepare(&tools.registry, request)?;
    remark(tools.log, prepared.remarks());
    launch::create(&tools.registry, prepared)
}

/// What a plan has to say beside its success.
fn remark(log: &Log, remarks: &[Remark]) {
    for remark in remarks {
        match remark {
            Remark::Warning(text) => report::warning(log, text),
            Remark::Detail(text) => log.debug(text),
        }
    }
}

/// A cgroup that was not made for the container holds others, too.
fn own_cgroup(state: &State, verb: &str) -> Result<Made> {
    if let Some(made) = state.made() {
        return Ok(made);
    }
    match cgroup::unit_of(state.init.pid) {
        Some(unit) => bail!(
            "it runs in the cgroup of the unit '{}', which is systemd's\nhelp: use 'systemctl \
             {verb} {0}'",
            unit.display()
        ),
        None => bail!(
            "it has no cgroup of its own\nhelp: set linux.cgroupsPath, or run it in a unit and \
             use 'systemctl {verb}'"
        ),
    }
}
