//! `ps`: the processes of a container.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use super::Tools;
use crate::cli::{ListFormat, PsArgs};
use crate::record::{Id, members};
use crate::report;

/// Prints their numbers as a JSON array, or their lines of the host's `ps`.
pub fn ps(tools: &Tools, args: &PsArgs) -> Result<u8> {
    let (state, _) = tools.registry.look(&Id::parse(&args.id)?)?;
    let found = members(&state);
    match args.format {
        ListFormat::Json => {
            let numbers: Vec<i32> = found.iter().map(|pid| pid.as_raw()).collect();
            report::answer(&serde_json::to_string(&numbers)?);
        }
        ListFormat::Table => {
            let table = of_host(&args.options)?;
            lines_of(&table, &found)?
                .iter()
                .for_each(|line| report::answer(line));
        }
    }
    Ok(0)
}

fn of_host(options: &[String]) -> Result<String> {
    let mut command = Command::new("ps");
    match options.is_empty() {
        true => command.arg("-ef"),
        false => command.args(options),
    };
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the host's 'ps'")?;
    if !output.status.success() {
        bail!("the host's 'ps' failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The heading, and the lines of these processes.
fn lines_of<'a>(table: &'a str, wanted: &[Pid]) -> Result<Vec<&'a str>> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let Some(column) = heading.split_whitespace().position(|name| name == "PID") else {
        bail!("the output of 'ps' has no column PID");
    };
    let is_wanted = |line: &&str| {
        let number = line.split_whitespace().nth(column);
        let number = number.and_then(|text| text.parse().ok());
        number.is_some_and(|number| wanted.contains(&Pid::from_raw(number)))
    };
    Ok([heading]
        .into_iter()
        .chain(lines.filter(is_wanted))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_their_pid_column() {
        let table = "USER  PID  PPID CMD\na 7 1 x\nb 17 7 y\n";
        let seven = [Pid::from_raw(7)];
        assert_eq!(
            lines_of(table, &seven).unwrap(),
            ["USER  PID  PPID CMD", "a 7 1 x"]
        );
        assert!(lines_of("CMD\nx\n", &seven).is_err());
    }
}
