//! The demonstration: etcd, from a registry, as a systemd service, and gone again.
//!
//! On a throw-away machine, or with `DEMO_HOST=self` on this host where systemd has booted it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sysc_tests::command::{self, Output};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::product;
use sysc_tests::registry::Registry;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;

/// The store, which keeps pulled images.
const STORE: &str = "var/lib/containers";

const NAME: &str = "etcd-3";

fn main() -> ExitCode {
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demonstration failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<()> {
    let begun = Instant::now();
    heading("An image: etcd from Debian's packages, with templates in /exports");
    let image = images::etcd()?;
    println!("{}", image.digest());

    heading("A registry on 127.0.0.1");
    let registry = Registry::start()?;
    let reference = registry.push(&image, "etcd:3")?;
    println!("{reference}");

    heading("A host that systemd has booted, with sysc and sysc-runtime, and no engine");
    let host = Host::find()?;
    host.show(&["systemctl", "--version"])?;
    host.without_engines()?;
    let before = Before::of(&host)?;

    heading("sysc install");
    host.show(&["sysc", "install", &reference])?;
    heading("systemctl start");
    host.show(&["systemctl", "start", NAME])?;
    host.show(&["systemctl", "status", "--no-pager", "--lines=0", NAME])?;
    let state = host.run(&["systemctl", "is-active", NAME])?.ok()?;
    ensure!(state.trim() == "active", "the service is {state}");

    heading("etcdctl put, etcdctl get");
    host.use_etcd()?;
    heading("sysc list");
    host.show(&["sysc", "list"])?;
    heading("The process tree: systemd, then etcd; no runtime and no shim between or beside them");
    host.process_tree()?;

    heading("sysc uninstall");
    host.show(&["sysc", "uninstall", NAME])?;
    before.is_restored(&host)?;
    println!("\ndone in {:.1} s", begun.elapsed().as_secs_f64());
    println!("nothing is left");
    Ok(())
}

fn heading(text: &str) {
    println!("\n=== {text}");
}

/// Where the demonstration takes place.
enum Host {
    Machine(Box<Machine>),
    Itself { programs: PathBuf },
}

impl Host {
    fn find() -> Result<Self> {
        match std::env::var("DEMO_HOST").as_deref() {
            Ok("self") => {
                ensure!(
                    Path::new("/run/systemd/system").is_dir(),
                    "DEMO_HOST=self needs a host that systemd has booted"
                );
                let [sysc, _] = product::programs()?;
                let programs = sysc.parent().context("no directory")?.canonicalize()?;
                Ok(Self::Itself { programs })
            }
            Ok(other) => bail!("DEMO_HOST={other} is unknown; 'self' is possible"),
            Err(_) => Ok(Self::Machine(Box::new(Machine::boot(Suite::Bookworm)?))),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        match self {
            Self::Machine(machine) => machine.run(arguments),
            Self::Itself { programs } => {
                let path = std::env::var("PATH").unwrap_or_default();
                let path = format!("PATH={}:{path}", programs.display());
                command::run("env", &[&[path.as_str()], arguments].concat())
            }
        }
    }

    /// Shows the command and what it says; it must succeed.
    fn show(&self, arguments: &[&str]) -> Result<()> {
        println!("# {}", arguments.join(" "));
        let output = self.run(arguments)?;
        print!("{}{}", output.stderr, output.stdout);
        output.ok().map(drop)
    }

    fn root(&self) -> PathBuf {
        match self {
            Self::Machine(machine) => machine.path("/"),
            Self::Itself { .. } => PathBuf::from("/"),
        }
    }

    fn without_engines(&self) -> Result<()> {
        for program in [
            "runc",
            "crun",
            "skopeo",
            "podman",
            "conmon",
            "dockerd",
            "containerd",
        ] {
            let found = self.run(&["sh", "-c", &format!("command -v {program}")])?;
            match self {
                Self::Machine(_) => ensure!(found.status != 0, "{program} is installed"),
                Self::Itself { .. } if found.status == 0 => println!("({program} is installed)"),
                Self::Itself { .. } => {}
            }
        }
        Ok(())
    }

    fn use_etcd(&self) -> Result<()> {
        let etcdctl = format!("/var/lib/containers/atomic/{NAME}/rootfs/usr/bin/etcdctl");
        let end = Instant::now() + std::time::Duration::from_secs(30);
        while self
            .run(&["env", "ETCDCTL_API=3", &etcdctl, "endpoint", "health"])?
            .status
            != 0
        {
            ensure!(Instant::now() < end, "etcd does not answer");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        self.show(&["env", "ETCDCTL_API=3", &etcdctl, "put", "greeting", "hello"])?;
        self.show(&["env", "ETCDCTL_API=3", &etcdctl, "get", "greeting"])?;
        let got = self
            .run(&["env", "ETCDCTL_API=3", &etcdctl, "get", "greeting"])?
            .ok()?;
        ensure!(got == "greeting\nhello\n", "etcd says {got:?}");
        Ok(())
    }

    fn process_tree(&self) -> Result<()> {
        self.show(&["ps", "-eo", "pid,ppid,args", "--forest"])?;
        let main = self
            .run(&["systemctl", "show", "--value", "-p", "MainPID", NAME])?
            .ok()?;
        let parent = self.run(&["ps", "-o", "ppid=", "-p", main.trim()])?.ok()?;
        ensure!(
            parent.trim() == "1",
            "the parent of etcd is process {parent}"
        );
        let all = self.run(&["ps", "-eo", "comm="])?.ok()?;
        let ours = all.lines().find(|name| name.starts_with("sysc"));
        ensure!(ours.is_none(), "{ours:?} runs");
        Ok(())
    }
}

/// What the host was like before anything was installed.
struct Before {
    files: Snapshot,
    deployments: BTreeSet<OsString>,
    data: PathBuf,
}

impl Before {
    fn of(host: &Host) -> Result<Self> {
        // Another etcd would be asked in the place of ours.
        for port in [2379, 2380] {
            TcpListener::bind(("127.0.0.1", port))
                .with_context(|| format!("the demonstration needs port {port} for etcd"))?;
        }
        let data = host.root().join("var/lib").join(NAME);
        ensure!(!data.exists(), "'{}' exists already", data.display());
        Ok(Self {
            files: files(host)?,
            deployments: deployments(host)?,
            data,
        })
    }

    /// Data stays by design; the demonstration removes its own, then compares everything.
    fn is_restored(&self, host: &Host) -> Result<()> {
        println!("(etcd's data stays; this demonstration removes it)");
        fs::remove_dir_all(&self.data)
            .with_context(|| format!("cannot remove '{}'", self.data.display()))?;
        let changes = self.files.changes(&files(host)?);
        ensure!(changes.is_empty(), "left behind:\n{}", changes.join("\n"));
        let left = &deployments(host)? - &self.deployments;
        ensure!(left.is_empty(), "deployments are left: {left:?}");
        for (what, line) in [
            ("mounts", "cat /proc/self/mountinfo"),
            ("cgroups", "find /sys/fs/cgroup -type d"),
            ("records", "find /run"),
            ("units", "systemctl list-units --all --plain --no-legend"),
        ] {
            let all = host.run(&["sh", "-c", line])?;
            let left: Vec<_> = all.stdout.lines().filter(|l| l.contains(NAME)).collect();
            ensure!(left.is_empty(), "{what} are left:\n{}", left.join("\n"));
        }
        let running = host.run(&["ps", "-eo", "comm="])?.ok()?;
        ensure!(!running.lines().any(|name| name == "etcd"), "etcd runs");
        Ok(())
    }
}

fn files(host: &Host) -> Result<Snapshot> {
    match host {
        Host::Machine(_) => Snapshot::of_host(&host.root(), &[STORE]),
        // A busy host changes all the time; where sysc writes is looked at.
        Host::Itself { .. } => Snapshot::of(&host.root().join("etc"), &[]),
    }
}

fn deployments(host: &Host) -> Result<BTreeSet<OsString>> {
    match fs::read_dir(host.root().join("var/lib/containers/atomic")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        entries => Ok(entries?
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .filter(|name| name != ".storage")
            .collect()),
    }
}
