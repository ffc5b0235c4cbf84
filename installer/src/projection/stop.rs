//! Whether two generations stop in the same way.

use std::path::Path;

use super::Error;
use crate::deployment::Deployment;

/// What systemd takes from the unit that it has loaded when it stops a service.
const STOPPING: [&str; 11] = [
    "ExecStop",
    "ExecStopPost",
    "FinalKillSignal",
    "KillMode",
    "KillSignal",
    "RestartKillSignal",
    "SendSIGHUP",
    "SendSIGKILL",
    "TimeoutSec",
    "TimeoutStopFailureMode",
    "TimeoutStopSec",
];

/// `from` has to be stopped before systemd learns of the unit of `to`: it would be stopped as
/// `to` is. Otherwise one restart does, and what systemd keeps for the service survives.
pub(super) fn stops_otherwise(from: &Deployment, to: &Deployment) -> Result<bool, Error> {
    Ok(stopping(&unit_of(from)?) != stopping(&unit_of(to)?))
}

fn unit_of(deployment: &Deployment) -> Result<String, Error> {
    let path = deployment
        .dir
        .join(format!("{}.service", deployment.info.name));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(Error::io("read", Path::new(&path), source)),
    }
}

fn stopping(unit: &str) -> Vec<&str> {
    let is_one = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(key, _)| STOPPING.contains(&key.trim()))
    };
    unit.lines().map(str::trim).filter(is_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stops_counts() {
        let one = "[Service]\nExecStart=/a\nKillSignal=SIGTERM\n";
        let other = "[Service]\nExecStart=/b\nKillSignal=SIGTERM\n";
        assert_eq!(stopping(one), stopping(other));
        assert_ne!(stopping(one), stopping("[Service]\nKillSignal = SIGINT\n"));
        assert_ne!(
            stopping(one),
            stopping("[Service]\nExecStop=/x\nKillSignal=SIGTERM\n")
        );
    }
}
