//! From nothing to a running image of one's own, as docs/images.md tells it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sysc_tests::engines::{Hierarchy, Podman};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::product;
use sysc_tests::registry::Registry;
use sysc_tests::tree::Suite;

const PAGE: &str = include_str!("../../docs/images.md");

/// The commands of the page's section on building, line by line.
fn commands() -> Vec<&'static str> {
    let blocks = PAGE.split("```sh build\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .collect()
}

/// Every command of the page, with a registry and a base image of the test's.
#[test]
fn the_page_on_building_holds() -> Result<()> {
    let registry = Registry::start()?;
    let base = registry.push(&images::busybox("true")?, "base:1")?;
    let podman = Podman::new(Hierarchy::OfTheMachine)?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let dir = tempfile::tempdir()?;
    let [sysc, _] = product::programs()?;
    let mut ran = 0;
    for line in commands() {
        let line = line
            .replace("localhost:5000", &registry.address())
            .replace("docker.io/library/debian:12-slim", &base)
            .replace(" greeter", &format!(" {}/greeter", dir.path().display()));
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["sysc", "new", _] => {
                let status = Command::new(&sysc)
                    .args(["new", "greeter"])
                    .current_dir(&dir)
                    .status()?;
                ensure!(status.success());
            }
            ["sysc", "lint", path] => {
                let output = Command::new(&sysc)
                    .args(["lint", "--strict", path])
                    .output()?;
                let said = String::from_utf8_lossy(&output.stdout);
                ensure!(output.status.success() && said.is_empty(), "{said}");
            }
            ["podman", "build", ..] => {
                podman.ok(&[
                    &["build", "--tls-verify=false", "--isolation=chroot"],
                    &words[2..],
                ]
                .concat())?;
            }
            ["podman", ..] => drop(podman.ok(&words[1..])?),
            ["systemctl", ..] => drop(machine.ok(&["systemctl", "start", "greeter-1"])?),
            _ => drop(machine.ok(&words)?),
        }
        ran += 1;
    }
    assert_eq!(ran, 6);
    machine.until("it greets", || {
        Ok(machine.journal("greeter-1")?.contains("hello from greeter"))
    })?;
    machine.ok(&["systemctl", "stop", "greeter-1"])?;
    assert_eq!(machine.property("greeter-1", "Result")?, "success");
    Ok(())
}

/// W04: nonzero for errors, file and line of each, and JSON that programs can count on.
#[test]
fn w04_lint_for_ci() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.sh("cd /root && sysc new box && sysc lint box")?;
    machine
        .run(&["sh", "-c", "cd /root && sysc new box"])?
        .fails_with(1)?;
    machine.run(&["sysc", "new", "Box"])?.fails_with(1)?;
    machine
        .sh("sed -i 's/\"defaultValues\"/\"defaultvalues\"/' /root/box/exports/manifest.json")?;
    let text = machine.ok(&["sysc", "lint", "/root/box"])?;
    ensure!(
        text.contains("/exports/manifest.json:3: advice: the key 'defaultvalues'"),
        "{text}"
    );
    ensure!(
        text.contains("help: 'defaultValues' may be meant"),
        "{text}"
    );
    machine
        .run(&["sysc", "lint", "--strict", "/root/box"])?
        .fails_with(1)?;
    machine.sh("sed -i 's/true/false/' /root/box/exports/config.json.template")?;
    machine.sh(
        "sed -i 's/\"readonly\": true/\"readonly\": false/' /root/box/exports/config.json.template",
    )?;
    let output = machine.run(&["sysc", "lint", "--json", "/root/box/exports"])?;
    assert_eq!(output.status, 1, "{output}");
    let value: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(value["errors"], 1, "{value}");
    let first = value["findings"][0]["message"]
        .as_str()
        .context("message")?;
    ensure!(first.contains("root.readonly"), "{first}");
    machine.run(&["sysc", "lint", "/root"])?.fails_with(1)?;

    images::etcd()?.write_layout(&machine.path("/root/etcd"), "etcd:3")?;
    machine.ok(&["sysc", "pull", "oci:/root/etcd"])?;
    let text = machine.ok(&["sysc", "lint", "etcd:3"])?;
    ensure!(
        text.contains("[label]") && !text.contains("error:"),
        "{text}"
    );
    Ok(())
}
