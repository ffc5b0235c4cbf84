//! Places to mount on are beneath the root, whoever moves things there meanwhile.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{RenameFlags, renameat2};
use serde_json::json;

use crate::rig::Rig;

/// Starts enough to meet the moment between a look-up and a mount, if there is one.
const STARTS: usize = 60;

/// A place on the host that nobody in a container has any business with.
fn outside(rig: &Rig) -> PathBuf {
    let outside = rig.bundle().join("outside");
    std::fs::create_dir(&outside).unwrap();
    outside
}

fn is_untouched(outside: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    std::fs::read_dir(outside).unwrap().next().is_none()
        && !mounts.contains(outside.to_str().unwrap())
}

/// Exchanges a directory of a volume and a link that leads outside, as another container that has
/// the volume could, while `rig`'s container is started again and again.
fn start_while_exchanged(rig: &Rig, volume: &Path) {
    let (directory, link) = (volume.join("place"), volume.join("link"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat2(None, &directory, None, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        // Whether a start succeeds depends on the moment.
        let ends: Vec<_> = (0..STARTS).map(|_| rig.run()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(
            ends.iter().all(|ended| !ended.out.contains("OUTSIDE")),
            "{ends:?}"
        );
        assert!(ends.iter().any(|ended| ended.code == Some(0)), "{ends:?}");
    });
}

#[test]
fn cve_2021_30465_a_mount_stays_inside_a_volume_that_changes() {
    let rig = Rig::new();
    let outside = outside(&rig);
    std::fs::write(rig.bundle().join("secret"), "").unwrap();
    let volume = rig.bundle().join("volume");
    std::fs::create_dir_all(volume.join("place")).unwrap();
    symlink(&outside, volume.join("link")).unwrap();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/volume", "source": volume, "options": ["rbind"]}));
        mounts.push(json!({"destination": "/volume/place", "type": "tmpfs", "source": "tmpfs"}));
    });
    // The mount is seen in the root that it has been given, where the link would lead in there too.
    rig.script(
        "grep -qE ' (/volume/(place|link)|/[^ ]+/outside) ' /proc/self/mountinfo || echo OUTSIDE",
    );
    start_while_exchanged(&rig, &volume);
    assert!(is_untouched(&outside));
}

#[test]
fn cve_2021_30465_a_link_of_the_image_leads_a_mount_nowhere() {
    let rig = Rig::new();
    let outside = outside(&rig);
    symlink(&outside, rig.rootfs().join("esc")).unwrap();
    symlink("../../../../../..", rig.rootfs().join("up")).unwrap();
    let add = |place: &str| {
        let mount = json!({"destination": place, "type": "tmpfs", "source": "tmpfs"});
        rig.config(|config| config["mounts"].as_array_mut().unwrap().push(mount));
    };
    add("/up/also");
    rig.script("grep -c ' /also ' /proc/self/mountinfo");
    assert_eq!(rig.run().ok(), "1");
    add("/esc/in");
    // What the link names is made in the root file system.
    rig.script("grep -c '/outside/in ' /proc/self/mountinfo");
    assert_eq!(rig.run().ok(), "1");
    assert!(is_untouched(&outside));
}

#[test]
fn cve_2024_45310_nothing_is_made_on_the_host() {
    let rig = Rig::new();
    let outside = outside(&rig);
    let volume = rig.bundle().join("volume");
    std::fs::create_dir_all(volume.join("place")).unwrap();
    symlink(&outside, volume.join("link")).unwrap();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/volume", "source": volume, "options": ["rbind"]}));
        let file = "/volume/place/made/file";
        mounts.push(json!({"destination": file, "source": "/etc/hostname", "options": ["bind"]}));
        let directory = "/volume/place/made/directory";
        mounts.push(json!({"destination": directory, "type": "tmpfs", "source": "tmpfs"}));
    });
    rig.args(&["true"]);
    start_while_exchanged(&rig, &volume);
    assert!(is_untouched(&outside));
}

#[test]
fn cve_2024_45310_a_link_makes_no_file_of_the_hosts() {
    let rig = Rig::new();
    let outside = outside(&rig);
    symlink(outside.join("made"), rig.rootfs().join("file")).unwrap();
    symlink(&outside, rig.rootfs().join("dir")).unwrap();
    for place in ["/file", "/dir/made", "/dir/a/b/made"] {
        let mount = json!({"destination": place, "source": "/etc/hostname", "options": ["bind"]});
        rig.config(|config| config["mounts"].as_array_mut().unwrap().push(mount));
    }
    // Made beneath the root, or refused.
    rig.args(&["true"]).run();
    assert!(is_untouched(&outside));
}

/// What is copied for `tmpcopyup` lies in a volume too.
#[test]
fn a_copy_of_a_volume_that_changes_holds_nothing_of_the_hosts() {
    let rig = Rig::new();
    let volume = rig.bundle().join("volume");
    std::fs::create_dir_all(&volume).unwrap();
    std::fs::write(rig.bundle().join("secret"), "OUTSIDE\n").unwrap();
    std::fs::write(volume.join("place"), "plain\n").unwrap();
    symlink(rig.bundle().join("secret"), volume.join("link")).unwrap();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/volume", "source": volume, "options": ["rbind"]}));
        mounts.push(
            json!({"destination": "/volume", "type": "tmpfs", "source": "tmpfs",
            "options": ["tmpcopyup"]}),
        );
    });
    rig.script("cat /volume/place /volume/link 2>/dev/null; true");
    start_while_exchanged(&rig, &volume);
}

/// What is hidden and protected is looked up in the container's root, wherever a link points.
#[test]
fn s01_masks_of_a_volume_that_changes_stay_inside() {
    let rig = Rig::new();
    let outside = outside(&rig);
    let volume = rig.bundle().join("volume");
    std::fs::create_dir_all(volume.join("place")).unwrap();
    symlink(&outside, volume.join("link")).unwrap();
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(
            json!({"destination": "/volume", "source": volume, "options": ["rbind", "rshared"]}),
        );
        config["linux"]["maskedPaths"] = json!(["/volume/place", "/volume/link"]);
        config["linux"]["readonlyPaths"] = json!(["/volume/place", "/volume/link"]);
    });
    rig.script("grep -q /outside /proc/self/mountinfo && echo OUTSIDE; true");
    start_while_exchanged(&rig, &volume);
    assert!(is_untouched(&outside));
}
