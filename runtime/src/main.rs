//! The command: parse, seal, one call, one exit code.
//!
//! The C library calls us itself. What Rust does before a main function of its own (a handler for the
//! end of the stack, whose place it looks for in /proc/self/maps) takes some twenty calls, which a
//! start would pay for twice; the two that matter are made here.

#![no_main]

#[cfg(not(target_env = "gnu"))]
compile_error!("the program's words come to std by what only the GNU C library does before main");

use std::io::Write;

use nix::libc;
use sysc_runtime::sys::{descriptors, signals};
use sysc_runtime::{cli, inherited, report, seal, verb};

#[expect(unsafe_code, reason = "the C library looks for this name")]
// SAFETY: this program has no other function of this name, and the C library calls it once. The
// arguments that it passes, which this one does not take, are the environment's: std has them too.
#[unsafe(no_mangle)]
extern "C" fn main() -> libc::c_int {
    let status = run();
    // What std would do after a main function of its own; nobody is left to hear of a failure.
    let _ = std::io::stdout().flush();
    status.into()
}

fn run() -> u8 {
    let started = descriptors::fill_standard().and_then(|()| signals::ignore_broken_pipes());
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let log = report::Log::new(&cli.global);
    let failed = cli.verb.failure_status();
    let fails = |error| report::failure(&log, &error, failed);
    if let Err(errno) = started {
        return fails(anyhow::Error::new(errno).context("cannot open standard descriptors"));
    }
    let passed = match inherited::inherited(&cli.verb) {
        Ok(passed) => passed,
        Err(error) => return fails(error),
    };
    if cli.verb.enters_a_container()
        && let Err(error) = seal::seal()
    {
        return fails(error);
    }
    // Whatever else we were given is nobody's business below (CVE-2024-21626).
    if let Err(errno) = descriptors::close_on_exec_from(3) {
        return fails(anyhow::Error::new(errno).context("cannot close descriptors"));
    }
    match verb::dispatch(&cli, passed, &log) {
        Ok(status) => status,
        Err(error) => fails(error),
    }
}
