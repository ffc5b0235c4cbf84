//! Every option of a mount, seen in the container. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]
#![allow(
    clippy::disallowed_methods,
    reason = "the host's own mounts are made by its own program"
)]

mod rig;

use std::os::unix::fs::{PermissionsExt, symlink};

use rig::{Ended, Rig};
use serde_json::{Value, json};

/// A rig whose /d is mounted as told.
fn mounted(mount: Value) -> Rig {
    let rig = Rig::new();
    add(&rig, mount);
    rig
}

fn add(rig: &Rig, mut mount: Value) {
    if mount["destination"].is_null() {
        mount["destination"] = "/d".into();
    }
    rig.config(|config| config["mounts"].as_array_mut().unwrap().push(mount));
}

/// The properties of the mount at `place`, then those of its file system.
fn properties(rig: &Rig, place: &str) -> (Vec<String>, Vec<String>) {
    let table = rig.args(&["cat", "/proc/self/mountinfo"]).run().ok();
    let line = table.lines().rev();
    let mut line = line.filter(|line| line.split(' ').nth(4) == Some(place));
    let fields: Vec<&str> = line.next().unwrap().split(' ').collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    (list(fields[5]), list(fields.last().unwrap()))
}

/// A directory of the host with a mount below it; unmounted when the test ends.
struct Source(tempfile::TempDir);

impl Source {
    fn new(options: &str) -> Source {
        let source = Source(tempfile::tempdir().unwrap());
        let below = source.0.path().join("below");
        std::fs::create_dir(&below).unwrap();
        source.mount(&below, options);
        source
    }

    fn mount(&self, place: &std::path::Path, options: &str) {
        let line = format!("mount -t tmpfs -o {options} tmpfs {}", place.display());
        Ended::from(
            std::process::Command::new("sh")
                .args(["-c", &line])
                .output()
                .unwrap(),
        )
        .ok();
    }

    fn bind(&self, options: &[&str]) -> Value {
        json!({"source": self.0.path(), "options": options})
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let flags = nix::mount::MntFlags::MNT_DETACH;
        let _ = nix::mount::umount2(&self.0.path().join("below"), flags);
    }
}

#[test]
fn properties_of_a_mount() {
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (&["ro"], &["ro"], &["rw"]),
        (&["ro", "rw"], &["rw"], &["ro"]),
        (
            &["nosuid", "nodev", "noexec"],
            &["nosuid", "nodev", "noexec"],
            &[],
        ),
        (
            &["nosuid", "nodev", "noexec", "suid", "dev", "exec"],
            &[],
            &["nosuid", "nodev", "noexec"],
        ),
        (&["noatime"], &["noatime"], &["relatime"]),
        (&["noatime", "atime"], &["relatime"], &["noatime"]),
        (&["strictatime"], &[], &["relatime", "noatime"]),
        (&["strictatime", "nostrictatime"], &["relatime"], &[]),
        (&["noatime", "norelatime"], &["relatime"], &["noatime"]),
        (&["nodiratime"], &["nodiratime"], &[]),
        (&["nodiratime", "diratime"], &[], &["nodiratime"]),
        (&["nosymfollow"], &["nosymfollow"], &[]),
        (&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
        (
            &["defaults", "loud", "async", "nomand"],
            &["rw", "relatime"],
            &[],
        ),
    ];
    for (options, with, without) in table {
        let rig = mounted(json!({"type": "tmpfs", "options": options}));
        let (found, _) = properties(&rig, "/d");
        for name in *with {
            assert!(found.iter().any(|it| it == name), "{options:?}: {found:?}");
        }
        for name in *without {
            assert!(!found.iter().any(|it| it == name), "{options:?}: {found:?}");
        }
    }
}

