//! What is compared.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use sysc_tests::product;

use crate::bundle::Bundle;

/// A way to start a container.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name in tables.
    pub name: &'static str,
    program: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Runtime,
    Bubblewrap,
    /// No container at all.
    Plain,
}

/// The peer that the others are measured by.
pub const YARDSTICK: &str = "crun";

/// Those that are installed, the yardstick first.
pub fn installed() -> Result<Vec<Peer>> {
    let runtime = |name, program| Peer {
        name,
        program,
        kind: Kind::Runtime,
    };
    let find = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    };
    let crun =
        find(YARDSTICK).context("crun is not installed\nhelp: 'make bench-start' does it")?;
    let [_, ours] = product::programs()?;
    let mut peers = vec![runtime(YARDSTICK, crun), runtime("sysc-runtime", ours)];
    peers.extend(find("runc").map(|program| runtime("runc", program)));
    peers.extend(find("bwrap").map(|program| Peer {
        name: "bubblewrap",
        program,
        kind: Kind::Bubblewrap,
    }));
    peers.push(Peer {
        name: "plain exec",
        program: PathBuf::new(),
        kind: Kind::Plain,
    });
    Ok(peers)
}

impl Peer {
    /// Whether it has create, start, exec and delete.
    pub fn is_runtime(&self) -> bool {
        self.kind == Kind::Runtime
    }

    /// Starts the payload and waits for it.
    pub fn run(&self, bundle: &Bundle) -> Command {
        match self.kind {
            Kind::Runtime => self.verb(&bundle.dir, &["run", "bench"]),
            Kind::Plain => quiet(Command::new(bundle.rootfs().join("first"))),
            Kind::Bubblewrap => {
                let mut command = Command::new(&self.program);
                command
                    .args(["--unshare-all", "--ro-bind"])
                    .arg(bundle.rootfs());
                let rest = "/ --proc /proc --dev /dev --tmpfs /dev/shm --mqueue /dev/mqueue \
                            --ro-bind /sys /sys --hostname bench --new-session";
                command.args(rest.split_whitespace()).arg("/first");
                quiet(command)
            }
        }
    }

    /// One call of a runtime, with its state in memory beside the bundle.
    pub fn verb(&self, bundle: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let root = bundle.with_file_name(format!("state-{}", self.name));
        command
            .arg("--root")
            .arg(root)
            .args(words)
            .current_dir(bundle);
        quiet(command)
    }
}

/// Without a terminal, and heard only when asked.
pub fn quiet(mut command: Command) -> Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
