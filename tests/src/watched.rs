//! A machine on which commands are refused, and which must be as it was after each.

use std::fs;

use anyhow::{Result, ensure};

use crate::image::Image;
use crate::machine::Machine;
use crate::snapshot::Snapshot;
use crate::tree::Suite;

/// Where the machines' repository is.
pub const REPO: &str = "/var/lib/containers/atomic/.storage/ostree";

/// What a refused command may touch: the test's own images; staging and time stamps of the
/// store; and objects and refs of layers that were good, from which the next pull goes on.
const STORE: [&str; 6] = [
    "root",
    "var/lib/containers/atomic/.storage/ostree/objects",
    "var/lib/containers/atomic/.storage/ostree/tmp",
    "var/lib/containers/atomic/.storage/ostree/refs/heads/ociimage",
    "var/lib/containers/atomic/.storage/ostree/.lock",
    "var/lib/containers/atomic/.storage/serial",
];

/// A machine, and what it looked like before.
#[derive(Debug)]
pub struct Watched {
    /// The machine.
    pub machine: Machine,
    before: Snapshot,
}

impl Watched {
    /// Boots one on which `good` lies in /root/good and was pulled, so that the store exists.
    pub fn with(good: &Image) -> Result<Self> {
        let machine = Machine::boot(Suite::Bookworm)?;
        good.write_layout(&machine.path("/root/good"), "latest")?;
        machine.ok(&["sysc", "pull", "oci:/root/good"])?;
        let before = Self::look(&machine)?;
        Ok(Self { machine, before })
    }

    /// Everything that a refused command must not change.
    pub fn look(machine: &Machine) -> Result<Snapshot> {
        Snapshot::of_host(&machine.path("/"), &STORE)
    }

    /// `sysc` with `arguments` fails with status 1 and one error that contains `sentence`.
    pub fn refuses(&self, arguments: &[&str], sentence: &str) -> Result<()> {
        let output = self.machine.run(&[&["sysc"], arguments].concat())?;
        let errors = output
            .stderr
            .lines()
            .filter(|line| line.starts_with("sysc: "))
            .count();
        ensure!(errors == 1, "one error was expected: {output}");
        ensure!(
            output.stderr.contains(sentence),
            "'{sentence}' was expected: {output}"
        );
        ensure!(!output.stderr.contains("panicked"), "{output}");
        ensure!(output.status == 1, "{output}");
        self.is_unchanged()
    }

    /// Nothing is installed, no file of the host differs, and the repository is sound.
    pub fn is_unchanged(&self) -> Result<()> {
        assert_eq!(self.before.changes(&Self::look(&self.machine)?), [""; 0]);
        self.machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
        assert_eq!(self.machine.ok(&["sysc", "list", "--json"])?.trim(), "[]");
        Ok(())
    }

    /// From here on, layers that were pulled are read again: of many images they are the same.
    pub fn forget_layers(&self) -> Result<()> {
        let line = format!("rm -rf {REPO}/refs/heads/ociimage");
        self.machine.sh(&line).map(drop)
    }

    /// Installing `image` is refused.
    pub fn refuses_image(&self, image: &Image, sentence: &str) -> Result<()> {
        let dir = self.machine.path("/root/bad");
        let _ = fs::remove_dir_all(&dir);
        image.write_layout(&dir, "latest")?;
        self.refuses(&["install", "oci:/root/bad"], sentence)
    }

    /// Installing `reference` is refused, and no image is recorded.
    pub fn refuses_pull(&self, reference: &str, sentence: &str) -> Result<()> {
        let images = || self.machine.ok(&["sysc", "images", "list", "--json"]);
        let before = images()?;
        self.refuses(&["install", reference], sentence)?;
        ensure!(images()? == before, "an image was recorded");
        Ok(())
    }
}
