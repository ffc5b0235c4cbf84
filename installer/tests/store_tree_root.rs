//! Trees out of a real repository: links, copies, damage, images and refs.

#![allow(
    clippy::disallowed_methods,
    reason = "the stock ostree tool is asked for its opinion"
)]

mod store_rig;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use store_rig::{Ext4, Made, Rig, Tar, chain, image, mode, noise, run};
use sysc::store::{Error, Owner, Store};

fn sample() -> Made {
    Tar::new()
        .file("usr/bin/tool", b"#!/bin/sh\n")
        .symlink("bin", "usr/bin")
        .symlink("dangling", "/run/none")
        .file("etc/empty", b"")
        .file("etc/resolv.conf", b"nameserver\n")
        .dir("ro", 0o555)
        .file("ro/x", b"x")
        .made()
}

#[test]
fn files_and_links_share_the_objects_inodes() {
    let rig = Rig::new();
    let mut tree = rig.tree(&[&sample()]).unwrap();
    tree.ensure_dir("/data/db").unwrap();
    tree.ensure_file("/newfile").unwrap();
    tree.ensure_file("/etc/resolv.conf").unwrap();
    let (a, done) = rig.place(&tree, "a").unwrap();
    assert_eq!((done.linked, done.created, done.copied), (5, 2, 0));
    let (b, _) = rig.place(&tree, "b").unwrap();
    for path in ["usr/bin/tool", "bin", "dangling", "ro/x"] {
        let (one, two) = (
            a.join(path).symlink_metadata().unwrap(),
            b.join(path).symlink_metadata().unwrap(),
        );
        assert_eq!((one.ino(), one.nlink()), (two.ino(), 3), "{path}");
    }
    for path in ["etc/empty", "newfile"] {
        assert_eq!(fs::metadata(a.join(path)).unwrap().nlink(), 1, "{path}");
        assert_eq!(fs::metadata(a.join(path)).unwrap().mtime(), 0, "{path}");
        assert_eq!(mode(&a.join(path)), 0o644, "{path}");
    }
    assert_eq!(fs::read_link(a.join("bin")).unwrap(), Path::new("usr/bin"));
    assert_eq!(
        (mode(&a.join("ro")), mode(&a.join("data/db"))),
        (0o555, 0o755)
    );
}

/// R12: mount points are made without touching what is shared with the repository.
#[test]
fn r12_no_shared_inode_is_touched() {
    let rig = Rig::new();
    let layer = sample();
    rig.import(&layer).unwrap();
    // Links change an inode's ctime and link count, and nothing else.
    let before = rig.objects();
    let mut tree = rig.tree(&[&layer]).unwrap();
    tree.ensure_dir("/data").unwrap();
    tree.ensure_file("/etc/resolv.conf").unwrap();
    rig.place(&tree, "a").unwrap();
    rig.place(&tree, "b").unwrap();
    assert_eq!(rig.objects(), before);
    rig.fsck();
}

