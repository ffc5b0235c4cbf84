//! Image builds: installing into a tree that becomes a host.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::json;
use sysc_tests::command::{self, Output};
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::product;
use sysc_tests::registry::Registry;
use sysc_tests::tree::{self, Suite};
use tempfile::TempDir;

/// A tree with the programs in it, on the file system of the test's cache.
struct Build {
    _dir: TempDir,
    tree: PathBuf,
}

impl Build {
    fn begin() -> Result<Self> {
        let dir = TempDir::with_prefix_in("offline-", tree::cache())?;
        let tree = dir.path().join("tree");
        let from = tree::machine(Suite::Bookworm)?;
        command::run(
            "cp",
            &["-a", &from.to_string_lossy(), &tree.to_string_lossy()],
        )?
        .ok()?;
        for program in product::programs()? {
            let name = program.file_name().unwrap_or_default();
            fs::copy(&program, tree.join("usr/bin").join(name))?;
        }
        Ok(Self { _dir: dir, tree })
    }

    /// `sysc install --root TREE …` on this machine, where systemd does not run.
    fn install(&self, words: &[&str]) -> Result<Output> {
        let [sysc, _] = product::programs()?;
        let tree = self.tree.to_string_lossy();
        let install = ["install", "--root", tree.as_ref()];
        command::run(&sysc.to_string_lossy(), &[&install[..], words].concat())
    }
}

/// A service with a file for the host, a folder below /run and a volume.
fn service(version: &str) -> Result<Image> {
    let manifest = json!({"installedFilesTemplate": ["/usr/local/bin/boxctl"]});
    let exports = Tar::new()
        .file(
            "exports/manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )
        .file(
            "exports/hostfs/usr/local/bin/boxctl",
            0o755,
            b"#!/bin/sh\necho $NAME\n",
        )
        .file("exports/hostfs/etc/hostname", 0o644, b"theirs\n");
    let script = format!("echo version {version}; touch /data/x; {}", images::SERVICE);
    let config = json!({"Cmd": ["/bin/sh", "-c", script], "Volumes": {"/data": {}}});
    Ok(Builder::new(config)
        .layer(images::busybox_layer()?)
        .layer(exports.finish())
        .build())
}

/// Built without a host, it runs at the first boot; sysc there sees it as the host's own, puts an
/// update in its place, and goes back to it.
#[test]
fn a_tree_boots_with_its_container() -> Result<()> {
    let registry = Registry::start()?;
    let image = registry.push(&service("one")?, "box:1")?;
    let build = Build::begin()?;
    let host = [
        "/var/lib/containers/atomic",
        "/etc/systemd/system/box.service",
    ];
    let before = host.map(|path| Path::new(path).exists());
    let output = build.install(&["--name", "box", &image])?;
    ensure!(
        output
            .stderr
            .contains("'/etc/hostname' is in the tree already"),
        "{output}"
    );
    output.ok()?;
    assert_eq!(
        host.map(|path| Path::new(path).exists()),
        before,
        "the build host is left alone"
    );
    let vendor = build.tree.join("usr/lib/containers/atomic");
    let names: Vec<_> = fs::read_dir(&vendor)?
        .map(|e| e.map(|e| e.file_name()))
        .collect::<Result<_, _>>()?;
    assert_eq!(names, ["box"], "no repository is left");
    ensure!(
        build
            .tree
            .join("etc/systemd/system/multi-user.target.wants/box.service")
            .is_symlink()
    );

    let machine = Machine::boot_tree(&build.tree)?;
    machine.until("it runs", || {
        Ok(machine.journal("box")?.contains("version one"))
    })?;
    assert_eq!(machine.property("box", "SubState")?, "running");
    assert_eq!(machine.sh("/usr/local/bin/boxctl")?, "box\n");
    machine.sh("test -f /var/lib/box/data/x")?;
    let fragment = machine.property("box", "FragmentPath")?;
    ensure!(
        fragment.ends_with("usr/lib/systemd/system/box.service") || fragment.starts_with("/lib/"),
        "{fragment}"
    );

    ensure!(machine.ok(&["sysc", "list"])?.contains("box"));
    assert_eq!(machine.run(&["sysc", "status", "box"])?.status, 0);
    ensure!(
        machine
            .ok(&["sysc", "install", "--name", "box", &image])?
            .contains("already present")
    );
    let text = machine.run(&["sysc", "uninstall", "box"])?.fails_with(1)?;
    ensure!(text.contains("preinstalled"), "{text}");
    assert_eq!(
        machine.ok(&["sysc", "exec", "box", "echo", "inside"])?,
        "inside\n"
    );

    registry.push(&service("two")?, "box:1")?;
    machine.ok(&["sysc", "update", "box"])?;
    machine.until("the update runs", || {
        Ok(machine.journal("box")?.contains("version two"))
    })?;
    assert_eq!(
        machine.property("box", "FragmentPath")?,
        "/etc/systemd/system/box.service"
    );
    machine.ok(&["sysc", "uninstall", "box"])?;
    machine.until("the host's own is back", || {
        Ok(machine.journal("box")?.matches("version one").count() == 2)
    })?;
    assert_eq!(machine.property("box", "UnitFileState")?, "enabled");
    machine.sh("/usr/local/bin/boxctl")?;
    Ok(())
}

#[test]
fn what_does_not_fit_a_tree_is_refused() -> Result<()> {
    let registry = Registry::start()?;
    let image = registry.push(&service("one")?, "box:1")?;
    let build = Build::begin()?;
    build.install(&["--name", "box", &image])?.ok()?;
    let again = build.install(&["--name", "box", &image])?.fails_with(1)?;
    ensure!(again.contains("in the tree already"), "{again}");
    let other = build
        .install(&["--runtime", "/usr/bin/none", "--name", "b", &image])?
        .fails_with(1)?;
    ensure!(other.contains("no OCI runtime"), "{other}");
    let [sysc, _] = product::programs()?;
    let sysc = sysc.to_string_lossy();
    command::run(&sysc, &["install", "--root", "/", &image])?.fails_with(1)?;
    command::run(&sysc, &["install", "--root", "/none", &image])?.fails_with(1)?;
    Ok(())
}
