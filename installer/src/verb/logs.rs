//! `sysc logs`: what the journal has of a container's unit.

use std::process::ExitCode;

use super::session::{Session, current};
use crate::cli::Logs;
use crate::deployment::ContainerName;
use crate::host;

pub(super) fn run(options: &Logs, session: &Session) -> anyhow::Result<ExitCode> {
    let name = ContainerName::parse(&options.name)?;
    current(&name, session)?;
    let status = host::show_journal(&arguments(options, &format!("{name}.service")))?;
    Ok(ExitCode::from(status))
}

/// In journalctl's words.
fn arguments(options: &Logs, unit: &str) -> Vec<String> {
    let mut arguments = vec![format!("--unit={unit}")];
    if options.follow {
        arguments.push("--follow".to_owned());
    }
    arguments.extend(options.lines.map(|lines| format!("--lines={lines}")));
    arguments.extend(options.since.iter().map(|when| format!("--since={when}")));
    if options.json {
        arguments.push("--output=json".to_owned());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_journalctls() {
        let plain = Logs {
            follow: false,
            lines: None,
            since: None,
            json: false,
            name: "box".to_owned(),
        };
        assert_eq!(arguments(&plain, "box.service"), ["--unit=box.service"]);
        let all = Logs {
            follow: true,
            lines: Some(5),
            since: Some("-1h".to_owned()),
            json: true,
            ..plain
        };
        assert_eq!(
            arguments(&all, "box.service")[1..],
            ["--follow", "--lines=5", "--since=-1h", "--output=json"]
        );
    }
}
