//! podman, with conmon beside each container.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::house::{Hierarchy, House};
use super::{IMAGE, image};
use crate::command::Output;

/// A podman of its own, which has [`IMAGE`].
#[derive(Debug)]
pub struct Podman {
    house: House,
    globals: Vec<String>,
    cgroup: String,
}

/// podman's own defaults raise hard limits, which not every root may.
const SETTINGS: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"#;

impl Podman {
    /// Sets it up, with the runtime under test.
    pub fn new(hierarchy: Hierarchy) -> Result<Self> {
        let house = House::build(hierarchy)?;
        let disk = house.disk();
        let inside = |name: &str| disk.join(name).to_string_lossy().into_owned();
        fs::write(house.path(&disk.join("containers.conf")), SETTINGS)?;
        image()?.write_oci_archive(&house.path(&disk.join("box.tar")), IMAGE)?;
        let globals = [
            "env".to_owned(),
            format!("CONTAINERS_CONF={}", inside("containers.conf")),
            "podman".to_owned(),
            format!("--root={}", inside("storage")),
            // In the house's own /run: podman refuses one with more than 50 characters.
            "--runroot=/run/podman".to_owned(),
            "--storage-driver=overlay".to_owned(),
            format!("--runtime={}", house.runtime()?),
        ];
        let cgroup = format!("--cgroup-parent={}", house.cgroup());
        let archive = inside("box.tar");
        let podman = Self {
            house,
            globals: globals.into(),
            cgroup,
        };
        podman.ok(&["load", "-q", "-i", &archive])?;
        Ok(podman)
    }

    /// Runs podman to its end.
    pub fn podman(&self, words: &[&str]) -> Result<Output> {
        let globals: Vec<&str> = self.globals.iter().map(String::as_str).collect();
        self.house.run(&[&globals[..], words].concat())
    }

    /// Runs podman, which must succeed; what it prints, trimmed.
    pub fn ok(&self, words: &[&str]) -> Result<String> {
        Ok(self.podman(words)?.ok()?.trim().to_owned())
    }

    /// Lets it listen on a socket, until it is dropped; where that is for this process.
    pub fn listen(&self) -> Result<PathBuf> {
        let socket = self.house.disk().join("podman.sock");
        let address = format!("unix://{}", socket.display());
        let service = ["system", "service", "--time=0", &address];
        let globals: Vec<&str> = self.globals.iter().map(String::as_str).collect();
        // It ends with the house.
        self.house
            .command(&[&globals[..], &service].concat())
            .spawn()?;
        let reached = self.house.path(&socket);
        for _ in 0..500 {
            if UnixStream::connect(&reached).is_ok() {
                return Ok(reached);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("podman does not listen on '{}'", reached.display())
    }

    /// `run`, `create` or `pod create`, in this rig's cgroup and without a network of the host.
    pub fn make(&self, verb: &[&str], words: &[&str]) -> Result<Output> {
        self.podman(&[verb, &[&self.cgroup, "--network=none"], words].concat())
    }

    /// A container that is gone once its program `words` has ended.
    pub fn once(&self, options: &[&str], words: &[&str]) -> Result<Output> {
        self.make(&["run", "--rm"], &[options, &[IMAGE], words].concat())
    }

    /// A field of what `inspect` says of a container.
    pub fn field(&self, name: &str, field: &str) -> Result<String> {
        self.ok(&["inspect", "--format", &format!("{{{{.{field}}}}}"), name])
    }

    /// In the cgroup of a container a file holds a value: of version 1 `CONTROLLER/FILE VALUE`,
    /// where there is none `FILE VALUE` of version 2.
    pub fn expect_limit(&self, name: &str, one: &str, two: &str) -> Result<()> {
        let pid = self.field(name, "State.Pid")?;
        self.house.expect_limit(&pid, one, two)
    }
}
