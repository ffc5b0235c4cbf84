//! The command: seal, parse, one call, one exit code.

use std::process::ExitCode;

use sysc_runtime::{cli, inherited, report, seal, sys, verb};

fn main() -> ExitCode {
    let sealed = match cli::may_enter_a_container(std::env::args_os()) {
        true => seal::seal(),
        false => Ok(()),
    };
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let log = report::Log::new(&cli.global);
    let failed = cli.verb.failure_status();
    let passed = match inherited::inherited(&cli.verb) {
        Ok(passed) => passed,
        Err(error) => return report::failure(&log, &error, failed),
    };
    if cli.verb.enters_a_container()
        && let Err(error) = sealed
    {
        return report::failure(&log, &error, failed);
    }
    // Whatever else we were given is nobody's business below (CVE-2024-21626).
    if let Err(errno) = sys::descriptors::close_on_exec_from(3) {
        return report::failure(
            &log,
            &anyhow::Error::new(errno).context("cannot close descriptors"),
            failed,
        );
    }
    match verb::dispatch(&cli, passed, &log) {
        Ok(status) => ExitCode::from(status),
        Err(error) => report::failure(&log, &error, failed),
    }
}
