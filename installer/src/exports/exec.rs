//! The commands that `$EXEC_START` and its kin stand for, in the two forms that units know.
//!
//! Only what runc's own command line has is used, so any OCI runtime can start the unit.
//! atomic put `--systemd-cgroup` before the verb when it ran as root; a unit has its cgroup from
//! systemd already, and sysc-runtime starts the container in it, so the flag is not needed.

use super::template::Template;

/// Which of the two forms a unit template asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecForm {
    /// `run -d --pid-file`: the template uses both `$PIDFILE` and `$EXEC_STOPPOST`.
    PidFile,
    /// `run` in the foreground.
    Foreground,
}

/// The four commands; an empty one is a line that systemd passes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// `$EXEC_STARTPRE`
    pub start_pre: String,
    /// `$EXEC_START`
    pub start: String,
    /// `$EXEC_STOP`
    pub stop: String,
    /// `$EXEC_STOPPOST`
    pub stop_post: String,
}

impl ExecForm {
    /// The form for a unit template.
    pub fn of(unit: &Template) -> Self {
        match unit.uses("PIDFILE") && unit.uses("EXEC_STOPPOST") {
            true => Self::PidFile,
            false => Self::Foreground,
        }
    }

    /// The commands of this form for one container.
    pub fn commands(self, runtime: &str, pid_file: &str, name: &str) -> Exec {
        match self {
            Self::PidFile => Exec {
                start: format!("{runtime} run -d --pid-file {pid_file} '{name}'"),
                stop_post: format!("{runtime} delete '{name}'"),
                ..Exec::default()
            },
            Self::Foreground => Exec {
                start: format!("{runtime} run '{name}'"),
                stop: format!("{runtime} kill '{name}'"),
                ..Exec::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_decides_the_form() {
        let cases = [
            (
                "ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE",
                ExecForm::PidFile,
            ),
            (
                "ExecStopPost=${EXEC_STOPPOST}\nPIDFile=${PIDFILE}",
                ExecForm::PidFile,
            ),
            ("PIDFile=$PIDFILE", ExecForm::Foreground),
            ("ExecStopPost=$EXEC_STOPPOST", ExecForm::Foreground),
            (
                "ExecStopPost=$EXEC_STOPPOST\n# $$PIDFILE",
                ExecForm::Foreground,
            ),
            (
                "ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILES",
                ExecForm::Foreground,
            ),
            ("", ExecForm::Foreground),
        ];
        for (text, right) in cases {
            assert_eq!(
                ExecForm::of(&Template::parse("u", text).unwrap()),
                right,
                "{text}"
            );
        }
    }

    #[test]
    fn commands_of_both_forms() {
        let exec = ExecForm::PidFile.commands("/usr/bin/rt", "/run/container-x.pid", "x");
        assert_eq!(
            exec.start,
            "/usr/bin/rt run -d --pid-file /run/container-x.pid 'x'"
        );
        assert_eq!(exec.stop_post, "/usr/bin/rt delete 'x'");
        assert_eq!((exec.stop.as_str(), exec.start_pre.as_str()), ("", ""));
        let exec = ExecForm::Foreground.commands("/usr/bin/rt", "/run/container-x.pid", "x");
        assert_eq!(exec.start, "/usr/bin/rt run 'x'");
        assert_eq!(exec.stop, "/usr/bin/rt kill 'x'");
        assert_eq!((exec.stop_post.as_str(), exec.start_pre.as_str()), ("", ""));
    }
}
