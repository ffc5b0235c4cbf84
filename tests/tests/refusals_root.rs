//! Bad input: one clear error, a status that is not 0, and nothing left or changed.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;
use sysc_tests::watched::Watched;
use tar::EntryType;

fn good() -> Result<Image> {
    images::busybox(images::SERVICE)
}

/// A busybox with a further layer.
fn with_layer(tar: Vec<u8>) -> Result<Image> {
    let config = json!({"Cmd": ["/bin/true"]});
    Ok(Builder::new(config)
        .layer(images::busybox_layer()?)
        .layer(tar)
        .build())
}

#[test]
fn names_that_leave_their_place() -> Result<()> {
    let host = Watched::with(&good()?)?;
    let long = "x".repeat(300);
    for name in [
        "../x", "a/b", "..", "-x", "a\u{1}b", "a b", "a'b", "", &long,
    ] {
        host.refuses(&["install", "--name", name, "oci:/root/good"], "name")?;
    }
    Ok(())
}

#[test]
fn images_that_are_not_there() -> Result<()> {
    let host = Watched::with(&good()?)?;
    host.refuses(&["install", "oci:/root/none"], "/root/none")?;
    host.refuses(&["install", "oci-archive:/root/none.tar"], "/root/none.tar")?;
    host.refuses(&["install", "127.0.0.1:1/none:1"], "127.0.0.1:1")?;
    host.refuses(&["install", "UPPER/case"], "UPPER")?;
    host.refuses(&["uninstall", "none"], "no container 'none'")?;
    host.refuses(&["status", "none"], "no container 'none'")?;
    Ok(())
}

#[test]
fn layers_that_escape_or_lie() -> Result<()> {
    let host = Watched::with(&good()?)?;
    let raw = |name: &str, kind, content: &[u8]| Tar::new().raw(name, kind, content).finish();
    let cases = [
        (raw("../../tmp/p", EntryType::Regular, b"x"), "../../tmp/p"),
        (raw("a/../../p", EntryType::Regular, b"x"), "a/../../p"),
        (
            raw("etc/h", EntryType::Link, b"../../../../etc/shadow"),
            "etc/h",
        ),
        (raw("etc/h", EntryType::Link, b"/etc/shadow"), "etc/h"),
        (raw(".wh.", EntryType::Regular, b""), ".wh."),
        (
            raw("exports/hostfs/dev/x", EntryType::Char, b""),
            "exports/hostfs/dev/x",
        ),
        (raw(".", EntryType::Symlink, b"/tmp"), "layer"),
    ];
    for (tar, sentence) in cases {
        host.refuses_image(&with_layer(tar)?, sentence)?;
    }
    let whole = images::busybox_layer()?;
    host.refuses_image(&with_layer(whole[..whole.len() / 2].to_vec())?, "layer")?;
    Ok(())
}

#[test]
fn blobs_that_are_not_what_their_digest_says() -> Result<()> {
    let host = Watched::with(&good()?)?;
    let image = good()?;
    let dir = host.machine.path("/root/bad");
    for (digest, bytes) in image
        .blobs()
        .map(|(digest, bytes)| (digest.clone(), bytes.clone()))
    {
        let file = dir.join("blobs/sha256").join(&digest["sha256:".len()..]);
        for damaged in [
            bytes[..bytes.len() / 2].to_vec(),
            [&bytes[..], b"x"].concat(),
        ] {
            let _ = fs::remove_dir_all(&dir);
            image.write_layout(&dir, "latest")?;
            fs::write(&file, damaged)?;
            host.forget_layers()?;
            host.refuses(
                &["install", "oci:/root/bad"],
                &digest["sha256:".len()..][..12],
            )?;
        }
    }
    Ok(())
}

