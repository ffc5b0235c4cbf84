//! containerd, with its shim for runc beside each container.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::house::{Hierarchy, House};
use super::{IMAGE, image};
use crate::command::Output;
use crate::image::Image;

/// A containerd of its own, which has [`IMAGE`], and its client `ctr`.
#[derive(Debug)]
pub struct Containerd {
    house: House,
    daemon: Child,
    runtime: String,
}

/// Everything is in the house's own /run, or on its disk.
const SETTINGS: &str = r#"version = 2
root = "ROOT"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
"#;

impl Containerd {
    /// Starts it, with the runtime under test.
    pub fn start(hierarchy: Hierarchy) -> Result<Self> {
        let house = House::build(hierarchy)?;
        let disk = house.disk();
        let settings = SETTINGS.replace("ROOT", &disk.join("root").to_string_lossy());
        let file = disk.join("config.toml");
        fs::write(house.path(&file), settings)?;
        let log = fs::File::create(house.path(&disk.join("log")))?;
        let daemon = house
            .command(&["containerd", "-c", &file.to_string_lossy()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start containerd")?;
        let runtime = house.runtime()?;
        let containerd = Self {
            house,
            daemon,
            runtime,
        };
        containerd.await_answer()?;
        containerd.import(&image()?, IMAGE)?;
        Ok(containerd)
    }

    /// Takes an image in as `name`, whose tag is `latest`.
    pub fn import(&self, image: &Image, name: &str) -> Result<()> {
        let file = self.house.disk().join("import.tar");
        image.write_oci_archive(&self.house.path(&file), "latest")?;
        let base = name.trim_end_matches(":latest");
        let file = file.to_string_lossy();
        self.ok(&["image", "import", "--base-name", base, &file])?;
        Ok(())
    }

    /// Runs `ctr` to its end.
    pub fn ctr(&self, words: &[&str]) -> Result<Output> {
        self.house.run(&[&["ctr"], words].concat())
    }

    /// Runs `ctr`, which must succeed; what it prints, trimmed.
    pub fn ok(&self, words: &[&str]) -> Result<String> {
        Ok(self.ctr(words)?.ok()?.trim().to_owned())
    }

    /// `ctr run` in this rig's cgroup; `id` names the container.
    pub fn run(&self, options: &[&str], id: &str, words: &[&str]) -> Result<Output> {
        let cgroup = format!("{}/{id}", self.house.cgroup());
        let how = ["run", "--snapshotter=overlayfs", "--cgroup", &cgroup];
        let how = [&how[..], &["--runtime=io.containerd.runc.v2"]].concat();
        let ours = ["--runc-binary", &self.runtime];
        self.ctr(&[&how[..], &ours, options, words].concat())
    }

    /// Mounts a snapshot of an image, which may be written to, and says where.
    pub fn unpack(&self, image: &str, name: &str) -> Result<String> {
        let at = self.house.disk().join(name);
        fs::create_dir(self.house.path(&at))?;
        let at = at.to_string_lossy().into_owned();
        self.ok(&[
            "image",
            "mount",
            "--rw",
            "--snapshotter=overlayfs",
            image,
            &at,
        ])?;
        Ok(at)
    }

    /// The file `name` on the disk of this rig, as `ctr` calls it.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let file = self.house.disk().join(name);
        fs::write(self.house.path(&file), text)?;
        Ok(file.to_string_lossy().into_owned())
    }

    /// The cgroup that containers of this rig are below.
    pub fn cgroup(&self) -> String {
        self.house.cgroup()
    }

    /// In the cgroup of a container's first process a file holds a value, said as for podman.
    pub fn expect_limit(&self, id: &str, one: &str, two: &str) -> Result<()> {
        let list = self.ok(&["task", "ls"])?;
        let mut lines = list.lines().map(str::split_whitespace);
        let pid = lines.find_map(|mut line| (line.next()? == id).then(|| line.next())?);
        let pid = pid.with_context(|| format!("no task '{id}' in {list}"))?;
        self.house.expect_limit(pid, one, two)
    }

    fn await_answer(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if self.ctr(&["version"])?.status == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = self.house.path(&self.house.disk().join("log"));
        bail!(
            "containerd does not answer:\n{}",
            fs::read_to_string(log).unwrap_or_default()
        )
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // The house ends it anyway; this reaps what entered the house for it.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
