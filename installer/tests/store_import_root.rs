//! Layers into a real repository: what is taken, what is refused, what the stock tool says.

mod store_rig;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use store_rig::{Made, Rig, Tar, Unverified, chain, made, mode, noise};
use sysc::store::Error;
use tar::EntryType;

#[test]
fn import_is_accepted_by_the_stock_tool_and_not_repeated() {
    let rig = Rig::new();
    let layer = Tar::new()
        .dir("./", 0o755)
        .dir("etc", 0o750)
        .file("etc/conf", b"x=1\n")
        .file("empty", b"")
        .symlink("link", "/etc/conf")
        .file("large", &noise(9 << 20, 1))
        .made();
    let first = rig.import(&layer).unwrap();
    assert!(first.fresh);
    assert_eq!(first.size, layer.tar.len() as u64);
    let again = rig
        .store
        .import_layer(&layer.layer, &mut Unverified(b""))
        .unwrap();
    assert!(
        !again.fresh,
        "the stream of a layer that is there is not read"
    );
    assert!(
        rig.fsck()
            .contains("object fsck of 1 commits completed successfully")
    );
    let reference = format!("ociimage/{}", layer.layer.digest.hex());
    assert_eq!(rig.refs(), std::slice::from_ref(&reference));
    let list = rig.ostree(&["ls", "-R", &reference]);
    for line in [
        "d00750 0 0      0 /etc",
        "-00644 0 0      4 /etc/conf",
        "/link -> /etc/conf",
    ] {
        assert!(list.contains(line), "{list}");
    }
    let size = rig.ostree(&["show", "--print-metadata-key=docker.size", &reference]);
    assert_eq!(size.trim(), format!("'{}'", layer.tar.len()));
}

#[test]
fn p11_owners_modes_and_kinds_survive() {
    let rig = Rig::new();
    let capability = b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let long = format!("{}/{}", "d".repeat(130), "f".repeat(130));
    let layer = Tar::new()
        .dir("ro", 0o555)
        .file("ro/child", b"c")
        .owned("su", 0o4755, 3_000_000_000)
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            (
                "SCHILY.xattr.security.selinux",
                b"system_u:object_r:evil_t:s0",
            ),
            ("SCHILY.xattr.user.note", b"a\nb=c"),
            ("mtime", b"-5.25"),
        ])
        .file("capable", b"c")
        .pax(&[("path", long.as_bytes())])
        .file("short", b"l")
        .link("orphan/parent/early", "late")
        .file("late", b"late")
        .special(EntryType::Char, "dev/null")
        .special(EntryType::Fifo, "fifo")
        .made();
    let imported = rig.import(&layer).unwrap();
    assert_eq!(imported.skipped, 2);
    let (root, _) = rig.place(&rig.tree(&[&layer]).unwrap(), "x").unwrap();
    assert_eq!(mode(&root.join("ro")), 0o555);
    assert_eq!(mode(&root.join("su")), 0o4755);
    assert_eq!(fs::metadata(root.join("su")).unwrap().uid(), 3_000_000_000);
    assert_eq!(mode(&root.join("orphan/parent")), 0o755);
    assert_eq!(fs::read(root.join("orphan/parent/early")).unwrap(), b"late");
    assert_eq!(fs::read(root.join(long)).unwrap(), b"l");
    assert!(!root.join("fifo").exists() && !root.join("dev").exists());
    let mut buffer = [0; 256];
    let mut xattr = |name: &str| {
        let length = rustix::fs::lgetxattr(root.join("capable"), name, &mut buffer[..]);
        length.map(|length| buffer[..length].to_vec()).ok()
    };
    assert_eq!(
        xattr("security.capability").as_deref(),
        Some(&capability[..])
    );
    assert_eq!(xattr("user.note").as_deref(), Some(&b"a\nb=c"[..]));
    assert_eq!(xattr("security.selinux"), None);
    assert_eq!(fs::metadata(root.join("capable")).unwrap().mtime(), 0);
    rig.fsck();
}

