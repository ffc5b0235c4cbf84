//! Root file systems that are shared, read-only or oddly mounted. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rig::Rig;
use serde_json::json;

/// What a hard link shares with the others of its inode.
fn inode(path: &Path) -> (u64, u32, i64, i64, Vec<u8>) {
    let found = std::fs::metadata(path).unwrap();
    let text = std::fs::read(path).unwrap();
    (
        found.ino(),
        found.mode(),
        found.mtime_nsec(),
        found.ctime_nsec(),
        text,
    )
}

/// A root whose files are hard links to those of a repository, as a checkout's are.
fn checked_out() -> (Rig, std::path::PathBuf) {
    let rig = Rig::new();
    let object = rig.bundle().join("object");
    std::fs::write(&object, "from the repository\n").unwrap();
    std::fs::hard_link(&object, rig.rootfs().join("etc/resolv.conf")).unwrap();
    std::fs::write(rig.bundle().join("given"), "given\n").unwrap();
    rig.config(|config| {
        let given = rig.bundle().join("given");
        let bind =
            |to: &str| json!({"destination": to, "source": given, "options": ["bind", "ro"]});
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.extend([bind("/etc/resolv.conf"), bind("/newfile")]);
        mounts.push(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs"}));
        config["root"]["readonly"] = json!(true);
    });
    (rig, object)
}

#[test]
fn r12_linked_files_of_a_root_are_never_changed() {
    let (rig, object) = checked_out();
    let before = inode(&object);
    rig.script("cat /etc/resolv.conf /newfile; touch /data/x && echo data; touch /x");
    for _ in 0..2 {
        let ended = rig.run();
        assert_eq!(ended.out, "given\ngiven\ndata", "{}", ended.err);
        assert!(ended.err.contains("Read-only file system"), "{}", ended.err);
        assert_eq!(inode(&object), before);
    }
    rig.assert_clean();
}

#[test]
fn r12_two_containers_share_one_root() {
    let (rig, object) = checked_out();
    let before = inode(&object);
    rig.args(&["sleep", "1000"]);
    for name in ["one", "two"] {
        rig.runtime(&["run", "-d", name]).ok();
    }
    let shown = rig
        .runtime(&["exec", "two", "cat", "/etc/resolv.conf"])
        .ok();
    assert_eq!(shown, "given");
    rig.runtime(&["delete", "--force", "one"]).ok();
    assert_eq!(rig.status("two"), "running");
    assert_eq!(inode(&object), before);
}

/// In a mount namespace of its own, so that nothing of it is seen by others.
fn in_private_mounts(rig: &Rig, line: &str) -> rig::Ended {
    let run = format!(
        "{} --root {} run c",
        rig.program().display(),
        rig.state_root().display()
    );
    rig.shell(&format!(
        "unshare -m --propagation private sh -c '{line} && exec {run}'"
    ))
}

#[test]
fn r12_a_read_only_root_keeps_what_its_mount_forbids() {
    let rig = Rig::new();
    rig.config(|config| config["root"]["readonly"] = json!(true));
    rig.script("grep -E \"^[0-9]+ [0-9]+ [^ ]+ [^ ]+ / \" /proc/self/mountinfo | head -1");
    let here = rig.bundle().display();
    let line = format!(
        "mount --bind {here} {here} && mount -o remount,bind,nosuid,nodev {here} && cd {here}"
    );
    let shown = in_private_mounts(&rig, &line).ok();
    assert!(shown.contains("ro,nosuid,nodev"), "{shown}");
}

#[test]
fn s05_a_read_only_program_and_a_tmp_without_execution_are_no_hindrance() {
    let rig = Rig::new().with_own_program();
    rig.args(&["echo", "begun"]);
    let program = rig.program().display();
    let line = format!(
        "mount --bind {program} {program} && mount -o remount,bind,ro {program} && \
         mount -t tmpfs -o noexec tmpfs /dev/shm && mount -t tmpfs -o noexec tmpfs /var/tmp"
    );
    assert_eq!(in_private_mounts(&rig, &line).ok(), "begun");
}
