//! What containers are called, and that a name is never taken for another's deployment.

use anyhow::{Result, ensure};
use sysc_tests::image::digest;
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::tree::Suite;

/// T10: `etcd-3.0` is a container of its own, and where the first deployment of `etcd-3` would be.
/// Side by side in any order; the one whose path is taken is told which name to give.
#[test]
fn t10_names_that_look_like_deployments() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let image = images::busybox(images::SERVICE)?;
    let [three, three_0, three_1] =
        ["etcd:3", "etcd:3.0", "etcd:3.1"].map(|name| registry.push(&image, name));
    let (three, three_0, three_1) = (three?, three_0?, three_1?);
    for reference in [&three_0, &three_1, &three] {
        machine.ok(&["sysc", "install", reference])?;
    }
    let names = ["etcd-3", "etcd-3.0", "etcd-3.1"];
    machine.ok(&[&["systemctl", "start"], &names[..]].concat())?;
    for name in names {
        assert_eq!(machine.property(name, "SubState")?, "running", "{name}");
    }
    machine.ok(&["sysc", "uninstall", "etcd-3.0"])?;
    machine.ok(&["systemctl", "restart", "etcd-3", "etcd-3.1"])?;
    machine.ok(&["sysc", "uninstall", "etcd-3"])?;
    assert_eq!(machine.property("etcd-3.1", "SubState")?, "running");
    machine.ok(&["sysc", "uninstall", "etcd-3.1"])?;
    assert_eq!(machine.sh("ls /var/lib/containers/atomic")?, "");

    machine.ok(&["sysc", "install", &three])?;
    let text = machine.run(&["sysc", "install", &three_0])?.fails_with(1)?;
    ensure!(text.contains("of the container 'etcd-3'"), "{text}");
    ensure!(text.contains("--name"), "{text}");
    machine.ok(&["sysc", "install", "--name", "etcd-3.0-1", &three_0])?;
    Ok(())
}

/// Tag and digest together: the digest decides, the tag names.
#[test]
fn t10_default_names() -> Result<()> {
    let registry = Registry::start()?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let image = images::busybox(images::SERVICE)?;
    let reference = registry.push(&image, "a/b/foo.bar:1")?;
    let repository = reference
        .strip_suffix(":1")
        .unwrap_or(&reference)
        .to_owned();
    let by_digest = format!("{repository}@{}", image.digest());
    let both = format!("{reference}@{}", image.digest());
    let cases = [
        (&reference, "foo.bar-1"),
        (&by_digest, "foo.bar"),
        (&both, "foo.bar-1"),
    ];
    for (reference, name) in cases {
        machine.ok(&["sysc", "install", reference])?;
        let list = machine.ok(&["sysc", "list"])?;
        ensure!(
            list.lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
            "{list}"
        );
        machine.ok(&["sysc", "uninstall", name])?;
    }
    let other = format!("{reference}@{}", digest(b"other"));
    machine.run(&["sysc", "install", &other])?.fails_with(1)?;
    Ok(())
}
