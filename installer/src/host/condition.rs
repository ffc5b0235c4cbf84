//! How a service does, in systemd's own words.

use serde_json::{Value, json};

use super::UnitState;

/// siginfo's codes of an end: by exit, by a signal, by a signal with a dump.
const EXITED: &str = "1";
const KILLED: [&str; 2] = ["2", "3"];

impl UnitState {
    /// `healthy`, `starting`, `stopping`, `stopped`, `failing` (it is started again and again),
    /// `failed`, or `unknown`. Of a service with a watchdog or a notifying one, healthy is what it
    /// says of itself; of others, that it runs.
    pub fn health(&self) -> &'static str {
        match (self.get("ActiveState"), self.get("SubState")) {
            ("activating", "auto-restart" | "auto-restart-queued") => "failing",
            ("activating", _) => "starting",
            ("active" | "reloading" | "refreshing", _) => "healthy",
            ("deactivating", _) => "stopping",
            ("inactive", _) => "stopped",
            ("failed", _) => "failed",
            _ => "unknown",
        }
    }

    /// The word, what the service says of itself, and how long it may be silent.
    pub fn health_in_full(&self) -> String {
        let mut text = self.health().to_owned();
        if !self.get("StatusText").is_empty() {
            text.push_str(&format!(", and says: {}", self.get("StatusText")));
        }
        if let Some(limit) = self.watchdog() {
            text.push_str(&format!("; gives a sign of life at least every {limit}"));
        }
        text
    }

    /// `WatchdogSec=`, where there is one.
    pub fn watchdog(&self) -> Option<&str> {
        Some(self.get("WatchdogUSec")).filter(|limit| !matches!(*limit, "" | "0" | "infinity"))
    }

    /// How the main process ended, the last time that one did since the service was started; and
    /// what systemd makes of it.
    pub fn last_exit(&self) -> Option<String> {
        let (result, status) = (self.get("Result"), self.get("ExecMainStatus"));
        let how = match self.get("ExecMainCode") {
            EXITED => format!("exited with {status}"),
            code if KILLED.contains(&code) => format!("killed by signal {status}"),
            // The main process never was, or systemd ended something else.
            _ if matches!(result, "" | "success") => return None,
            _ => return Some(result.to_owned()),
        };
        Some(format!(
            "{how} ({result}), {}",
            self.get("ExecMainExitTimestamp")
        ))
    }

    /// The same for programs.
    pub fn last_exit_as_json(&self) -> Value {
        let how = match self.get("ExecMainCode") {
            EXITED => "exited",
            code if KILLED.contains(&code) => "killed",
            _ => return Value::Null,
        };
        json!({
            "how": how,
            "status": self.get("ExecMainStatus").parse::<u32>().unwrap_or_default(),
            "result": self.get("Result"),
            "at": self.get("ExecMainExitTimestamp"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> UnitState {
        UnitState::read(text)
    }

    #[test]
    fn health_is_one_word() {
        let table = [
            ("ActiveState=active\nSubState=running", "healthy"),
            ("ActiveState=active\nSubState=exited", "healthy"),
            ("ActiveState=activating\nSubState=start", "starting"),
            ("ActiveState=activating\nSubState=auto-restart", "failing"),
            (
                "ActiveState=deactivating\nSubState=stop-sigterm",
                "stopping",
            ),
            ("ActiveState=inactive\nSubState=dead", "stopped"),
            ("ActiveState=failed\nSubState=failed", "failed"),
            ("", "unknown"),
        ];
        for (text, word) in table {
            assert_eq!(unit(text).health(), word, "{text}");
        }
        let watched = unit("ActiveState=active\nStatusText=3 peers\nWatchdogUSec=2s");
        assert_eq!(
            watched.health_in_full(),
            "healthy, and says: 3 peers; gives a sign of life at least every 2s"
        );
        assert_eq!(
            unit("ActiveState=failed\nWatchdogUSec=infinity").health_in_full(),
            "failed"
        );
    }

    #[test]
    fn an_end_is_told_as_it_was() {
        let at = "ExecMainExitTimestamp=Mon";
        let table = [
            ("ExecMainCode=0\nResult=success", None),
            (
                "ExecMainCode=1\nExecMainStatus=3\nResult=exit-code",
                Some("exited with 3 (exit-code), Mon"),
            ),
            (
                "ExecMainCode=2\nExecMainStatus=9\nResult=oom-kill",
                Some("killed by signal 9 (oom-kill), Mon"),
            ),
            (
                "ExecMainCode=0\nResult=start-limit-hit",
                Some("start-limit-hit"),
            ),
        ];
        for (text, told) in table {
            let unit = unit(&format!("{text}\n{at}"));
            assert_eq!(unit.last_exit().as_deref(), told, "{text}");
        }
        let json =
            unit("ExecMainCode=1\nExecMainStatus=3\nResult=exit-code\nExecMainExitTimestamp=Mon");
        let right = json!({"how": "exited", "status": 3, "result": "exit-code", "at": "Mon"});
        assert_eq!(json.last_exit_as_json(), right);
    }
}
