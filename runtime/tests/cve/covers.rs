//! What the runtime itself mounts over files of the container: the null device, the terminal.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::rig::Rig;

/// /dev is the image's, and a hook stands for whoever else can write to it: `line` runs there once
/// all is mounted.
fn with_dev_of_the_image(line: &str) -> Rig {
    let rig = Rig::new();
    std::fs::write(rig.rootfs().join("victim"), "untouched").unwrap();
    std::fs::write(rig.rootfs().join("maskme"), "secret").unwrap();
    let line = format!("cd {}/dev; {line}", rig.rootfs().display());
    rig.config(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        let kept = ["/dev/pts"];
        mounts.retain(|mount| {
            let place = mount["destination"].as_str().unwrap();
            !place.starts_with("/dev") || kept.contains(&place)
        });
        config["linux"]["maskedPaths"] = json!(["/maskme"]);
        config["hooks"] =
            json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", line]}]});
    });
    rig
}

#[test]
fn cve_2025_31133_what_hides_a_file_is_the_hosts_null_device() {
    for line in [
        "rm null; ln -s /victim null",
        "rm null; mknod null c 1 5",
        "rm null; echo >null",
    ] {
        let rig = with_dev_of_the_image(line);
        rig.script(
            "stat -c %t:%T /maskme; echo x >/maskme; grep -c ' /victim ' /proc/self/mountinfo",
        );
        assert_eq!(rig.run().out, "1:3\n0", "{line}");
        let victim = std::fs::read_to_string(rig.rootfs().join("victim")).unwrap();
        assert_eq!(victim, "untouched");
    }
}

#[test]
fn cve_2025_31133_a_null_device_of_the_image_that_is_none_is_refused() {
    let rig = with_dev_of_the_image("true");
    symlink("/victim", rig.rootfs().join("dev/null")).unwrap();
    let err = rig.args(&["true"]).run().refused();
    assert!(
        err.contains("'/dev/null'") && err.contains("something else"),
        "{err}"
    );
    rig.assert_clean();
}

#[test]
fn cve_2025_52565_the_terminal_is_mounted_on_nothing_but_a_console() {
    for line in [
        "ln -s /victim console",
        "ln -s /proc/sys/kernel/core_pattern console",
        "mkdir console",
        "mount --bind /proc/sys/kernel/core_pattern console 2>/dev/null; ln -s /proc/1/mem console",
    ] {
        let rig = with_dev_of_the_image(line);
        rig.config(|config| config["process"]["terminal"] = json!(true));
        rig.script("echo >/victim");
        let err = rig.run().refused();
        assert!(err.contains("'/dev/console'"), "{line}: {err}");
        let victim = std::fs::read_to_string(rig.rootfs().join("victim")).unwrap();
        assert_eq!(victim, "untouched");
        rig.assert_clean();
    }
}

#[test]
fn cve_2025_52565_a_terminal_comes_from_devpts_alone() {
    for line in [
        "rm ptmx; echo >ptmx",
        "rm ptmx; mknod ptmx c 1 3",
        "rm ptmx; ln -s null ptmx",
    ] {
        let rig = with_dev_of_the_image(line);
        rig.config(|config| config["process"]["terminal"] = json!(true));
        let err = rig.args(&["true"]).run().refused();
        assert!(err.contains("set the terminal up"), "{line}: {err}");
        rig.assert_clean();
    }
}

/// The image's /dev serves as well as ours, as long as nobody has changed it.
#[test]
fn cve_2025_52565_an_ordinary_console_is_the_terminal() {
    let rig = with_dev_of_the_image("true");
    rig.config(|config| config["process"]["terminal"] = json!(true));
    rig.script("echo heard >/dev/console");
    assert_eq!(rig.run().out, "heard");
}