#[test]
fn properties_of_a_file_system() {
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (&["sync"], &["sync"], &[]),
        (&["sync", "async"], &[], &["sync"]),
        (&["dirsync"], &["dirsync"], &[]),
        (&["lazytime"], &["lazytime"], &[]),
        (&["lazytime", "nolazytime"], &[], &["lazytime"]),
        (
            &["iversion", "size=64k", "sync"],
            &["size=64k", "sync"],
            &[],
        ),
        (&["silent", "noiversion", "size=64k"], &["size=64k"], &[]),
        (
            &["mode=700", "size=64k", "nr_inodes=99"],
            &["mode=700", "size=64k", "nr_inodes=99"],
            &[],
        ),
    ];
    for (options, with, without) in table {
        let rig = mounted(json!({"type": "tmpfs", "options": options}));
        let (_, found) = properties(&rig, "/d");
        for name in *with {
            assert!(found.iter().any(|it| it == name), "{options:?}: {found:?}");
        }
        for name in *without {
            assert!(!found.iter().any(|it| it == name), "{options:?}: {found:?}");
        }
    }
}

#[test]
fn r10_recursive_options_reach_what_is_below() {
    let table: &[(&str, &str, &str)] = &[
        ("rro", "ro", "rw"),
        ("rnosuid", "nosuid", ""),
        ("rnodev", "nodev", ""),
        ("rnoexec", "noexec", ""),
        ("rnoatime", "noatime", "relatime"),
        ("rnodiratime", "nodiratime", ""),
        ("rnosymfollow", "nosymfollow", ""),
        ("rrelatime", "relatime", ""),
        ("ratime", "relatime", ""),
        ("rnostrictatime", "relatime", ""),
        ("rnorelatime", "relatime", ""),
        ("rstrictatime", "rw", "relatime"),
    ];
    let source = Source::new("mode=755");
    for (option, with, without) in table {
        let rig = mounted(source.bind(&["rbind", option]));
        for place in ["/d", "/d/below"] {
            let (found, _) = properties(&rig, place);
            assert!(
                found.iter().any(|it| it == with),
                "{option}: {place} {found:?}"
            );
            assert!(
                !found.iter().any(|it| it == without),
                "{option}: {place} {found:?}"
            );
        }
    }
    drop(source);
    let source = Source::new("ro,nosuid,nodev,noexec,noatime,nodiratime");
    let undone = [
        "rbind",
        "rrw",
        "rsuid",
        "rdev",
        "rexec",
        "rrelatime",
        "rdiratime",
        "rsymfollow",
    ];
    let rig = mounted(source.bind(&undone));
    assert_eq!(properties(&rig, "/d/below").0, ["rw", "relatime"]);
}

#[test]
fn a_bind_that_asks_for_nothing_keeps_what_its_source_has() {
    let source = Source::new("ro,nosuid,nodev,noexec,noatime");
    let bind =
        |options: &[&str]| json!({"source": source.0.path().join("below"), "options": options});
    let rig = mounted(bind(&["bind"]));
    assert_eq!(
        properties(&rig, "/d").0,
        ["ro", "nosuid", "nodev", "noexec", "noatime"]
    );
    // And one that asks has what it asks for.
    let rig = mounted(bind(&["bind", "rw"]));
    assert_eq!(properties(&rig, "/d").0, ["rw", "noatime"]);
    let rig = mounted(bind(&["bind", "ro", "nosuid", "relatime"]));
    assert_eq!(properties(&rig, "/d").0, ["ro", "nosuid", "relatime"]);
}

#[test]
fn a_user_namespace_cannot_clear_what_is_locked() {
    let source = Source::new("ro,nosuid,nodev,noexec,noatime,mode=755");
    let below = source.0.path().join("below");
    let in_users = |options: &[&str]| {
        let rig = mounted(json!({"source": below, "options": options}));
        std::fs::create_dir(rig.rootfs().join("d")).unwrap();
        rig.config(|config| {
            let users = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            config["linux"]["uidMappings"] = users.clone();
            config["linux"]["gidMappings"] = users;
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.push(json!({"type": "user"}));
            let all = json!(["CAP_SYS_ADMIN"]);
            config["process"]["capabilities"] =
                json!({"bounding": all, "effective": all, "permitted": all});
        });
        rig
    };
    let rig = in_users(&["bind", "ro"]);
    assert_eq!(
        properties(&rig, "/d").0,
        ["ro", "nosuid", "nodev", "noexec", "noatime"]
    );
    let err = in_users(&["bind", "rw"]).run().refused();
    assert!(err.contains("on '/d'"), "{err}");
    // Nor can the payload itself.
    let rig = in_users(&["bind"]);
    let ended = rig
        .script("mount -o remount,bind,rw /d /d || echo kept")
        .run();
    assert!(ended.out.contains("kept"), "{} {}", ended.out, ended.err);
}

