//! The images that tests install: real daemons from Debian's packages, and a small one.

mod agents;

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::image::{Builder, Image, Tar};
use crate::tree;

pub use agents::{ancient, host_agent, kubelet, qemu_guest_agent, snmpd};

/// etcd as a system container: `/exports` with templates, as the real one has it.
pub fn etcd() -> Result<Image> {
    let tree = tree::packages("etcd", "etcd-server,etcd-client")?;
    let exports = Tar::new()
        .dir("exports", 0o755)
        .file(
            "exports/manifest.json",
            0o644,
            include_bytes!("etcd/manifest.json"),
        )
        .file(
            "exports/config.json.template",
            0o644,
            include_bytes!("etcd/config.json.template"),
        )
        .file(
            "exports/service.template",
            0o644,
            include_bytes!("etcd/service.template"),
        )
        .file(
            "exports/tmpfiles.template",
            0o644,
            include_bytes!("etcd/tmpfiles.template"),
        )
        .dir("var/lib/etcd", 0o700);
    let config = json!({"Entrypoint": ["/usr/bin/etcd"], "Labels": {"version": "3.4"}});
    Ok(Builder::new(config)
        .layer(files(&tree)?)
        .layer(exports.finish())
        .build())
}

/// chrony as anybody would package it: no `/exports`, only a command and a volume.
pub fn chrony() -> Result<Image> {
    let tree = tree::packages("chrony", "chrony")?;
    let passwd = "root:x:0:0:root:/root:/bin/sh\n_chrony:x:999:999::/var/lib/chrony:/bin/false\n";
    let group = "root:x:0:\n_chrony:x:999:\n";
    let own = Tar::new()
        .file("etc/passwd", 0o644, passwd.as_bytes())
        .file("etc/group", 0o644, group.as_bytes())
        .file(
            "etc/chrony/chrony.conf",
            0o644,
            b"driftfile /var/lib/chrony/drift\nport 0\ncmdport 0\n",
        )
        // As the package's installation script makes it: chronyd gives up root for _chrony.
        .dir_of("var/lib/chrony", 0o750, 999);
    let config = json!({
        // -x: leaves the clock alone; -d: stays in the foreground and logs to standard error.
        "Entrypoint": ["/usr/sbin/chronyd", "-d", "-x"],
        "Volumes": {"/var/lib/chrony": {}},
        "StopSignal": "SIGTERM",
    });
    Ok(Builder::new(config)
        .layer(files(&tree)?)
        .layer(own.finish())
        .build())
}

/// A busybox root with these commands, and `/data`, in one layer.
pub fn busybox_layer() -> Result<Vec<u8>> {
    let busybox = std::fs::read("/bin/busybox")?;
    let mut tar = Tar::new()
        .dir("bin", 0o755)
        .file("bin/busybox", 0o755, &busybox);
    for command in [
        "cat", "echo", "env", "id", "ls", "sh", "sleep", "touch", "true",
    ] {
        tar = tar.link(&format!("bin/{command}"), "busybox");
    }
    for dir in ["dev", "etc", "proc", "run", "sys", "tmp", "var", "var/lib"] {
        tar = tar.dir(dir, 0o755);
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/:/bin/sh\n";
    Ok(tar.file("etc/passwd", 0o644, passwd.as_bytes()).finish())
}

/// A service of a few lines of shell that stops on SIGTERM.
pub fn busybox(script: &str) -> Result<Image> {
    let config = json!({"Entrypoint": ["/bin/sh", "-c"], "Cmd": [script]});
    Ok(Builder::new(config).layer(busybox_layer()?).build())
}

/// What [`busybox`] runs to be a service.
pub const SERVICE: &str = "trap 'exit 0' TERM; echo started; while :; do sleep 0.2; done";

/// The configuration of a [`busybox`] that brings its own; it is root and may write to `/run`.
pub fn busybox_config(script: &str) -> serde_json::Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}, {"type": "cgroup"}]},
    })
}

/// A busybox with these files in `/exports`.
pub fn busybox_with(exports: &[(&str, &str)]) -> Result<Image> {
    let mut tar = Tar::new().dir("exports", 0o755);
    for (name, text) in exports {
        tar = tar.file(&format!("exports/{name}"), 0o644, text.as_bytes());
    }
    let base = Builder::new(json!({})).layer(busybox_layer()?);
    Ok(base.layer(tar.finish()).build())
}

/// A Debian tree as a layer, without what only its building needed.
fn files(tree: &Path) -> Result<Vec<u8>> {
    let mut tar = Tar::new();
    for part in ["usr", "etc", "lib", "lib64", "bin", "sbin", "var/lib"] {
        tar = tar.part(tree, part)?;
    }
    for dir in ["dev", "proc", "run", "sys", "tmp"] {
        tar = tar.dir(dir, 0o755);
    }
    Ok(tar.finish())
}
