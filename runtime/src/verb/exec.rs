//! `exec`: another program in a container that runs.

use anyhow::{Context, Result, bail};
use oci_spec::runtime::Process;

use super::Tools;
use crate::bundle::{self, Bundle, Changes};
use crate::cli::ExecArgs;
use crate::inside::Passed;
use crate::launch::{self, Handles, Visit, supervise};
use crate::plan;
use crate::record::{Id, Status};

/// The status is the program's in the foreground, and 0 once it has begun with `--detach`.
pub fn exec(tools: &Tools, args: &ExecArgs, passed: Passed) -> Result<u8> {
    let id = Id::parse(&args.id)?;
    let (state, status) = tools.registry.look(&id)?;
    let told = || format!("cannot exec in container '{}'", args.id);
    if status == Status::Stopped {
        bail!("{}: it is stopped", told());
    }
    if status == Status::Paused && !args.ignore_paused {
        bail!(
            "cannot exec in a paused container: '{}'\nhelp: resume it, or use --ignore-paused",
            args.id
        );
    }
    let bundle = match tools.registry.config(&id)? {
        Some(text) => bundle::understand(&state.bundle, text),
        None => bundle::look(&state.bundle),
    };
    let visit = visit(tools, &bundle.with_context(told)?, args, passed).with_context(told)?;
    super::remark(tools.log, &visit.payload.remarks);
    if let Some(text) = visit.payload.scheduling.affinity.remark() {
        tools.log.debug(&text);
    }
    let guest = launch::join(&state, &visit).with_context(told)?;
    if let Err(error) = guest.start() {
        guest.kill();
        return Err(error).with_context(told);
    }
    if args.detach {
        return Ok(0);
    }
    let end = supervise(&guest.child, guest.terminal.as_ref()).with_context(told)?;
    Ok(end.status())
}

fn visit(tools: &Tools, bundle: &Bundle, args: &ExecArgs, passed: Passed) -> Result<Visit> {
    let process = process(bundle, args)?;
    Ok(Visit {
        payload: plan::payload(&process, &bundle.linux, &tools.filters)?,
        detached: args.detach,
        handles: Handles {
            pid_file: args.pid_file.clone(),
            pidfd_socket: args.pidfd_socket.clone(),
        },
        console_socket: args.console_socket.clone(),
        cgroups: args.cgroup.clone(),
        passed,
    })
}

fn process(bundle: &Bundle, args: &ExecArgs) -> Result<Process, bundle::Error> {
    if let Some(path) = &args.process {
        return bundle::read_process(path);
    }
    let changes = Changes {
        args: args.command.clone(),
        env: args.env.clone(),
        cwd: args.cwd.clone(),
        user: args.user,
        groups: args.additional_gids.clone(),
        capabilities: args.cap.clone(),
        terminal: args.tty,
        no_new_privileges: args.no_new_privs,
        apparmor: args.apparmor.clone(),
        label: args.process_label.clone(),
    };
    bundle::changed(&bundle.process, &changes)
}
