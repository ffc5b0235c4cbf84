//! The service manager, asked through systemctl.
//!
//! systemctl and not D-Bus: it speaks to systemd's private socket, so that the same path works
//! before D-Bus is up, in early boot.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Error, change, run};

/// The system's manager. Having one means that systemd runs here.
#[derive(Debug)]
pub struct Systemd(());

/// What systemd says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    properties: BTreeMap<String, String>,
}

impl Systemd {
    /// The manager of this host (sd_booted(3)).
    pub fn connect() -> Result<Self, Error> {
        if Path::new("/run/systemd/system").is_dir() {
            Ok(Self(()))
        } else {
            Err(Error::NoSystemd)
        }
    }

    /// Lets systemd read all unit files again.
    pub fn reload(&self) -> Result<(), Error> {
        change("systemctl", &["daemon-reload"])
    }

    /// Enables `unit` as its `[Install]` section says. It is not started.
    pub fn enable(&self, unit: &str) -> Result<(), Error> {
        change("systemctl", &["--no-reload", "enable", "--", unit])
    }

    /// Removes the links that enabling `unit` made. No effect on a unit that has none.
    pub fn disable(&self, unit: &str) -> Result<(), Error> {
        change("systemctl", &["--no-reload", "disable", "--", unit])
    }

    /// Whether `unit` is enabled. One that cannot be asked about is not.
    pub fn is_enabled(&self, unit: &str) -> bool {
        run("systemctl", &["is-enabled", "--", unit]).is_ok()
    }

    /// Starts `unit` and waits until it is active.
    pub fn start(&self, unit: &str) -> Result<(), Error> {
        change("systemctl", &["start", "--", unit])
    }

    /// `unit` runs, or is on the way to it.
    pub fn is_running(&self, unit: &str) -> Result<bool, Error> {
        let state = self.show(unit)?;
        let running = ["active", "activating", "reloading"];
        Ok(running.contains(&state.get("ActiveState")))
    }

    /// Stops `unit` if it runs, and starts it, as one job; waits until it is up.
    pub fn restart(&self, unit: &str) -> Result<(), Error> {
        // A start limit is counted for what went before, too.
        self.reset_failed(unit);
        change("systemctl", &["restart", "--", unit])
    }

    /// Stops `unit` and waits for it. No effect on one that does not run.
    pub fn stop(&self, unit: &str) -> Result<(), Error> {
        change("systemctl", &["stop", "--", unit])
    }

    /// Lets `unit` start as soon as its turn comes; waits for nothing.
    pub fn start_later(&self, unit: &str) -> Result<(), Error> {
        change("systemctl", &["start", "--no-block", "--", unit])
    }

    /// Takes `unit`, which does not run, out of what is going to be started.
    pub fn stop_later(&self, unit: &str) -> Result<(), Error> {
        change("systemctl", &["stop", "--no-block", "--", unit])
    }

    /// Forgets that `unit` has failed, if it has.
    pub fn reset_failed(&self, unit: &str) {
        // Fails where systemd does not know the unit at all: then there is nothing to forget.
        let _ = run("systemctl", &["reset-failed", "--", unit]);
    }

    /// What systemd knows of `unit`; of one that it does not know, LoadState is `not-found`.
    pub fn show(&self, unit: &str) -> Result<UnitState, Error> {
        let wanted = "LoadState,FragmentPath,Job,UnitFileState,ActiveState,SubState,Result,MainPID,\
                      NRestarts,ExecMainCode,ExecMainStatus,ExecMainExitTimestamp,\
                      ActiveEnterTimestamp,InactiveEnterTimestamp,StatusText,WatchdogUSec";
        run("systemctl", &["show", "--property", wanted, "--", unit])
            .map(|text| UnitState::read(&text))
    }
}

impl UnitState {
    /// Out of what `systemctl show` prints.
    pub(super) fn read(text: &str) -> Self {
        let properties = parse(text);
        Self { properties }
    }

    /// A property by its name in org.freedesktop.systemd1(5); empty where systemd has none.
    pub fn get(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// There is a unit file of this name somewhere.
    pub fn exists(&self) -> bool {
        !matches!(self.get("LoadState"), "not-found" | "")
    }

    /// The state in one word, as lists show it: `running`, `failed`, `inactive` or what systemd
    /// calls a state between these.
    pub fn word(&self) -> &str {
        match (self.get("ActiveState"), self.get("SubState")) {
            ("active", "running") => "running",
            ("", _) => "unknown",
            (active, _) => active,
        }
    }
}

/// Makes the links that enable `unit` in the tree `root`. No running systemd is asked.
pub fn enable_in(root: &Path, unit: &str) -> Result<(), Error> {
    let root = format!("--root={}", root.display());
    run("systemctl", &[&root, "enable", "--", unit]).map(drop)
}

/// The number of systemd's version; 0 where it cannot be asked.
pub fn version() -> u32 {
    let told = run("systemctl", &["--version"]).unwrap_or_default();
    number(&told)
}

/// `systemd 252 (252.39-1~deb12u1)`
fn number(told: &str) -> u32 {
    let word = told.split_whitespace().nth(1).unwrap_or_default();
    let digits = word.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number() {
        assert_eq!(number("systemd 252 (252.39-1~deb12u1)\n+PAM\n"), 252);
        assert_eq!(number("systemd 258~rc1 (258~rc1-1)\n"), 258);
        assert_eq!(number(""), 0);
    }

    #[test]
    fn states_in_one_word() {
        let word = |text: &str| {
            UnitState {
                properties: parse(text),
            }
            .word()
            .to_owned()
        };
        assert_eq!(word("ActiveState=active\nSubState=running\n"), "running");
        assert_eq!(word("ActiveState=active\nSubState=exited\n"), "active");
        assert_eq!(word("ActiveState=failed\nSubState=failed\n"), "failed");
        assert_eq!(word("LoadState=loaded\n"), "unknown");
    }
}