#[test]
fn p10_hard_links_into_lower_layers_and_type_changes() {
    let rig = Rig::new();
    let base = Tar::new()
        .file("usr/bin/tool", b"tool")
        .file("a", b"a")
        .file("b/c", b"c")
        .made();
    let top = Tar::new()
        .link("tool2", "/usr/bin/tool")
        .file("a/x", b"x")
        .file("b", b"b")
        .file("gone/.wh.none", b"")
        .made();
    let tree = rig.tree(&[&base, &top]).unwrap();
    let (root, _) = rig.place(&tree, "x").unwrap();
    assert_eq!(fs::read(root.join("tool2")).unwrap(), b"tool");
    let inode = |path: &str| fs::metadata(root.join(path)).unwrap().ino();
    assert_eq!(inode("tool2"), inode("usr/bin/tool"));
    assert_eq!(fs::read(root.join("a/x")).unwrap(), b"x");
    assert_eq!(fs::read(root.join("b")).unwrap(), b"b");
    assert_eq!(fs::read_dir(root.join("gone")).unwrap().count(), 0);
}

#[test]
fn p10_whiteouts_stay_in_the_layer_and_leave_the_tree() {
    let rig = Rig::new();
    let base = Tar::new()
        .file("d/x", b"x")
        .file("d/y", b"y")
        .file("e/z", b"z")
        .made();
    let top = Tar::new()
        .file("d/.wh.x", b"")
        .file("e/new", b"n")
        .file("e/.wh..wh..opq", b"")
        .file("e/.wh..wh.plnk", b"")
        .made();
    let tree = rig.tree(&[&base, &top]).unwrap();
    let paths: Vec<String> = tree.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["d", "d/y", "e", "e/new"]);
    let reference = format!("ociimage/{}", top.layer.digest.hex());
    let list = rig.ostree(&["ls", "-R", &reference]);
    assert!(
        list.contains("/d/.wh.x") && list.contains("/e/.wh..wh..opq"),
        "{list}"
    );
    assert!(!list.contains("plnk"), "{list}");
}

#[test]
fn p10_the_same_tar_is_the_same_content_however_it_was_sent() {
    let rig = Rig::new();
    let plain = sample();
    let mut zstd = sample();
    zstd.layer.digest = sysc::image::Digest::of(b"the same, compressed");
    zstd.layer.compression = sysc::image::Compression::Zstd;
    let roots = [plain, zstd].map(|layer| {
        assert!(rig.import(&layer).unwrap().fresh);
        let reference = format!("ociimage/{}", layer.layer.digest.hex());
        rig.ostree(&["ls", "-d", "-C", &reference, "/"])
    });
    assert_eq!(roots[0], roots[1]);
}

fn sample() -> Made {
    Tar::new()
        .dir("etc", 0o755)
        .file("etc/conf", b"x")
        .symlink("l", "etc")
        .made()
}

