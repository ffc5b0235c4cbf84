//! Large, many and deep: what bounds an import, and what happens at the bounds.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod store_rig;

use std::fs;

use store_rig::{Made, Rig, Tar, noise};
use sysc::store::{Error, Owner, Store};

#[test]
fn sparse_files_are_whole_and_bounded() {
    let rig = Rig::new();
    let mut data = b"1\n4096\n3\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"end");
    let records = |size: &'static [u8]| -> Vec<(&'static str, &'static [u8])> {
        vec![
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", size),
        ]
    };
    let good = Tar::new()
        .pax(&records(b"5000"))
        .file("GNUSparseFile.0/sparse", &data)
        .made();
    let tree = rig.tree(&[&good]).unwrap();
    let content = rig.store.read(&tree, "sparse", 1 << 20).unwrap().unwrap();
    assert_eq!((content.len(), &content[4096..4099]), (5000, &b"end"[..]));
    let bomb = Tar::new()
        .pax(&records(b"1099511627776"))
        .file("s", &data)
        .made();
    let error = rig.import(&bomb).unwrap_err().to_string();
    assert!(
        error.starts_with("entry 'sparse' of") && error.contains("sparse file"),
        "{error}"
    );
}

#[test]
fn two_threads_import_at_once() {
    let rig = Rig::new();
    let shared = noise(100_000, 7);
    let layers: Vec<Made> = (0..6)
        .map(|n| {
            let own = noise(5 << 20, n + 10);
            Tar::new()
                .file("shared", &shared)
                .file(&format!("own{n}"), &own)
                .made()
        })
        .collect();
    std::thread::scope(|scope| {
        for half in layers.chunks(3) {
            let rig = &rig;
            scope.spawn(move || {
                half.iter()
                    .for_each(|layer| assert!(rig.import(layer).unwrap().fresh))
            });
        }
    });
    assert_eq!(rig.refs().len(), 6);
    assert!(rig.fsck().contains("of 6 commits"));
}

#[test]
fn a_full_disk_is_one_clear_error_and_leaves_nothing() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let disk = Disk::new(folder.path());
    let store = Store::open(&disk.0.join("repo"), &disk.0.join("d")).unwrap();
    for layer in [
        Tar::new().file("large", &noise(30 << 20, 1)).made(),
        (0..20)
            .fold(Tar::new(), |tar, n| {
                tar.file(&format!("f{n}"), &noise(1 << 20, n))
            })
            .made(),
    ] {
        let error = store
            .import_layer(&layer.layer, &mut layer.tar.as_slice())
            .unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
        assert!(
            error.to_string().contains("help: free some space"),
            "{error}"
        );
        assert!(!store.has_layer(&layer.layer).unwrap());
    }
    assert_eq!(
        fs::read_dir(disk.0.join("repo/refs/heads"))
            .unwrap()
            .count(),
        0
    );
    let small = Tar::new().file("small", b"fits").made();
    assert!(
        store
            .import_layer(&small.layer, &mut small.tar.as_slice())
            .unwrap()
            .fresh
    );
}

/// A tmpfs of 16 MiB, unmounted at the end.
struct Disk(std::path::PathBuf);

impl Disk {
    fn new(at: &std::path::Path) -> Self {
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some("size=16m")).unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        nix::mount::umount(&self.0).unwrap();
    }
}

#[test]
fn the_deepest_tree_goes_all_the_way() {
    let rig = Rig::new();
    let deep = vec!["d"; 255].join("/");
    let base = Tar::new().file(&format!("{deep}/f"), b"f").made();
    // The way to the folder is longer than a link's target in a tar header.
    let target = format!("/{}", &deep[..180]);
    let link = Tar::new()
        .pax(&[("linkpath", target.as_bytes())])
        .symlink("l", "x")
        .made();
    let top = Tar::new().file(&format!("l/{deep}"), b"top").made();
    let tree = rig.tree(&[&base, &link, &top]).unwrap();
    let owner = Owner {
        installation: "here",
        name: "deep",
        serial: 1,
    };
    let commit = rig.store.commit_tree(&tree, owner).unwrap();
    assert_eq!(rig.store.tree_of_commit(&commit).unwrap(), tree);
    let (root, _) = rig.place(&tree, "x").unwrap();
    assert_eq!(
        fs::read(root.join(&deep[..180]).join(&deep)).unwrap(),
        b"top"
    );
    let again = Tar::new()
        .symlink("m", &format!("/l/{}", &deep[..80]))
        .made();
    let deeper = Tar::new()
        .file(&format!("m/{}/x", &deep[..400]), b"")
        .made();
    let further = Tar::new().pax(&[("linkpath", format!("/m/{}", &deep[..400]).as_bytes())]);
    let further = further.symlink("n", "x").made();
    let last = Tar::new().file("n/x", b"").made();
    let error = rig
        .tree(&[&base, &link, &top, &again, &deeper, &further, &last])
        .unwrap_err();
    assert!(matches!(error, Error::TooDeep { .. }), "{error}");
}