#[test]
fn r10_types_say_nothing_where_options_do() {
    let rig = mounted(
        json!({"source": "/etc/hostname", "destination": "/etc/hn", "options": ["bind", "ro"]}),
    );
    rig.script("cat /etc/hn && echo x >/etc/hn");
    let ended = rig.run();
    let name = std::fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(ended.out, name.trim());
    assert!(ended.err.contains("Read-only file system"), "{}", ended.err);
    // Relative ones start at the bundle, and at the root.
    let rig = mounted(
        json!({"source": "shared", "destination": "e/f", "type": "none", "options": ["rbind"]}),
    );
    std::fs::create_dir(rig.bundle().join("shared")).unwrap();
    rig.script("touch /e/f/made").run().ok();
    assert!(rig.bundle().join("shared/made").exists());
}

#[test]
fn propagation_is_as_told() {
    let source = Source::new("mode=755");
    for (option, mark) in [
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("private", ""),
        ("rprivate", ""),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        let rig = mounted(source.bind(&["rbind", option]));
        let table = rig.args(&["cat", "/proc/self/mountinfo"]).run().ok();
        for (place, counts) in [("/d", true), ("/d/below", option.starts_with('r'))] {
            let line = table
                .lines()
                .find(|line| line.split(' ').nth(4) == Some(place))
                .unwrap();
            let marks = line
                .split(" - ")
                .next()
                .unwrap()
                .split(' ')
                .skip(6)
                .collect::<Vec<_>>()
                .join(" ");
            let as_told = marks.starts_with(mark) && marks.is_empty() == mark.is_empty();
            assert!(as_told || !counts, "{option}: {line}");
        }
    }
}

#[test]
fn what_is_mounted_can_be_changed() {
    let rig = mounted(json!({"type": "tmpfs", "options": ["size=64k", "nosuid"]}));
    add(
        &rig,
        json!({"type": "tmpfs", "options": ["remount", "size=128k", "ro"]}),
    );
    let (mount, system) = properties(&rig, "/d");
    assert_eq!(mount, ["ro", "nosuid", "relatime"]);
    assert!(system.contains(&"size=128k".to_owned()), "{system:?}");
    add(
        &rig,
        json!({"source": "/none", "options": ["bind", "remount", "rw", "noexec"]}),
    );
    assert_eq!(
        properties(&rig, "/d").0,
        ["rw", "nosuid", "noexec", "relatime"]
    );
    let rig =
        mounted(json!({"destination": "/etc", "type": "tmpfs", "options": ["remount", "ro"]}));
    let err = rig.run().refused();
    assert!(err.contains("mount again on '/etc'"), "{err}");
}

#[test]
fn a_copy_comes_up() {
    let rig = mounted(
        json!({"destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup", "size=1m"]}),
    );
    let etc = rig.rootfs().join("etc");
    std::fs::create_dir(etc.join("sub")).unwrap();
    std::fs::write(etc.join("sub/file"), "text").unwrap();
    std::fs::set_permissions(
        etc.join("sub/file"),
        std::fs::Permissions::from_mode(0o4751),
    )
    .unwrap();
    std::os::unix::fs::chown(etc.join("sub"), Some(33), Some(34)).unwrap();
    symlink("sub/file", etc.join("link")).unwrap();
    nix::unistd::mkfifo(&etc.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    nix::sys::stat::mknod(
        &etc.join("null"),
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::S_IRWXU,
        nix::sys::stat::makedev(1, 3),
    )
    .unwrap();
    rig.script(
        "cat /etc/link; echo; stat -c '%a %u:%g %F' /etc/sub/file /etc/sub /etc/link /etc/pipe /etc/null; \
         stat -c %t:%T /etc/null; rm /etc/link; stat -f -c %T /etc",
    );
    let wanted = "text\n4751 0:0 regular file\n755 33:34 directory\n777 0:0 symbolic link\n\
        700 0:0 fifo\n700 0:0 character special file\n1:3\ntmpfs";
    assert_eq!(rig.run().ok(), wanted);
    assert!(etc.join("link").is_symlink());
}

