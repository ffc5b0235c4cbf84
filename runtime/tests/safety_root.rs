//! What a configuration or an image may not get, and mounts that do what they say. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::symlink;

use rig::{Rig, eventually};
use serde_json::{Value, json};

fn add_mount(rig: &Rig, mount: Value) {
    rig.config(|config| config["mounts"].as_array_mut().unwrap().push(mount));
}

#[test]
fn r10_binds_by_option_and_recursive_options() {
    let rig = Rig::new();
    let outer = rig.bundle().join("outer");
    std::fs::create_dir_all(outer.join("inner")).unwrap();
    nix::mount::mount(
        Some("tmpfs"),
        &outer.join("inner"),
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    std::fs::write(rig.bundle().join("file"), "hello\n").unwrap();
    add_mount(
        &rig,
        json!({"source": rig.bundle().join("file"), "destination": "/etc/hn", "options": ["bind", "ro"]}),
    );
    add_mount(
        &rig,
        json!({"type": "none", "source": &outer, "destination": "/d", "options": ["rbind", "rro"]}),
    );
    add_mount(
        &rig,
        json!({"source": "file", "destination": "/a/b/relative", "options": ["bind"]}),
    );
    for (name, option) in [
        ("/o1", "ratime"),
        ("/o2", "rnoatime"),
        ("/o3", "rnostrictatime"),
        ("/o4", "rrelatime"),
    ] {
        add_mount(
            &rig,
            json!({"source": &outer, "destination": name, "options": ["rbind", option, "mode=755"]}),
        );
    }
    rig.script("cat /etc/hn /a/b/relative; touch /d/x; touch /d/inner/x; echo >/etc/hn; grep -c ' /o2.*noatime' /proc/self/mountinfo");
    let ended = rig.run();
    nix::mount::umount(&outer.join("inner")).unwrap();
    assert_eq!(ended.out, "hello\nhello\n2", "{}", ended.err);
    assert_eq!(
        ended.err.matches("Read-only file system").count(),
        3,
        "{}",
        ended.err
    );
}

#[test]
fn mounts_travel_as_told() {
    let rig = Rig::new();
    let shared = rig.bundle().join("shared");
    std::fs::create_dir_all(shared.join("late")).unwrap();
    let bind = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&shared), &shared, None::<&str>, bind, None::<&str>).unwrap();
    nix::mount::mount(
        None::<&str>,
        &shared,
        None::<&str>,
        nix::mount::MsFlags::MS_SHARED,
        None::<&str>,
    )
    .unwrap();
    add_mount(
        &rig,
        json!({"source": &shared, "destination": "/slave", "options": ["rbind", "rslave"]}),
    );
    add_mount(
        &rig,
        json!({"source": &shared, "destination": "/private", "options": ["rbind", "rprivate"]}),
    );
    rig.script("touch /tmp/ready; while [ ! -e /tmp/go ]; do sleep 0.01; done; ls /slave/late /private/late");
    let child = rig.spawn(&["run", "c"]);
    eventually(|| rig.rootfs().join("tmp/ready").exists());
    nix::mount::mount(
        Some("tmpfs"),
        &shared.join("late"),
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    std::fs::write(shared.join("late/seen"), "").unwrap();
    std::fs::write(rig.rootfs().join("tmp/go"), "").unwrap();
    let out = rig::Ended::from(child.wait_with_output().unwrap());
    for path in [shared.join("late"), shared.clone()] {
        nix::mount::umount(&path).unwrap();
    }
    assert_eq!(
        out.out, "/private/late:\n\n/slave/late:\nseen",
        "{}",
        out.err
    );
}

#[test]
fn tmpcopyup_starts_with_what_was_there() {
    let rig = Rig::new();
    add_mount(
        &rig,
        json!({"type": "tmpfs", "source": "tmpfs", "destination": "/etc", "options": ["tmpcopyup", "mode=700"]}),
    );
    rig.script("head -1 /etc/passwd; echo x >/etc/passwd; stat -c %a /etc");
    assert_eq!(rig.run().ok(), "root:x:0:0::/root:/bin/sh\n700");
    assert!(
        std::fs::read_to_string(rig.rootfs().join("etc/passwd"))
            .unwrap()
            .starts_with("root")
    );
}

#[test]
fn the_cgroup_tree_is_read_only_where_asked() {
    let rig = Rig::new();
    rig.script("mkdir /sys/fs/cgroup/pids/x /sys/fs/cgroup/x /sys/fs/cgroup/unified/x; touch /sys/fs/cgroup/y; ls /sys/fs/cgroup | wc -l");
    let ended = rig.run();
    assert!(ended.out.parse::<u32>().unwrap() > 3, "{}", ended.out);
    assert!(
        !ended.err.contains("cannot touch") && ended.err.contains("Read-only file system"),
        "{}",
        ended.err
    );
    assert!(
        ended
            .err
            .lines()
            .all(|line| line.contains("Read-only") || line.contains("No such file")),
        "{}",
        ended.err
    );
}

#[test]
fn r13_hidden_and_protected_paths() {
    let rig = Rig::new();
    for directory in ["testdir", "testdir2"] {
        std::fs::create_dir(rig.rootfs().join(directory)).unwrap();
        std::fs::write(rig.rootfs().join(directory).join("secret"), "x").unwrap();
    }
    std::fs::write(rig.rootfs().join("testfile"), "secret").unwrap();
    for readonly in [false, true] {
        rig.config(|config| {
            config["root"]["readonly"] = json!(readonly);
            config["linux"]["maskedPaths"] =
                json!(["/testfile", "/testdir", "/testdir2", "/testdir", "/nope"]);
            config["linux"]["readonlyPaths"] = json!(["etc", "/nope2"]);
        });
        rig.script("cat /testfile | wc -c; ls /testdir | wc -l; grep -c ' /testdir ' /proc/self/mountinfo; \
            [ $(stat -c %d /testdir) = $(stat -c %d /testdir2) ] && echo shared; \
            touch /testdir/f; touch /etc/f; chmod 600 /testfile");
        let ended = rig.run();
        assert_eq!(ended.out, "0\n0\n1\nshared", "{}", ended.err);
        assert_eq!(
            ended.err.matches("Read-only file system").count(),
            3,
            "{}",
            ended.err
        );
    }
}

#[test]
fn a_dev_of_the_image_that_is_a_link_leads_nowhere_outside() {
    let rig = Rig::new();
    let outside = rig.bundle().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("ptmx"), "host's").unwrap();
    std::fs::remove_dir(rig.rootfs().join("dev")).unwrap();
    symlink(&outside, rig.rootfs().join("dev")).unwrap();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    rig.args(&["true"]).run();
    let names: Vec<_> = std::fs::read_dir(&outside)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["ptmx"]);
    assert_eq!(
        std::fs::read_to_string(outside.join("ptmx")).unwrap(),
        "host's"
    );
}

#[test]
fn the_hosts_own_dev_is_not_touched() {
    let rig = Rig::new();
    let dev = rig.bundle().join("dev");
    std::fs::create_dir(&dev).unwrap();
    std::fs::write(dev.join("ptmx"), "host's").unwrap();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        mounts.push(json!({"destination": "/dev", "source": dev, "options": ["rbind"]}));
    });
    assert_eq!(rig.args(&["ls", "/dev"]).run().ok(), "ptmx");
}
