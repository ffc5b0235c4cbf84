//! In runc's place: what engines say is understood, and what they read back looks as runc's does.
//! Debian's runc runs beside ours, with the same bundle and the same words.
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

mod rig;

use std::collections::BTreeMap;

use rig::{Ended, Rig, executable};
use serde_json::{Value, json};

/// Which runtime is meant.
#[derive(Clone, Copy)]
enum Runtime {
    Ours,
    Runc,
}

/// One bundle for each of the two, with a container `c` that waits to be killed.
struct Beside {
    ours: Rig,
    runc: Rig,
}

impl Beside {
    fn new() -> Beside {
        let beside = Beside {
            ours: sleeper(),
            runc: sleeper(),
        };
        for runtime in [Runtime::Ours, Runtime::Runc] {
            beside.say(runtime, "run -d c").ok();
        }
        beside
    }

    fn rig(&self, runtime: Runtime) -> &Rig {
        match runtime {
            Runtime::Ours => &self.ours,
            Runtime::Runc => &self.runc,
        }
    }

    /// Says `line` to a runtime. It has 20 seconds, as a hung one must not hang the test.
    fn say(&self, runtime: Runtime, line: &str) -> Ended {
        let rig = self.rig(runtime);
        let program = match runtime {
            Runtime::Ours => executable().display().to_string(),
            Runtime::Runc => "runc".to_owned(),
        };
        let root = rig.state_root();
        let root = root.display();
        rig.shell(&format!(
            "timeout -k 1 20 {program} --root {root} {line} </dev/null >out 2>err; status=$?\n\
             cat out; cat err >&2; exit $status"
        ))
    }

    fn json(&self, runtime: Runtime, line: &str) -> Value {
        let text = self.say(runtime, line).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.say(Runtime::Runc, "delete --force c");
    }
}

fn sleeper() -> Rig {
    let rig = Rig::new();
    rig.args(&["sleep", "1000"]);
    let name = rig.bundle().file_name().unwrap().to_string_lossy();
    rig.config(|config| config["linux"]["cgroupsPath"] = json!(format!("/drop-in{name}")));
    rig
}

/// Paths of all values, each with its type. An array is as its first element.
fn shape(value: &Value) -> BTreeMap<String, &'static str> {
    let below = |name: &str, value: &Value| {
        let inner = shape(value).into_iter();
        inner
            .map(|(path, kind)| (format!("{name}{path}"), kind))
            .collect::<Vec<_>>()
    };
    let (kind, inner) = match value {
        Value::Null => ("null", Vec::new()),
        Value::Bool(_) => ("bool", Vec::new()),
        Value::Number(_) => ("number", Vec::new()),
        Value::String(_) => ("string", Vec::new()),
        Value::Array(items) => (
            "array",
            items.first().map_or(Vec::new(), |v| below("[]", v)),
        ),
        Value::Object(fields) => {
            let fields = fields.iter();
            let inner = fields.flat_map(|(name, value)| below(&format!(".{name}"), value));
            ("object", inner.collect())
        }
    };
    [(String::new(), kind)].into_iter().chain(inner).collect()
}

