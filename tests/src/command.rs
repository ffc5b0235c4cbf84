//! Running programs, with everything they said in the failure.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What a program did.
#[derive(Clone, Debug)]
pub struct Output {
    /// What was run, for messages.
    pub command: String,
    /// Exit status; 128+N for a signal.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The output of a program that must have succeeded.
    pub fn ok(self) -> Result<String> {
        ensure!(self.status == 0, "{self}");
        Ok(self.stdout)
    }

    /// The error text of a program that must have failed with `status`.
    pub fn fails_with(self, status: i32) -> Result<String> {
        ensure!(
            self.status == status,
            "status {status} was expected of {self}"
        );
        Ok(self.stderr)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            command,
            status,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "'{command}' (status {status})\n--- stdout\n{stdout}--- stderr\n{stderr}"
        )
    }
}

/// Runs `program` to its end.
pub fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    run_prepared(Command::new(program).args(arguments))
}

/// Runs a command that was put together by the caller.
pub fn run_prepared(command: &mut Command) -> Result<Output> {
    let arguments: Vec<_> = command
        .get_args()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let program = command.get_program().to_string_lossy().into_owned();
    let text = format!("{program} {}", arguments.join(" "));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start '{program}'"))?;
    use std::os::unix::process::ExitStatusExt;
    let status = output.status;
    Ok(Output {
        command: text,
        status: status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
