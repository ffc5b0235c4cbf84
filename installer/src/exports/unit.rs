//! What sysc adds to a rendered unit, so that old templates profit unchanged.
//!
//! It is appended to the same file as further sections (a later assignment wins), so that one
//! rename changes both and `systemctl edit` still wins over everything. Each unit gets the
//! generation's marker. A unit whose `ExecStart=` is our command gets the rest too; one that
//! starts something else is left to its author. The added lines stand in `unit-templates/`; a
//! line whose variable has no value here is left out.

use std::path::Path;

use super::exec::ExecForm;
use super::quote::quote;
use super::template::{Template, Values};
use super::unit_file::UnitFile;
use super::{Error, Request};

const MARKER: &str = include_str!("../../../unit-templates/added-marker.template");
const SERVICE: &str = include_str!("../../../unit-templates/added-service.template");

/// The rendered unit with what sysc adds.
pub(super) fn complete(
    rendered: &str,
    request: &Request<'_>,
    values: &Values,
    form: ExecForm,
    stop_signal: Option<&str>,
) -> Result<String, Error> {
    let unit = UnitFile::parse(rendered);
    let mut text = rendered.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    // The empty line also ends a last line of the image that a backslash would continue.
    text.push('\n');
    let marker = Values::from([
        ("NAME".to_owned(), request.name.to_owned()),
        ("SERIAL".to_owned(), request.serial.to_string()),
    ]);
    text.push_str(&only_known(MARKER, &marker)?);
    if calls_us(&unit, &values["EXEC_START"]) {
        refuse_other_user(&unit)?;
        let mut added = settings(&unit, values, form, stop_signal);
        added.insert("DESTDIR".to_owned(), quote(request.destdir).into_owned());
        added.insert("GENERATION_FILE".to_owned(), generation_file(request));
        if unit.last("Service", "SyslogIdentifier").is_none() {
            added.insert("SYSLOG_IDENTIFIER".to_owned(), request.name.to_owned());
        }
        text.push_str(&only_known(SERVICE, &added)?);
    }
    Ok(text)
}

/// A runtime without root could read neither the deployment nor make the container.
fn refuse_other_user(unit: &UnitFile) -> Result<(), Error> {
    let user = unit
        .last("Service", "User")
        .filter(|user| !matches!(*user, "root" | "0"));
    let dynamic = unit
        .last("Service", "DynamicUser")
        .filter(|value| matches!(*value, "yes" | "true" | "on" | "1"));
    let setting = match (user, dynamic) {
        (Some(user), _) => format!("User={user}"),
        (None, Some(value)) => format!("DynamicUser={value}"),
        (None, None) => return Ok(()),
    };
    Err(Error::UnitUser { setting })
}

/// A unit that was left over, or came back with an older /etc, must not start another generation
/// that has its slot by now. (The setting takes a path unquoted, but with specifiers.)
fn generation_file(request: &Request<'_>) -> String {
    let slot = request.destdir.replace('%', "%%");
    format!("{slot}/generation.{}", request.serial)
}

/// Whether the service is our command and nothing else; systemd's prefixes do not matter.
pub(super) fn calls_us(unit: &UnitFile, exec_start: &str) -> bool {
    match unit.all("Service", "ExecStart").as_slice() {
        [command] => command.trim_start_matches(['-', '+', '!', ':', '@']).trim() == exec_start,
        _ => false,
    }
}

/// What the unit leaves open and sysc decides.
fn settings(unit: &UnitFile, values: &Values, form: ExecForm, stop_signal: Option<&str>) -> Values {
    let states = |key: &str| unit.last("Service", key).is_some();
    let mut added = match is_ours(&values["RUNTIME"]) {
        true => handed_over(unit, values, stop_signal),
        false => watched_by_number(unit, values, form),
    };
    if let Some(signal) = stop_signal.filter(|_| !states("KillSignal")) {
        added.insert("KILL_SIGNAL".to_owned(), signal.to_owned());
    }
    added
}

/// Whether the runtime is the one that becomes the service itself.
pub(super) fn is_ours(runtime: &str) -> bool {
    Path::new(runtime).file_name() == Some("sysc-runtime".as_ref())
}