#[test]
fn answers_have_the_shape_of_runcs() {
    let beside = Beside::new();
    // What runc has and we have not, by the beginning of its path.
    let table: [(&str, &[&str]); 4] = [
        ("state c", &[]),
        ("list --format json", &[]),
        ("ps --format json c", &[]),
        (
            "events --stats c",
            &[".data.cpuset", ".data.cpu.usage.percpu_"],
        ),
    ];
    for (line, left_out) in table {
        let [ours, runc] =
            [Runtime::Ours, Runtime::Runc].map(|runtime| shape(&beside.json(runtime, line)));
        for (path, kind) in &runc {
            match ours.get(path) {
                Some(found) => assert_eq!(found, kind, "{line}: {path}"),
                None => assert!(
                    left_out.iter().any(|start| path.starts_with(start)),
                    "{line}: {path} is missing"
                ),
            }
        }
    }
    for line in ["list", "ps c"] {
        let heading = |runtime| {
            let said = beside.say(runtime, line).ok();
            let words = said.lines().next().unwrap_or_default().split_whitespace();
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(heading(Runtime::Ours), heading(Runtime::Runc), "{line}");
    }
}

/// `c` runs all the while: whatever would change it fails.
const LINES: &[&str] = &[
    "state nope",
    "state",
    "state c d",
    "state a/b",
    "start nope",
    "start c",
    "start",
    "kill nope",
    "kill",
    "kill c BADSIG",
    "kill c 99",
    "kill nope KILL",
    "delete nope",
    "delete",
    "delete c",
    "delete --force nope",
    "exec nope true",
    "exec",
    "exec c /no/such",
    "exec c /etc",
    "exec --cwd /no/such c true",
    "exec --process /no/such c",
    "exec --preserve-fds 5 c true",
    "exec c true",
    "exec c sh -c 'exit 7'",
    "exec c sh -c 'kill -9 $$'",
    "ps nope",
    "ps",
    "ps --format xml c",
    "ps c --no-such-option",
    "ps c",
    "pause nope",
    "pause",
    "resume nope",
    "resume c",
    "resume",
    "update nope",
    "update",
    "update --memory xyz c",
    "update --pids-limit x c",
    "update --resources /no/such c",
    "events nope",
    "events",
    "events --stats nope",
    "events --interval 0s c",
    "events --interval x c",
    "run",
    "run --bundle /no/such x",
    "run c",
    "run a b",
    "run a/b",
    "run --preserve-fds x y",
    "create",
    "create --bundle /no/such x",
    "create c",
    "list --format yaml",
    "list --quiet",
    "list",
    "spec",
    "spec --bundle /no/such",
    "checkpoint",
    "restore",
    "--log-format xml list",
    "--no-such-flag list",
    "run --no-such-flag x",
    "--help",
    "help",
    "run --help",
    "--version",
    "features",
    "run --pid-file /no/such/file x",
    "run --console-socket /no/such x",
];

/// But for words that runc understands only once it looks at the container: `exec --user x` is 255
/// there and 1 here, as every command line that is not understood.
#[test]
fn statuses_are_runcs() {
    let beside = Beside::new();
    for line in LINES {
        let [ours, runc] = [Runtime::Ours, Runtime::Runc].map(|runtime| beside.say(runtime, line));
        assert_eq!(
            ours.code, runc.code,
            "'{line}': {} / {}",
            ours.err, runc.err
        );
    }
}

/// The whole life of a container, in the words of containerd's shim.
#[test]
fn the_shim_of_containerd_is_understood() {
    let rig = sleeper();
    let log = "--log log.json --log-format json";
    let say = |line: &str| said(&rig, &format!("{log} {line}")).ok();
    say("--debug create --bundle . --pid-file init.pid --no-pivot --no-new-keyring c");
    assert_eq!(
        std::fs::read_to_string(rig.bundle().join("init.pid")).unwrap(),
        rig.pid("c").to_string()
    );
    say("start c");
    let process = json!({"args": ["sleep", "1000"], "cwd": "/", "user": {"uid": 0, "gid": 0}});
    std::fs::write(rig.bundle().join("process.json"), process.to_string()).unwrap();
    say("exec --process process.json --detach --pid-file exec.pid c");
    let numbers: Vec<i32> = serde_json::from_str(&say("ps --format json c")).unwrap();
    let started = std::fs::read_to_string(rig.bundle().join("exec.pid")).unwrap();
    assert!(numbers.contains(&started.parse().unwrap()), "{numbers:?}");
    say("events --stats c");
    std::fs::write(
        rig.bundle().join("limits.json"),
        r#"{"pids": {"limit": 77}}"#,
    )
    .unwrap();
    let line = format!("{log} update --resources - c <limits.json");
    let updated = said(&rig, &line);
    assert!(
        updated.code == Some(0) || updated.err.contains("controller 'pids'"),
        "{updated:?}"
    );
    say("pause c");
    say("resume c");
    say("state c");
    say("kill --all c 9");
    rig.until("c", "stopped");
    say("delete c");
    say("delete --force c");
    rig.assert_clean();
}

/// conmon says fewer words, and some of its own.
#[test]
fn conmon_is_understood() {
    let rig = sleeper();
    let say = |line: &str| said(&rig, &format!("--log-format=json --log=log {line}"));
    say("--systemd-cgroup --rootless=false list").ok();
    say("create --bundle . --no-pivot --preserve-fds 0 --pid-file pidfile c").ok();
    say("start c").ok();
    say("exec --pid-file exec.pid --process=/no/such --detach --preserve-fds 0 c");
    say("kill c TERM").ok();
    say("kill c KILL").ok();
    rig.until("c", "stopped");
    say("delete --force c").ok();
    rig.assert_clean();
}

/// The last error in the log is what an engine shows to its user.
#[test]
fn the_log_says_what_standard_error_says() {
    let rig = Rig::new();
    let failed = said(&rig, "--log log.json --log-format json state nope");
    let text = std::fs::read_to_string(rig.bundle().join("log.json")).unwrap();
    let entry: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(entry["level"], "error");
    assert!(
        failed.err.contains(entry["msg"].as_str().unwrap()),
        "{entry}"
    );
    let time = entry["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() >= 20, "RFC 3339: {time}");

    said(&rig, "--log log.text state nope");
    said(&rig, "--debug --log log.text list").ok();
    let text = std::fs::read_to_string(rig.bundle().join("log.text")).unwrap();
    let levels: Vec<&str> = text
        .lines()
        .map(|line| {
            assert!(
                line.starts_with("time=\"") && line.contains(" msg="),
                "{line}"
            );
            line.split("level=")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(levels.first(), Some(&"error"));
    assert_eq!(levels.last(), Some(&"debug"));
}

/// Callers put words of their own before those of their configuration; the last one counts.
#[test]
fn a_flag_that_is_said_twice_counts_once() {
    let rig = Rig::new();
    let list = said(&rig, "--root /no/such list --format table --format json").ok();
    assert_eq!(list, "[]");
}

/// Says `line` to our runtime; a redirection may end it.
fn said(rig: &Rig, line: &str) -> Ended {
    let program = executable();
    let root = rig.state_root();
    rig.shell(&format!(
        "exec </dev/null\n{} --root {} {line} >out 2>err; status=$?\ncat out; cat err >&2; exit $status",
        program.display(),
        root.display()
    ))
}
