//! `start`: lets the program of a created container begin.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Tools;
use crate::record::{Claim, Id, State, Status};
use crate::{hooks, launch};

/// Returns once the program has begun, or once a container whose start has failed has stopped.
pub fn start(tools: &Tools, id: &str) -> Result<u8> {
    let claim = tools.registry.find(&Id::parse(id)?)?;
    let (state, status) = claim.read()?;
    match status {
        Status::Created => {}
        Status::Paused => bail!("cannot start container '{id}': it is paused"),
        Status::Running => bail!("cannot start container '{id}': it is running already"),
        Status::Stopped => bail!("cannot start container '{id}': it is stopped"),
    }
    let (start, outcome) = open_pipes(&claim)
        .with_context(|| format!("cannot start container '{id}': its first process is gone"))?;
    claim.started()?;
    // What is to come may take long, and whoever wants to end it shall not wait.
    claim.release()?;
    (&start)
        .write_all(b"G")
        .with_context(|| format!("cannot start container '{id}'"))?;
    let begun = begin(&state, outcome);
    if begun.is_err() {
        // It must not go on; that it cannot be ended would show in its state.
        let _ = launch::end(&state.init);
    }
    begun.with_context(|| format!("cannot start container '{id}'"))?;
    Ok(0)
}

fn begin(state: &State, outcome: File) -> Result<()> {
    let sentence = read_outcome(outcome)?;
    if !sentence.is_empty() {
        bail!(sentence);
    }
    let text = state.for_hooks().text("running", Some(state.init.pid));
    Ok(hooks::run("poststart", Some(&state.poststart), &text)?)
}

/// Opening the first for writing fails when nobody reads, that is, when the child is dead.
fn open_pipes(claim: &Claim) -> std::io::Result<(File, File)> {
    let (start, outcome) = claim.pipes();
    let open = |options: &mut OpenOptions, path| options.custom_flags(libc::O_NONBLOCK).open(path);
    let outcome = open(File::options().read(true), outcome)?;
    Ok((open(File::options().write(true), start)?, outcome))
}

/// What the child says before it ends; nothing when its exec has closed the pipe.
fn read_outcome(mut pipe: File) -> Result<String> {
    fcntl(pipe.as_raw_fd(), FcntlArg::F_SETFL(OFlag::empty()))?;
    let mut sentence = String::new();
    pipe.read_to_string(&mut sentence)?;
    Ok(sentence)
}
