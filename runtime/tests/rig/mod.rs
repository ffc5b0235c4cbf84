//! A bundle with a busybox root in a directory of its own, and the built runtime to try on it.
//!
//! What a test leaves running is ended when its rig is dropped, also when the test panics.
#![allow(dead_code, reason = "each test file uses its share")]
#![allow(
    clippy::unwrap_used,
    reason = "a rig that cannot be built is a failed test"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests start the program that they test"
)]

pub mod attacker;
pub mod guest;
pub mod hierarchies;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use hierarchies::Home;
use serde_json::{Value, json};
use tempfile::TempDir;

const APPLETS: &[&str] = &[
    "[", "cat", "chmod", "date", "dd", "echo", "env", "false", "find", "grep", "head", "hostname",
    "id", "ifconfig", "kill", "ln", "ls", "mkdir", "mknod", "mount", "ps", "pwd", "readlink", "rm",
    "rmdir", "sed", "sh", "sleep", "stat", "stty", "test", "touch", "trap", "true", "tty", "umask",
    "wc",
];

/// A bundle, a state root, and the names used in it.
pub struct Rig {
    scratch: TempDir,
    program: PathBuf,
    home: Home,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, trimmed.
    pub out: String,
    /// Standard error, trimmed.
    pub err: String,
}

impl Rig {
    /// A bundle with the configuration that `spec` writes, without a terminal.
    pub fn new() -> Rig {
        Rig::started_in("shell")
    }

    /// The same, for a runtime that a service of systemd's starts.
    pub fn in_service() -> Rig {
        Rig::started_in("test.service")
    }

    fn started_in(below: &'static str) -> Rig {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let scratch = tempfile::tempdir().unwrap();
        let name = scratch.path().file_name().unwrap().to_string_lossy();
        let home = Home::new(name.trim_start_matches('.'), below);
        let program = executable();
        let rig = Rig {
            scratch,
            program,
            home,
        };
        for directory in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
            std::fs::create_dir_all(rig.rootfs().join(directory)).unwrap();
        }
        std::fs::copy("/bin/busybox", rig.rootfs().join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", rig.rootfs().join("bin").join(applet)).unwrap();
        }
        std::fs::write(
            rig.rootfs().join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n",
        )
        .unwrap();
        rig.runtime(&["spec"]).ok();
        rig.config(|config| {
            config["process"]["terminal"] = json!(false);
            config["root"]["readonly"] = json!(false);
        });
        rig
    }

    /// From here on it is a copy of the runtime that is tried, for a test that may spoil it.
    pub fn with_own_program(mut self) -> Rig {
        let own = self.bundle().join("sysc-runtime");
        // By another process: ours may be forked while it holds the new file open for writing, and
        // then nobody can execute it.
        let line = format!("cp {} {}", self.program.display(), own.display());
        self.shell(&line).ok();
        self.program = own;
        self
    }

    /// The runtime that is tried here.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The bundle's directory.
    pub fn bundle(&self) -> &Path {
        self.scratch.path()
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// Where the runtime keeps its state.
    pub fn state_root(&self) -> PathBuf {
        self.bundle().join("state")
    }

    /// Changes config.json.
    pub fn config(&self, change: impl FnOnce(&mut Value)) -> &Rig {
        let path = self.bundle().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        self
    }

    /// Sets the program.
    pub fn args(&self, args: &[&str]) -> &Rig {
        self.config(|config| config["process"]["args"] = json!(args))
    }

    /// Sets a shell script as the program.
    pub fn script(&self, script: &str) -> &Rig {
        self.args(&["sh", "-c", script])
    }

    /// The runtime, with its state below this rig and the bundle as working directory.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.home.enter(), "sh"])
            .arg(&self.program)
            .arg("--root")
            .arg(self.state_root())
            .args(words)
            .current_dir(self.bundle());
        command.stdin(Stdio::null());
        command
    }

    /// Runs the runtime to its end. Output goes through files: a detached payload keeps them open.
    pub fn runtime(&self, words: &[&str]) -> Ended {
        let file = |name: &str| tempfile::NamedTempFile::with_prefix(name).unwrap();
        let (out, err) = (file("out"), file("err"));
        let status = self
            .command(words)
            .stdout(out.reopen().unwrap())
            .stderr(err.reopen().unwrap())
            .status()
            .unwrap();
        let text = |file: &tempfile::NamedTempFile| {
            String::from_utf8_lossy(&std::fs::read(file.path()).unwrap())
                .trim()
                .to_owned()
        };
        Ended {
            code: status.code(),
            out: text(&out),
            err: text(&err),
        }
    }

    /// `run` in the foreground.
    pub fn run(&self) -> Ended {
        self.runtime(&["run", "c"])
    }

    /// Starts the runtime and does not wait for it.
    pub fn spawn(&self, words: &[&str]) -> Child {
        self.command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a line in the host's shell, which can set what a test cannot set for itself alone.
    pub fn shell(&self, line: &str) -> Ended {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", line]).current_dir(self.bundle()).output();
        output.unwrap().into()
    }

    /// The state of a container, parsed.
    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.runtime(&["state", id]).ok()).unwrap()
    }

    /// The word for what a container does; `absent` when there is none.
    pub fn status(&self, id: &str) -> String {
        match self.runtime(&["state", id]) {
            Ended {
                code: Some(0), out, ..
            } => serde_json::from_str::<Value>(&out).unwrap()["status"]
                .as_str()
                .unwrap()
                .to_owned(),
            _ => "absent".to_owned(),
        }
    }

    /// Number of the container's first process.
    pub fn pid(&self, id: &str) -> i32 {
        self.state(id)["pid"].as_i64().unwrap() as i32
    }

    /// Waits until a container does what is asked for.
    pub fn until(&self, id: &str, status: &str) {
        eventually(|| self.status(id) == status);
    }

    /// Nothing of any container is left; compiled filters are of none.
    pub fn assert_clean(&self) {
        let entries = std::fs::read_dir(self.state_root()).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name != ".filters").collect();
        assert!(left.is_empty(), "left over: {left:?}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let here = self.bundle().to_str().unwrap();
        assert!(!mounts.contains(here), "a mount is left over");
    }
}

/// The runtime that is tried: the one just built, or the one that `SYSC_RUNTIME` names, such as the
/// static file that is shipped.
pub fn executable() -> PathBuf {
    std::env::var_os("SYSC_RUNTIME")
        .map_or_else(|| env!("CARGO_BIN_EXE_sysc-runtime").into(), PathBuf::from)
}

impl Drop for Rig {
    fn drop(&mut self) {
        for id in self.runtime(&["list", "-q"]).out.lines() {
            self.runtime(&["delete", "--force", id]);
        }
    }
}

impl Ended {
    /// It worked; gives its output.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    /// It failed as the runtime fails: status 1 and one line, which is returned.
    pub fn refused(self) -> String {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ended {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

/// Waits for something that another process does.
pub fn eventually(mut happened: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !happened() {
        assert!(std::time::Instant::now() < end, "it did not happen");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Whether a process is there and not only waiting to be reaped.
pub fn is_alive(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) => false,
    }
}