#[test]
fn an_inode_without_links_left_is_copied() {
    let disk = Ext4::new();
    let rig = Rig::within(disk.path());
    let layer = Tar::new()
        .pax(&[("SCHILY.xattr.user.note", b"kept")])
        .entry(tar::EntryType::Regular, "f", (0o4711, 7), ("", b"content"))
        .made();
    let tree = rig.tree(&[&layer]).unwrap();
    let object = rig.objects_of_size(7).pop().unwrap();
    let links = rig.folder.path().join("links");
    fs::create_dir(&links).unwrap();
    let full = (0..70_000).any(|n| fs::hard_link(&object, links.join(n.to_string())).is_err());
    assert!(full, "this file system has no limit of links below 70,000");
    assert_eq!(fs::metadata(&object).unwrap().nlink(), 65_000);
    let (root, done) = rig.place(&tree, "a").unwrap();
    assert_eq!((done.linked, done.copied), (0, 1));
    let copy = fs::metadata(root.join("f")).unwrap();
    assert_eq!((copy.nlink(), copy.uid(), copy.mtime()), (1, 7, 0));
    assert_eq!(mode(&root.join("f")), 0o4711);
    assert_eq!(fs::read(root.join("f")).unwrap(), b"content");
    let mut value = [0; 16];
    let length = rustix::fs::lgetxattr(root.join("f"), "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"kept");
}

#[test]
fn only_an_empty_folder_is_filled_and_no_link_in_it_followed() {
    let rig = Rig::new();
    let tree = rig.tree(&[&sample()]).unwrap();
    let dest = rig.folder.path().join("d/x");
    fs::create_dir(&dest).unwrap();
    symlink("/tmp", dest.join("usr")).unwrap();
    let error = rig
        .store
        .materialise(&tree, fs::File::open(&dest).unwrap())
        .unwrap_err();
    assert!(chain(&error).contains("not empty"), "{}", chain(&error));
    assert!(!Path::new("/tmp/bin/tool").exists());
}

#[test]
fn files_are_read_with_a_limit_and_links_stay_inside() {
    let rig = Rig::new();
    let tree = rig.tree(&[&sample()]).unwrap();
    let read = |path: &str, limit| rig.store.read(&tree, path, limit);
    assert_eq!(read("/bin/tool", 10).unwrap().unwrap(), b"#!/bin/sh\n");
    assert_eq!(read("/etc/empty", 0).unwrap().unwrap(), b"");
    assert_eq!(read("/dangling", 10).unwrap(), None);
    let error = read("/bin/tool", 9).unwrap_err().to_string();
    assert_eq!(
        error,
        "'/bin/tool' in the image has 10 bytes, more than the 9 allowed"
    );
    assert!(matches!(read("/etc", 9), Err(Error::NotAFile { .. })));
}

/// I11: a lost ref, a lost object, a cut object, a cut folder: each is noticed, and the next pull
/// mends it.
#[test]
fn i11_damage_is_noticed_and_mended_by_the_next_pull() {
    let rig = Rig::new();
    let layer = Tar::new()
        .file("d/file", b"seventeen bytes!!")
        .file("e", b"")
        .made();
    let find = |kind: &str| -> PathBuf {
        let mut find = std::process::Command::new("find");
        let name = format!("*.{kind}");
        let lines = run(find.arg(rig.repo().join("objects")).args(["-name", &name]));
        PathBuf::from(lines.lines().last().unwrap())
    };
    let cut = |path: &Path, size: u64| {
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(size)
            .unwrap();
    };
    let file = || rig.objects_of_size(17).pop().unwrap();
    let damages: [(&str, &dyn Fn()); 6] = [
        ("ref", &|| {
            drop(rig.ostree(&["refs", "--delete", "ociimage"]))
        }),
        ("object", &|| fs::remove_file(file()).unwrap()),
        ("object of no size", &|| cut(&file(), 0)),
        ("cut object", &|| cut(&file(), 5)),
        ("folder", &|| fs::remove_file(find("dirtree")).unwrap()),
        ("cut folder", &|| cut(&find("dirtree"), 3)),
    ];
    for (what, damage) in damages {
        rig.import(&layer).unwrap();
        assert!(rig.store.has_layer(&layer.layer).unwrap(), "{what}");
        damage();
        assert!(!rig.store.has_layer(&layer.layer).unwrap(), "{what}");
        let error = rig
            .store
            .merged(std::slice::from_ref(&layer.layer))
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("help: pull the image again"), "{error}");
        assert!(rig.import(&layer).unwrap().fresh, "{what}");
        rig.fsck();
    }
}

#[test]
fn i11_an_object_lost_after_the_merge_stops_the_checkout() {
    let rig = Rig::new();
    let tree = rig.tree(&[&sample()]).unwrap();
    fs::remove_file(rig.objects_of_size(10).pop().unwrap()).unwrap();
    let error = rig.place(&tree, "a").unwrap_err().to_string();
    assert!(
        error.starts_with("'/usr/bin/tool' in the repository"),
        "{error}"
    );
    assert!(
        error.ends_with("is missing\nhelp: pull the image again"),
        "{error}"
    );
}

/// I09: a place where links do not work is found by trying.
#[test]
fn i09_links_are_tried_before_anything_is_stored() {
    let rig = Rig::new();
    let other = rig.folder.path().join("other");
    fs::create_dir_all(rig.folder.path().join("bound")).unwrap();
    fs::create_dir_all(&other).unwrap();
    let flags = nix::mount::MsFlags::MS_BIND;
    let bound = rig.folder.path().join("bound");
    nix::mount::mount(Some(&bound), &other, None::<&str>, flags, None::<&str>).unwrap();
    let old = Store::open(&rig.repo(), &other).map(drop);
    let new = Store::open(&rig.folder.path().join("new/repo"), &other).map(drop);
    nix::mount::umount(&other).unwrap();
    for error in [old.unwrap_err(), new.unwrap_err()] {
        let text = error.to_string();
        assert!(matches!(error, Error::Links { .. }), "{error:?}");
        assert!(
            text.contains("/repo' into '") && text.contains("/other'"),
            "{text}"
        );
    }
    assert_eq!(
        fs::read_dir(&bound).unwrap().count(),
        0,
        "the trial link is gone"
    );
    assert!(
        !rig.folder.path().join("new/repo").exists(),
        "nor is a new repository left"
    );
    let tmp = fs::read_dir(rig.repo().join("tmp")).unwrap();
    assert!(
        tmp.flatten()
            .all(|e| !e.file_name().to_string_lossy().contains("sysc"))
    );
}