#[test]
fn templates_that_cannot_be_rendered() -> Result<()> {
    let host = Watched::with(&good()?)?;
    let with_exports = |name: &str, text: &str| {
        with_layer(
            Tar::new()
                .file(&format!("exports/{name}"), 0o644, text.as_bytes())
                .finish(),
        )
    };
    let config = |root: &str| {
        format!(
            r#"{{"ociVersion": "1.0.0", "process": {{"user": {{"uid": 0, "gid": 0}}, "args": ["/bin/true"], "cwd": "/"}}, "root": {root}}}"#
        )
    };
    let cases = [
        (
            "config.json.template",
            r#"{"a": "$PORT", "b": "${HOST}"}"#.to_owned(),
            "''PORT''",
        ),
        (
            "config.json.template",
            r#"{"a": "$PORT", "b": "${HOST}"}"#.to_owned(),
            "''HOST''",
        ),
        ("config.json", "{ not json".to_owned(), "config.json"),
        ("config.json", "{}".to_owned(), "config.json"),
        ("config.json", config(r#"{"path": "rootfs"}"#), "readonly"),
        (
            "config.json",
            config(r#"{"path": "rootfs", "readonly": false}"#),
            "readonly",
        ),
        (
            "config.json",
            config(r#"{"path": "/", "readonly": true}"#),
            "root.path",
        ),
        ("manifest.json", "[".to_owned(), "manifest.json"),
        (
            "service.template",
            "[Service]\nExecStart=$ 5\n".to_owned(),
            "service.template",
        ),
    ];
    for (name, text, sentence) in cases {
        host.refuses_image(&with_exports(name, &text)?, sentence)?;
    }
    Ok(())
}

#[test]
fn files_and_names_that_are_taken() -> Result<()> {
    let host = Watched::with(&good()?)?;
    for path in [
        "/etc/systemd/system/good.service",
        "/etc/tmpfiles.d/good.conf",
    ] {
        fs::write(host.machine.path(path), "# the administrator's\n")?;
        let before = Watched::look(&host.machine)?;
        let text = host
            .machine
            .run(&["sysc", "install", "oci:/root/good"])?
            .fails_with(1)?;
        ensure!(text.contains(path), "{text}");
        assert_eq!(before.changes(&Watched::look(&host.machine)?), [""; 0]);
        fs::remove_file(host.machine.path(path))?;
    }
    host.refuses(
        &["install", "--name", "dbus", "oci:/root/good"],
        "dbus.service",
    )?;
    Ok(())
}

#[test]
fn hosts_that_cannot_do_it() -> Result<()> {
    let host = Watched::with(&good()?)?;
    let machine = &host.machine;
    let unprivileged = ["setpriv", "--reuid", "65534", "--clear-groups"];
    let refused = |prefix: &[&str], sentence: &str| -> Result<()> {
        let mut command = prefix.to_vec();
        command.extend(["sysc", "install", "oci:/root/good"]);
        let text = machine.run(&command)?.fails_with(1)?;
        ensure!(
            text.contains(sentence),
            "'{sentence}' was expected in:\n{text}"
        );
        host.is_unchanged()
    };
    refused(&unprivileged, "needs root")?;
    refused(
        &[
            "unshare",
            "-m",
            "sh",
            "-c",
            "mount -t tmpfs none /run; exec \"$@\"",
            "sh",
        ],
        "systemd",
    )?;
    machine.sh("mkdir /root/none /root/full && echo x > /root/full/x")?;
    refused(&["env", "ATOMIC_OSTREE_REPO=/root/full"], "/root/full")?;
    machine.sh("ostree init --repo=/root/archive --mode=archive")?;
    refused(&["env", "ATOMIC_OSTREE_REPO=/root/archive"], "archive")?;
    refused(&["env", "ATOMIC_OSTREE_REPO=/run/repo"], "link")?;
    refused(&["env", "ATOMIC_OSTREE_REPO=relative"], "relative")?;
    Ok(())
}

/// A store on a file system of 24 MB, of which an image of 40 MB does not fit.
#[test]
fn a_full_disk() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let noise: Vec<u8> = (0..40_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let big = Tar::new().file("big", 0o644, &noise).finish();
    with_layer(big)?.write_layout(&machine.path("/root/big"), "latest")?;
    good()?.write_layout(&machine.path("/root/good"), "latest")?;
    machine.sh("mkdir /small && mount -t tmpfs -o size=24m none /small")?;
    let settings = ["env", "ATOMIC_OSTREE_CHECKOUT_PATH=/small/atomic"];
    let sysc = |arguments: &[&str]| machine.run(&[&settings[..], &["sysc"], arguments].concat());
    let before = Snapshot::of(&machine.path("/etc"), &[])?;
    let text = sysc(&["install", "oci:/root/big"])?.fails_with(1)?;
    ensure!(text.contains("space"), "{text}");
    assert_eq!(sysc(&["list", "--json"])?.ok()?.trim(), "[]");
    assert_eq!(
        before.changes(&Snapshot::of(&machine.path("/etc"), &[])?),
        [""; 0]
    );
    machine.ok(&[
        "ostree",
        "fsck",
        "-q",
        "--repo",
        "/small/atomic/.storage/ostree",
    ])?;
    // What does fit still does.
    sysc(&["install", "oci:/root/good"])?.ok()?;
    machine.ok(&["systemctl", "start", "good"])?;
    machine.ok(&["systemctl", "stop", "good"])?;
    sysc(&["uninstall", "good"])?.ok()?;
    ensure!(
        !Path::new("/small").exists(),
        "the machine's /small is its own"
    );
    Ok(())
}