#[test]
fn a_tmpfs_is_as_open_as_what_it_covers() {
    for (options, mode) in [(json!([]), "751"), (json!(["mode=1777"]), "1777")] {
        let rig = mounted(json!({"type": "tmpfs", "options": options}));
        let place = rig.rootfs().join("d");
        std::fs::create_dir(&place).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o751)).unwrap();
        assert_eq!(rig.args(&["stat", "-c", "%a", "/d"]).run().ok(), mode);
    }
    // Where there was nothing to cover it is open to all.
    let rig = mounted(json!({"type": "tmpfs"}));
    assert_eq!(rig.args(&["stat", "-c", "%a", "/d"]).run().ok(), "1777");
}

#[test]
fn links_of_the_image_lead_nowhere_but_into_it() {
    let rig = Rig::new();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), rig.rootfs().join("absolute")).unwrap();
    symlink("../../../../tmp/relative", rig.rootfs().join("climbs")).unwrap();
    symlink("/gone/file", rig.rootfs().join("dangling")).unwrap();
    add(&rig, json!({"destination": "/absolute/x", "type": "tmpfs"}));
    add(&rig, json!({"destination": "/climbs", "type": "tmpfs"}));
    add(
        &rig,
        json!({"destination": "/dangling", "source": "/etc/hostname", "options": ["bind"]}),
    );
    rig.script("touch /absolute/x/a /climbs/b && cat /gone/file && ls /tmp/relative");
    assert!(rig.run().ok().ends_with("b"));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn overlays_with_long_layers() {
    let rig = Rig::new();
    let layers: Vec<String> = (0..4)
        .map(|number| {
            let layer = rig.bundle().join(format!("{number}{}", "x".repeat(150)));
            std::fs::create_dir(&layer).unwrap();
            std::fs::write(layer.join(number.to_string()), "").unwrap();
            layer.display().to_string()
        })
        .collect();
    let (upper, work) = (rig.bundle().join("upper"), rig.bundle().join("work"));
    std::fs::create_dir(&upper).unwrap();
    std::fs::create_dir(&work).unwrap();
    let options = json!([
        format!("lowerdir={}", layers.join(":")),
        format!("upperdir={}", upper.display()),
        format!("workdir={}", work.display()),
        "nosuid",
    ]);
    add(
        &rig,
        json!({"type": "overlay", "source": "overlay", "options": options}),
    );
    assert_eq!(properties(&rig, "/d").0, ["rw", "nosuid", "relatime"]);
    assert_eq!(
        rig.script("touch /d/new; ls /d").run().ok(),
        "0\n1\n2\n3\nnew"
    );
    assert!(upper.join("new").exists());
}

#[test]
fn file_systems_of_the_kernel() {
    let rig = Rig::new();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        let proc = json!(["subset=pid", "hidepid=invisible", "nosuid", "ro"]);
        mounts[0]["options"] = proc;
        config["linux"]
            .as_object_mut()
            .unwrap()
            .remove("maskedPaths");
        config["linux"]
            .as_object_mut()
            .unwrap()
            .remove("readonlyPaths");
    });
    rig.script("ls /proc | grep -c '^meminfo$'; ls /dev/pts; touch /dev/mqueue/q && ls /dev/mqueue; grep -c ' /proc proc ro,.*hidepid=invisible,subset=pid' /proc/self/mounts");
    assert_eq!(rig.run().ok(), "0\nptmx\nq\n1");
}

#[test]
fn a_root_travels_as_told() {
    for (propagation, mark) in [
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("private", ""),
        ("rprivate", ""),
        ("unbindable", "unbindable"),
    ] {
        let rig = Rig::new();
        rig.config(|config| config["linux"]["rootfsPropagation"] = json!(propagation));
        let table = rig.args(&["cat", "/proc/self/mountinfo"]).run().ok();
        let line = table
            .lines()
            .find(|line| line.split(' ').nth(4) == Some("/"))
            .unwrap();
        let marks = line
            .split(" - ")
            .next()
            .unwrap()
            .split(' ')
            .skip(6)
            .collect::<Vec<_>>()
            .join(" ");
        let as_told = marks.contains(mark) && (!mark.is_empty() || marks.is_empty());
        assert!(as_told, "{propagation}: {line}");
    }
}