/// Any type that says nothing of the program's readiness is `notify`, and the runtime says READY in
/// the program's place. `notify` is the program's own word, for which it gets a filtered socket: that
/// is not the main process, so all may speak. `oneshot`, `dbus` and `idle` stay, for systemd sees by
/// itself when they are ready; only who the main process is must be told.
fn handed_over(unit: &UnitFile, values: &Values, stop_signal: Option<&str>) -> Values {
    let last = |key: &str| unit.last("Service", key);
    let (kind, access, ready) = match last("Type") {
        None | Some("simple" | "exec" | "forking") => (Some("notify"), "main", "runtime"),
        Some("notify" | "notify-reload") => (None, "all", "payload"),
        Some(_) => (None, "main", "systemd"),
    };
    let mut added = Values::new();
    let mut add = |name: &str, value: &str| added.insert(name.to_owned(), value.to_owned());
    if let Some(kind) = kind {
        add("TYPE", kind);
    }
    add("READY", ready);
    if ready == "payload" || last("NotifyAccess").is_none_or(|access| access == "none") {
        add("NOTIFY_ACCESS", access);
    }
    let says_more =
        last("Type") == Some("notify-reload") || last("FileDescriptorStoreMax").is_some();
    if ready == "payload" && says_more {
        add("MORE", "more");
    }
    if last("KillMode").is_none() {
        add("KILL_MODE", "mixed");
    }
    // The first process of a PID namespace hears no SIGABRT without a handler: then it is a hung
    // service for that much longer.
    if last("WatchdogSec").is_some() && last("TimeoutAbortSec").is_none() {
        add("ABORT", "10s");
    }
    // One that signals and returns would have the program hear its stop signal twice.
    let stops = unit.all("Service", "ExecStop");
    if !stops.is_empty() && stops.iter().all(|stop| *stop == values["EXEC_STOP"]) {
        add("NO_STOP", "");
    }
    let (runtime, name) = (&values["RUNTIME"], &values["NAME"]);
    let signal = last("KillSignal").or(stop_signal).unwrap_or("SIGTERM");
    add("HALT", &format!("{runtime} halt '{name}' {signal}"));
    add("DELETE", &format!("{runtime} delete --force '{name}'"));
    added
}

/// With any other runtime. `run -d` ends when the payload runs: any other type would end the unit
/// with it, and `forking` without a PID file guesses the main process. `notify`, `oneshot`, `dbus` and
/// `idle` are the image's own ways of being ready and stay as they are.
fn watched_by_number(unit: &UnitFile, values: &Values, form: ExecForm) -> Values {
    let kind = unit.last("Service", "Type");
    let left_to_us = matches!(kind, None | Some("simple" | "exec"));
    let forking = kind == Some("forking");
    let states = |key: &str| unit.last("Service", key).is_some();
    let mut added = Values::new();
    let mut add = |name: &str, value: &str| added.insert(name.to_owned(), value.to_owned());
    if form == ExecForm::PidFile && left_to_us {
        add("TYPE", "forking");
    }
    if form == ExecForm::PidFile && (left_to_us || forking && !states("PIDFile")) {
        add("PIDFILE", &values["PIDFILE"]);
    }
    if (left_to_us || forking) && !states("KillMode") {
        add("KILL_MODE", "mixed");
    }
    added
}

