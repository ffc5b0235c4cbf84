//! `sysc`: parse, one call, one exit status.

use std::process::ExitCode;

use sysc::interrupt::{self, Interrupted};
use sysc::report::Report;
use sysc::verb;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let asked = match verb::understand(&arguments) {
        Ok(asked) => asked,
        Err(error) => error.exit(),
    };
    let report = Report::new();
    let outcome = interrupt::listen(end)
        .map_err(|error| anyhow::Error::new(error).context("cannot listen for signals"))
        .and_then(|()| verb::run(asked, &report));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            report.error(&error);
            let signal = error
                .downcast_ref::<Interrupted>()
                .map(|interrupted| interrupted.signal);
            ExitCode::from(
                signal
                    .and_then(|signal| u8::try_from(128 + signal).ok())
                    .unwrap_or(1),
            )
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "a signal ends the process here"
)]
fn end(status: i32) -> ! {
    std::process::exit(status)
}
