//! /proc and /sys are what they seem, and what is written to them arrives there.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::rig::{Rig, guest};

/// Masks that mean nothing if /proc is not where it seems to be.
fn with_mask() -> Rig {
    let rig = Rig::new();
    rig.config(|config| config["linux"]["maskedPaths"] = json!(["/proc/version"]));
    rig.script("cat /proc/version; echo >/tmp/begun");
    rig
}

fn refused(rig: &Rig, words: &str) {
    let err = rig.run().refused();
    assert!(err.contains(words), "{err}");
    assert!(!rig.rootfs().join("tmp/begun").exists());
    rig.assert_clean();
}

/// A directory that an image or a volume would have in the place of /proc.
fn false_proc(rig: &Rig) -> std::path::PathBuf {
    let place = rig.bundle().join("false");
    std::fs::create_dir_all(place.join("self/attr")).unwrap();
    std::fs::write(place.join("self/attr/exec"), "").unwrap();
    place
}

#[test]
fn cve_2019_16884_nothing_but_proc_is_mounted_on_proc() {
    let places = [
        "/proc",
        "/a/../proc",
        "/proc/self",
        "/proc/self/attr",
        "/proc/net/dev",
    ];
    let mounts: [fn(&Rig) -> Value; 2] = [
        |rig| json!({"source": false_proc(rig), "options": ["rbind"]}),
        |_| json!({"type": "tmpfs", "source": "tmpfs"}),
    ];
    for (place, mount) in places
        .iter()
        .flat_map(|place| mounts.map(|mount| (place, mount)))
    {
        let rig = with_mask();
        let mut mount = mount(&rig);
        mount["destination"] = json!(place);
        rig.config(|config| config["mounts"].as_array_mut().unwrap().push(mount));
        refused(&rig, "proc");
    }
}

/// Files with which a container is shown its own share of the host are no danger to anybody.
#[test]
fn cve_2019_16884_some_files_of_proc_may_be_covered() {
    let rig = Rig::new();
    let cover =
        json!({"destination": "/proc/cpuinfo", "source": "/etc/hostname", "options": ["bind"]});
    rig.config(|config| config["mounts"].as_array_mut().unwrap().push(cover));
    let shown = rig.args(&["cat", "/proc/cpuinfo"]).run().ok();
    assert_eq!(
        shown,
        std::fs::read_to_string("/etc/hostname").unwrap().trim()
    );
}

#[test]
fn cve_2019_19921_proc_that_is_exchanged_during_set_up() {
    for name in ["proc", "sys"] {
        let rig = with_mask();
        let swap = format!(
            "cd {}; mv {name} away; mkdir {name}; echo plain >{name}/version",
            rig.rootfs().display()
        );
        rig.config(|config| {
            config["hooks"] =
                json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", swap]}]});
        });
        refused(&rig, &format!("'/{name}'"));
    }
}

#[test]
fn cve_2023_27561_no_link_leads_to_proc_or_past_it() {
    for mount in [
        json!({"destination": "/link", "type": "tmpfs", "source": "tmpfs"}),
        json!({"destination": "/link/sys", "source": "/tmp", "options": ["bind"]}),
        json!({"destination": "/link/self/attr", "type": "tmpfs", "source": "tmpfs"}),
    ] {
        let rig = with_mask();
        symlink("/proc", rig.rootfs().join("link")).unwrap();
        rig.config(|config| config["mounts"].as_array_mut().unwrap().push(mount));
        refused(&rig, "/proc");
    }
}

#[test]
fn cve_2023_28642_proc_or_sys_that_is_a_link() {
    for name in ["proc", "sys"] {
        let rig = with_mask();
        std::fs::create_dir(rig.rootfs().join("bad")).unwrap();
        std::fs::remove_dir(rig.rootfs().join(name)).unwrap();
        symlink("/bad", rig.rootfs().join(name)).unwrap();
        refused(&rig, "must be mounted on ordinary directory");
    }
}

#[test]
fn cve_2025_52881_a_sysctl_is_written_to_the_kernel_and_nowhere_else() {
    let rig = Rig::new();
    let victim = rig.bundle().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    // The one parameter over which a container may have a file: for programs, not for us.
    let cover = json!({"destination": "/proc/sys/kernel/ns_last_pid", "source": victim, "options": ["bind"]});
    rig.config(|config| {
        config["mounts"].as_array_mut().unwrap().push(cover);
        config["linux"]["sysctl"] = json!({"kernel.ns_last_pid": "1000"});
    });
    // It belongs to no namespace of the container's, and so is refused before anything is mounted.
    let err = rig.args(&["true"]).run().refused();
    assert!(err.contains("'kernel.ns_last_pid'"), "{err}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn cve_2025_52881_a_label_is_not_written_to_a_proc_of_the_payloads() {
    let rig = guest::sleeping(|config| {
        let all = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"] =
            json!({"bounding": all, "effective": all, "permitted": all});
    });
    // Numbers are easily guessed.
    let fake = "mount -t tmpfs tmpfs /proc; all='self thread-self'; i=0; \
        while [ $i -lt 200 ]; do i=$((i+1)); all=\"$all $i\"; dirs=\"$dirs /proc/$i/attr/apparmor\"; done; \
        mkdir -p $dirs /proc/self/attr/apparmor /proc/thread-self/attr/apparmor; \
        for p in $all; do echo >/proc/$p/attr/exec; echo >/proc/$p/attr/apparmor/exec; done";
    guest::script(&rig, fake).ok();
    let err = guest::refused(guest::exec(&rig, &["--apparmor", "profile", "c", "true"]));
    assert!(err.contains("AppArmor profile 'profile'"), "{err}");
    let written = guest::script(
        &rig,
        "cat /proc/*/attr/exec /proc/*/attr/apparmor/exec | grep -c profile",
    );
    assert_eq!(written.out, "0", "{}", written.err);
}