/// The lines of a template whose variables all have values.
pub(super) fn only_known(template: &str, values: &Values) -> Result<String, Error> {
    let mut text = String::new();
    for line in template.split_inclusive('\n') {
        let line = Template::parse("unit-templates", line)?;
        if line.variables().all(|(name, _)| values.contains_key(name)) {
            text.push_str(&line.fill(values)?.text);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Ask;
    use super::*;

    const START: &str = "/usr/bin/sysc-runtime run 'box'";
    const OURS: &str = "/usr/bin/sysc-runtime";

    /// The unit as completed, for a template of either form with these lines in `[Service]`.
    fn completed(form: ExecForm, lines: &str, stop_signal: Option<&str>) -> UnitFile {
        UnitFile::parse(&completed_text(form, lines, stop_signal, OURS))
    }

    fn completed_text(
        form: ExecForm,
        lines: &str,
        stop_signal: Option<&str>,
        runtime: &str,
    ) -> String {
        let ask = Ask::new("box");
        let values = Values::from(
            [
                ("EXEC_START", START),
                ("EXEC_STOP", "/usr/bin/sysc-runtime kill 'box'"),
                ("NAME", "box"),
                ("PIDFILE", "/run/container-box.pid"),
                ("RUNTIME", runtime),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let rendered = format!("[Service]\n{lines}");
        complete(&rendered, &ask.request(), &values, form, stop_signal).unwrap()
    }

    #[test]
    fn each_unit_gets_the_marker_and_only_ours_the_rest() {
        let ours = format!("ExecStart={START}\n");
        let cases = [
            (ours.clone(), true),
            (format!("ExecStart=-{START}\n"), true),
            (format!("ExecStart=+{START} \n"), true),
            (format!("ExecStart=:{START}\n"), true),
            (
                format!("ExecStart=/old\nExecStart=\nExecStart={START}\n"),
                true,
            ),
            (format!("ExecStart=/bin/sh -c \"{START}\"\n"), false),
            (format!("ExecStart={START} --flag\n"), false),
            (format!("ExecStart={START}\nExecStart=/bin/true\n"), false),
            ("ExecStart=/usr/bin/python waagent\n".to_owned(), false),
            (String::new(), false),
        ];
        for (lines, gets_it) in cases {
            let unit = completed(ExecForm::Foreground, &lines, Some("SIGINT"));
            assert_eq!(
                unit.last("Unit", "X-Sysc-Generation"),
                Some("box/7"),
                "{lines}"
            );
            for key in ["SyslogIdentifier", "KillSignal", "KillMode"] {
                assert_eq!(
                    unit.last("Service", key).is_some(),
                    gets_it,
                    "{key}: {lines}"
                );
            }
            let mounts = unit.last("Unit", "RequiresMountsFor");
            let right = gets_it.then_some("/var/lib/containers/atomic/box.0");
            assert_eq!(mounts, right, "{lines}");
        }
    }

    /// Form, Type of the image; Type, PIDFile and KillMode in the end.
    #[test]
    fn who_says_ready_follows_from_the_type() {
        let (mixed, main) = (Some("mixed"), Some("main"));
        let cases = [
            ("", "notify", main, "runtime"),
            ("Type=simple", "notify", main, "runtime"),
            ("Type=exec", "notify", main, "runtime"),
            ("Type=forking\nPIDFile=/x", "notify", main, "runtime"),
            ("Type=notify", "notify", Some("all"), "payload"),
            (
                "Type=notify\nNotifyAccess=main",
                "notify",
                Some("all"),
                "payload",
            ),
            (
                "Type=notify-reload",
                "notify-reload",
                Some("all"),
                "payload",
            ),
            ("Type=oneshot", "oneshot", main, "systemd"),
            ("Type=dbus", "dbus", main, "systemd"),
            ("Type=idle", "idle", main, "systemd"),
            ("NotifyAccess=exec", "notify", Some("exec"), "runtime"),
            ("NotifyAccess=none", "notify", main, "runtime"),
        ];
        for (lines, kind, access, ready) in cases {
            let unit = completed(
                ExecForm::PidFile,
                &format!("ExecStart={START}\n{lines}\n"),
                None,
            );
            let found = ["Type", "NotifyAccess", "KillMode"].map(|key| unit.last("Service", key));
            assert_eq!(found, [Some(kind), access, mixed], "{lines}");
            let said = format!("SYSC_READY={ready}");
            assert_eq!(unit.all("Service", "Environment")[0], said, "{lines}");
        }
    }

    #[test]
    fn a_filter_stays_where_the_program_has_more_to_say() {
        let more = [
            "Type=notify-reload",
            "Type=notify\nFileDescriptorStoreMax=2",
        ];
        for (lines, stays) in [(more[0], true), (more[1], true), ("Type=notify", false)] {
            let unit = completed(
                ExecForm::PidFile,
                &format!("ExecStart={START}\n{lines}\n"),
                None,
            );
            let found = unit
                .all("Service", "Environment")
                .contains(&"SYSC_NOTIFY=more");
            assert_eq!(found, stays, "{lines}");
        }
    }

    #[test]
    fn a_stop_signals_once_and_something_cleans_up() {
        let halt = "-/usr/bin/sysc-runtime halt 'box' SIGTERM";
        let kill = "/usr/bin/sysc-runtime kill 'box'";
        let cases: [(String, Vec<&str>); 3] = [
            (String::new(), vec![halt]),
            (format!("ExecStop={kill}"), vec![halt]),
            ("ExecStop=/bin/bye".to_owned(), vec!["/bin/bye", halt]),
        ];
        for (lines, stops) in cases {
            let lines = format!("ExecStart={START}\nExecStopPost=/bin/own\n{lines}\n");
            let unit = completed(ExecForm::Foreground, &lines, None);
            assert_eq!(unit.all("Service", "ExecStop"), stops, "{lines}");
            let delete = "-/usr/bin/sysc-runtime delete --force 'box'";
            assert_eq!(unit.all("Service", "ExecStopPost"), ["/bin/own", delete]);
        }
        let lines = format!("ExecStart={START}\nKillSignal=SIGRTMIN+3\n");
        let unit = completed(ExecForm::Foreground, &lines, Some("SIGINT"));
        let halt = "-/usr/bin/sysc-runtime halt 'box' SIGRTMIN+3";
        assert_eq!(unit.last("Service", "ExecStop"), Some(halt));
    }

    #[test]
    fn with_another_runtime_type_is_ours_only_where_the_image_leaves_it_to_us() {
        use ExecForm::{Foreground, PidFile};
        let pid = Some("/run/container-box.pid");
        let mixed = Some("mixed");
        let cases = [
            (PidFile, "", Some("forking"), pid, mixed),
            (PidFile, "Type=simple", Some("forking"), pid, mixed),
            (PidFile, "Type=exec", Some("forking"), pid, mixed),
            (PidFile, "Type=forking", Some("forking"), pid, mixed),
            (
                PidFile,
                "Type=forking\nPIDFile=/x",
                Some("forking"),
                Some("/x"),
                mixed,
            ),
            (PidFile, "Type=notify", Some("notify"), None, None),
            (PidFile, "Type=oneshot", Some("oneshot"), None, None),
            (PidFile, "Type=simple\nType=", Some("forking"), pid, mixed),
            (Foreground, "", None, None, mixed),
            (Foreground, "Type=simple", Some("simple"), None, mixed),
            (Foreground, "Type=notify", Some("notify"), None, None),
            (Foreground, "Type=oneshot", Some("oneshot"), None, None),
            (Foreground, "Type=dbus", Some("dbus"), None, None),
            (Foreground, "Type=idle", Some("idle"), None, None),
            (Foreground, "KillMode=process", None, None, Some("process")),
        ];
        for (form, lines, kind, pid_file, kill_mode) in cases {
            let lines = format!("ExecStart={START}\n{lines}\n");
            let unit = UnitFile::parse(&completed_text(form, &lines, None, "/usr/bin/runc"));
            let found = ["Type", "PIDFile", "KillMode"].map(|key| unit.last("Service", key));
            assert_eq!(found, [kind, pid_file, kill_mode], "{form:?} {lines}");
        }
    }

    /// W09: refused with what to do, and not half-run as somebody.
    #[test]
    fn w09_the_runtime_is_roots() {
        let ask = Ask::new("box");
        let values = [
            ("EXEC_START", START),
            ("EXEC_STOP", ""),
            ("NAME", "box"),
            ("PIDFILE", "/run/container-box.pid"),
            ("RUNTIME", "/usr/bin/sysc-runtime"),
        ];
        let values: Values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let complete = |lines: &str| {
            let text = format!("[Service]\n{lines}\n");
            complete(&text, &ask.request(), &values, ExecForm::Foreground, None)
        };
        for line in ["User=web", "DynamicUser=yes", "User=root\nUser=1000"] {
            let error = complete(&format!("ExecStart={START}\n{line}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("process.user"), "{error}");
        }
        for line in ["User=root", "User=", "DynamicUser=no", ""] {
            assert!(
                complete(&format!("ExecStart={START}\n{line}")).is_ok(),
                "{line}"
            );
        }
        assert!(
            complete("ExecStart=/usr/bin/own\nUser=web").is_ok(),
            "the image's own program"
        );
    }

    #[test]
    fn what_the_image_states_stays() {
        let lines = format!(
            "ExecStart={START}\nKillSignal=SIGRTMIN+3\nSyslogIdentifier=own\nKillMode=control-group\n"
        );
        let unit = completed(ExecForm::PidFile, &lines, Some("SIGINT"));
        assert_eq!(unit.last("Service", "KillSignal"), Some("SIGRTMIN+3"));
        assert_eq!(unit.last("Service", "SyslogIdentifier"), Some("own"));
        assert_eq!(unit.last("Service", "KillMode"), Some("control-group"));
    }

    #[test]
    fn the_image_s_stop_signal_becomes_the_unit_s() {
        let lines = format!("ExecStart={START}\n");
        let unit = completed(ExecForm::PidFile, &lines, Some("SIGQUIT"));
        assert_eq!(unit.last("Service", "KillSignal"), Some("SIGQUIT"));
        assert_eq!(
            completed(ExecForm::PidFile, &lines, None).last("Service", "KillSignal"),
            None
        );
    }

    #[test]
    fn an_unfinished_last_line_of_the_image_does_not_swallow_the_marker() {
        for end in ["", "\n", "\\", "\\\n", "# x\\"] {
            let unit = completed(
                ExecForm::Foreground,
                &format!("ExecStart={START}\nA=b {end}"),
                None,
            );
            assert_eq!(
                unit.last("Unit", "X-Sysc-Generation"),
                Some("box/7"),
                "{end:?}"
            );
        }
    }

    #[test]
    fn lines_without_a_value_are_left_out_whole() {
        let lines = format!("ExecStart={START}\n");
        let text = completed_text(ExecForm::Foreground, &lines, None, "/usr/bin/crun");
        assert!(!text.contains('$') && !text.contains("Type=") && !text.contains("PIDFile="));
        assert!(
            text.ends_with("SyslogIdentifier=box\nKillMode=mixed\n"),
            "{text}"
        );
    }
}
