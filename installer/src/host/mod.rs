//! Hands without opinions: the calls that change or ask the running system.
//!
//! In: what to do, decided elsewhere. Out: done, or an error with the program's own words. The
//! only room that starts programs: those of systemd, and the OCI runtime for what is run by hand.

mod condition;
mod facts;
mod journal;
mod root;
mod runtime;
mod systemd;
mod tmpfiles;

pub use facts::{all_capabilities, boot_id, capabilities, has_unified_cgroups, identity, is_root};
pub use journal::{Happened, note, show_journal};
pub use root::{Found, OtherRoot};
pub use runtime::{find_runtime, run_runtime, runs};
pub use systemd::{Systemd, UnitState, enable_in, version as systemd_version};
pub use tmpfiles::create as create_tmpfiles;

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::failpoint::{Point, pass};

/// A program of the host that could not be used or that refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there or cannot be started.
    #[error("cannot start '{program}'\nhelp: sysc needs a host with systemd")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The OCI runtime cannot be started.
    #[error("cannot start the runtime '{path}'")]
    Runtime {
        /// Its path.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The program ended with another status than 0.
    #[error("'{command}' failed ({status}): {message}")]
    Failed {
        /// Program and arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to standard error.
        message: String,
    },
    /// systemd is not the init of this host.
    #[error(
        "systemd does not run here ('/run/systemd/system' is missing)\n\
         help: sysc installs services of systemd; call it on a host that systemd has booted"
    )]
    NoSystemd,
}

/// Runs `program`, which changes something.
fn change(program: &'static str, arguments: &[&str]) -> Result<(), Error> {
    pass(Point::HostChange).map_err(|source| Error::Start { program, source })?;
    run(program, arguments).map(drop)
}

/// Runs `program`, which must end with status 0, and returns its standard output.
fn run(program: &'static str, arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new(program)
        .args(arguments)
        .env("SYSTEMD_PAGER", "")
        .env("SYSTEMD_COLORS", "0")
        // A Ctrl-C is for us to answer, between two such calls.
        .process_group(0)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| Error::Start { program, source })?;
    check(output, || format!("{program} {}", arguments.join(" ")))
}

fn check(output: Output, command: impl Fn() -> String) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        command: command(),
        status: output.status,
        message: String::from_utf8_lossy(&output.stderr)
            .trim()
            .replace('\n', "; "),
    })
}