#[test]
fn what_is_no_bare_repository_is_refused_with_advice() {
    let rig = Rig::new();
    let links = rig.folder.path().join("d");
    let archive = rig.folder.path().join("archive");
    let mut init = std::process::Command::new("ostree");
    run(init
        .arg(format!("--repo={}", archive.display()))
        .args(["init", "--mode=archive"]));
    let error = Store::open(&archive, &links).unwrap_err().to_string();
    assert!(
        error.contains("has mode 'archive'") && error.contains("\nhelp: "),
        "{error}"
    );
    let folder = rig.folder.path().join("folder");
    fs::create_dir(&folder).unwrap();
    assert!(Store::open_existing(&folder).unwrap().is_none());
    assert!(
        Store::open_existing(&rig.folder.path().join("none"))
            .unwrap()
            .is_none()
    );
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "looking creates nothing"
    );
    fs::write(folder.join("letter"), b"dear").unwrap();
    for path in [&folder, &folder.join("letter")] {
        let error = Store::open(path, &links).unwrap_err();
        assert!(matches!(error, Error::NotARepo { .. }), "{error:?}");
    }
    assert!(Store::open_existing(&rig.repo()).unwrap().is_some());
}

#[test]
fn images_are_recorded_found_and_named_twice() {
    let rig = Rig::new();
    let (low, high) = (sample(), Tar::new().file("high", &noise(1000, 3)).made());
    let etcd = image("localhost:5000/etcd:3", &[&low, &high]);
    rig.import(&low).unwrap();
    let error = rig.store.record_image(&etcd).unwrap_err().to_string();
    assert!(
        error.contains("is missing"),
        "an image without a layer is not recorded: {error}"
    );
    rig.import(&high).unwrap();
    rig.store.record_image(&etcd).unwrap();
    let commit = rig.ostree(&["rev-parse", "ociimage/localhost_3A5000_2Fetcd_3A3"]);
    rig.store.record_image(&etcd).unwrap();
    assert_eq!(
        rig.ostree(&["rev-parse", "ociimage/localhost_3A5000_2Fetcd_3A3"]),
        commit
    );
    let objects = rig.objects();
    rig.store
        .record_image(&image("other:latest", &[&low, &high]))
        .unwrap();
    assert_eq!(rig.objects(), objects, "a second name moves no data");
    let images = rig.store.images().unwrap();
    let names: Vec<&str> = images
        .iter()
        .map(|image| image.image.name.as_str())
        .collect();
    assert_eq!(names, ["localhost:5000/etcd:3", "other:latest"]);
    let found = rig.store.image(&etcd.name).unwrap().unwrap();
    assert_eq!(
        (&found.image.manifest, &found.image.config),
        (&etcd.manifest, &etcd.config)
    );
    assert_eq!(
        (&found.image.digest, &found.image.source),
        (&etcd.digest, &etcd.source)
    );
    assert_eq!(found.image.layers.len(), 2);
    assert_eq!(found.size, (low.tar.len() + high.tar.len()) as u64);
    assert!(found.complete && found.created > 1_700_000_000);
    assert!(rig.store.image("none:latest").unwrap().is_none());
    rig.ostree(&[
        "refs",
        "--delete",
        &format!("ociimage/{}", high.layer.digest.hex()),
    ]);
    assert!(!rig.store.image(&etcd.name).unwrap().unwrap().complete);
    rig.fsck();
}

#[test]
fn deployments_keep_their_tree_until_they_are_dropped() {
    let rig = Rig::new();
    let layer = sample();
    let mut tree = rig.tree(&[&layer]).unwrap();
    tree.ensure_file("/etc/hosts").unwrap();
    let commit_tree = |installation, name, serial| {
        let owner = Owner {
            installation,
            name,
            serial,
        };
        rig.store.commit_tree(&tree, owner).unwrap()
    };
    let commit = commit_tree("here", "c++", 7);
    commit_tree("here", "c++", 10);
    commit_tree("there", "a", 1);
    let refs = rig.store.deployment_refs().unwrap();
    let names: Vec<_> = refs.iter().map(|r| (r.name.as_str(), r.serial)).collect();
    assert_eq!(names, [("a", 1), ("c++", 7), ("c++", 10)]);
    assert_eq!(refs[1].commit, commit);
    let of = |at: usize| refs[at].installation.as_deref();
    assert_eq!((of(0), of(1)), (Some("there"), Some("here")));
    assert!(rig.store.has_deployment("a", 1).unwrap());
    assert!(!rig.store.has_deployment("a", 2).unwrap());
    assert!(rig.refs().contains(&"sysc/deployment/c_2B_2B/7".to_owned()));
    rig.ostree(&["refs", "--delete", "ociimage"]);
    rig.ostree(&["prune", "--refs-only"]);
    let kept = rig.store.tree_of_commit(&commit).unwrap();
    rig.place(&kept, "kept").unwrap();
    assert_eq!(kept.iter().count(), tree.iter().count());
    for (name, serial) in [("c++", 7), ("c++", 10), ("a", 1), ("none", 1)] {
        rig.store.drop_deployment(name, serial).unwrap();
    }
    assert!(rig.refs().is_empty());
    rig.ostree(&["prune", "--refs-only"]);
    assert_eq!(rig.objects(), "", "nothing is kept that nobody needs");
}
