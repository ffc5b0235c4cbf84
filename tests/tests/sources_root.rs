//! Where images come from, and what of them is fetched.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Compression, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::tree::Suite;
use sysc_tests::watched::REPO;

fn json_of(machine: &Machine, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&machine.ok(arguments)?)?)
}

/// The checksum of an installed container's tree, content and all.
fn content(machine: &Machine, name: &str) -> Result<String> {
    let line = format!(
        "ostree --repo={REPO} ls -R -C $(ostree --repo={REPO} refs --list sysc/deployment/{name}) | sha256sum"
    );
    machine.sh(&line)
}

#[test]
fn w07_every_source_gives_the_same_tree() -> Result<()> {
    let registry = Registry::start()?;
    let image = images::busybox(images::SERVICE)?;
    let reference = registry.push(&image, "box:1")?;
    let machine = Machine::boot(Suite::Bookworm)?;
    image.write_layout(&machine.path("/root/layout"), "box:1")?;
    image.write_oci_archive(&machine.path("/root/oci.tar"), "box:1")?;
    image.write_docker_archive(&machine.path("/root/docker.tar"), "box:1")?;
    let sources = [
        reference.as_str(),
        "oci:/root/layout",
        "oci:/root/layout:box:1",
        "oci-archive:/root/oci.tar",
        "docker-archive:/root/docker.tar",
        "dockertar:/root/docker.tar",
    ];
    let mut contents = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let name = format!("c{at}");
        machine.ok(&["sysc", "install", "--name", &name, source])?;
        contents.push(content(&machine, &name)?);
    }
    ensure!(
        contents.iter().all(|found| *found == contents[0]),
        "{contents:?}"
    );
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

#[test]
fn p10_compressions_differ_and_trees_do_not() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let mut contents = Vec::new();
    for (name, compression) in [
        ("plain", Compression::None),
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
    ] {
        let config = json!({"Cmd": ["/bin/true"]});
        let layer = images::busybox_layer()?;
        let image = Builder::new(config).layer_as(layer, compression).build();
        let reference = registry.push(&image, &format!("{name}:latest"))?;
        machine.ok(&["sysc", "install", &reference])?;
        contents.push(content(&machine, name)?);
    }
    ensure!(
        contents.iter().all(|found| *found == contents[0]),
        "{contents:?}"
    );
    Ok(())
}

#[test]
fn a_layer_is_fetched_once() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let with_file = |name: &str| -> Result<Image> {
        let own = Tar::new().file(name, 0o644, name.as_bytes()).finish();
        let base = Builder::new(json!({"Cmd": ["/bin/true"]})).layer(images::busybox_layer()?);
        Ok(base.layer(own).build())
    };
    let one = registry.push(&with_file("one")?, "one:1")?;
    let two = registry.push(&with_file("two")?, "two:1")?;
    machine.ok(&["sysc", "pull", &one])?;
    // A configuration and two layers; then a configuration and the one layer that is new.
    assert_eq!(registry.blobs_sent()?, 3);
    machine.ok(&["sysc", "pull", &two])?;
    assert_eq!(registry.blobs_sent()?, 5);
    machine.ok(&["sysc", "install", &one])?;
    assert_eq!(registry.blobs_sent()?, 5);
    let images = json_of(&machine, &["sysc", "images", "list", "--json"])?;
    let used: Vec<_> = images
        .as_array()
        .context("a list")?
        .iter()
        .map(|i| &i["used"])
        .collect();
    assert_eq!(used, [true, false]);
    Ok(())
}

#[test]
fn p10_an_index_gives_the_hosts_platform() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let ours = images::busybox(images::SERVICE)?;
    let other = Builder::new(json!({"Cmd": ["/bin/other"]}))
        .layer(images::busybox_layer()?)
        .build_for("riscv64");
    let here = sysc_tests::image::architecture();
    let both = Image::index(&[("riscv64", &other), (here, &ours)]);
    let reference = registry.push(&both, "both:1")?;
    machine.ok(&["sysc", "install", &reference])?;
    let status = json_of(&machine, &["sysc", "status", "--json", "both-1"]).or_else(|_| {
        let output = machine.run(&["sysc", "status", "--json", "both-1"])?;
        ensure!(output.status == 3, "not running is 3: {output}");
        Ok(serde_json::from_str(&output.stdout)?)
    })?;
    assert_eq!(status["digest"], ours.digest());
    let strange = registry.push(&Image::index(&[("riscv64", &other)]), "strange:1")?;
    let text = machine.run(&["sysc", "install", &strange])?.fails_with(1)?;
    ensure!(
        text.contains("riscv64"),
        "what there is should be listed: {text}"
    );
    Ok(())
}

#[test]
fn by_digest_and_with_an_unknown_tag() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let image = images::busybox(images::SERVICE)?;
    let reference = registry.push(&image, "a/b/box:1")?;
    let repository = reference.trim_end_matches(":1");
    machine.ok(&[
        "sysc",
        "install",
        &format!("{repository}@{}", image.digest()),
    ])?;
    ensure!(machine.ok(&["sysc", "list"])?.contains("box"));
    let text = machine
        .run(&["sysc", "install", &format!("{repository}:2")])?
        .fails_with(1)?;
    ensure!(text.contains("box:2"), "{text}");
    Ok(())
}