/// A layer, the entry in it that is refused, and a word of the reason.
fn refused() -> Vec<(Made, String, &'static str)> {
    let long = "n".repeat(5000);
    let shown = &long[..200];
    let new = Tar::new;
    let table = vec![
        (new().file("../../tmp/p", b"").made(), "../../tmp/p", "'..'"),
        (new().file("a/../../p", b"").made(), "a/../../p", "'..'"),
        (
            new().link("shadow", "../../../../etc/shadow").made(),
            "shadow",
            "'..'",
        ),
        (new().symlink("./", "/tmp").made(), "./", "must be a folder"),
        (new().file(&long, b"").made(), shown, "4096 bytes"),
        (new().file(&long[..256], b"").made(), shown, "255 bytes"),
        (
            new().pax(&[("path", b"a\0b")]).file("s", b"").made(),
            "a\u{fffd}b",
            "NUL",
        ),
        (
            new().pax(&[("path", b"a\xff")]).file("s", b"").made(),
            "a\u{fffd}",
            "UTF-8",
        ),
        (new().file("d/.wh.", b"").made(), "d/.wh.", "without a name"),
        (
            new().file("d/.wh..", b"").made(),
            "d/.wh..",
            "without a name",
        ),
        (
            new().dir("d/.wh.x/", 0o755).made(),
            "d/.wh.x/",
            "cannot be a folder",
        ),
        (new().symlink("l", "").made(), "l", "must point"),
        (
            new().special(EntryType::new(b'V'), "v").made(),
            "v",
            "unknown type 'V'",
        ),
        (
            new().pax(&[("uid", b"4294967295")]).file("u", b"").made(),
            "u",
            "owner",
        ),
    ];
    table
        .into_iter()
        .map(|(layer, entry, reason): (Made, &str, _)| (layer, entry.to_owned(), reason))
        .collect()
}

/// Each of these ends in an error that names the entry and the layer, and publishes nothing.
#[test]
fn s08_entries_that_lead_outside_are_refused() {
    let rig = Rig::new();
    for (layer, entry, reason) in refused() {
        let error = rig.import(&layer).unwrap_err().to_string();
        let start = format!("entry '{entry}' of layer '{}': ", layer.layer.digest);
        assert!(
            error.starts_with(&start) && error.contains(reason),
            "{error}"
        );
    }
    assert!(rig.refs().is_empty());
    assert_eq!(rig.objects(), "", "no object of a refused layer is left");
    assert!(!std::path::Path::new("/tmp/p").exists());
}

#[test]
fn s08_names_are_taken_inside_the_image() {
    let rig = Rig::new();
    let base = Tar::new()
        .file("/tmp/q", b"q")
        .symlink("esc", "/tmp")
        .symlink("same", "/tmp")
        .file("same/p", b"same")
        .symlink("usr/lib/x", "/etc")
        .made();
    let top = Tar::new()
        .file("esc/p", b"p")
        .file("usr/lib/x/cron.d/p", b"cron")
        .made();
    let (root, _) = rig.place(&rig.tree(&[&base, &top]).unwrap(), "x").unwrap();
    assert_eq!(fs::read(root.join("tmp/q")).unwrap(), b"q");
    assert_eq!(
        fs::read(root.join("tmp/p")).unwrap(),
        b"p",
        "through the lower layer's link"
    );
    assert_eq!(
        fs::read(root.join("same/p")).unwrap(),
        b"same",
        "the link became a folder"
    );
    assert_eq!(fs::read(root.join("usr/lib/x/cron.d/p")).unwrap(), b"cron");
    assert!(!std::path::Path::new("/etc/cron.d/p").exists());
    let orphan = Tar::new().link("shadow", "/etc/shadow").made();
    let error = rig.tree(&[&base, &orphan]).unwrap_err().to_string();
    assert!(
        error.contains("'etc/shadow' does not exist in the image"),
        "{error}"
    );
}

#[test]
fn a_stream_that_does_not_verify_publishes_nothing() {
    let rig = Rig::new();
    let layer = Tar::new().file("a", b"a").made();
    let mut garbage = layer.tar.clone();
    garbage[3] ^= 1;
    for bytes in [&layer.tar, &garbage] {
        let error = rig
            .store
            .import_layer(&layer.layer, &mut Unverified(bytes))
            .unwrap_err();
        assert!(
            chain(&error).ends_with("does not match its digest"),
            "{error}"
        );
    }
    let cut = made(layer.tar[..700].to_vec());
    let error = rig.import(&cut).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    assert!(error.to_string().ends_with("it ends too early"), "{error}");
    assert!(rig.refs().is_empty());
    assert_eq!(rig.objects(), "");
    assert!(!rig.store.has_layer(&layer.layer).unwrap());
}
