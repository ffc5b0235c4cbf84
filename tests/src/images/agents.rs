//! Images in the manner of those that Project Atomic's collection had: agents of a host.

use anyhow::Result;
use serde_json::{Value, json};

use super::{SERVICE, busybox_layer, files};
use crate::image::{Builder, Image, Tar};
use crate::tree;

/// The unit that most of them have.
const UNIT: &str = "[Unit]\nDescription=$NAME\n\n[Service]\nExecStartPre=$EXEC_STARTPRE\n\
    ExecStart=$EXEC_START\nExecStop=$EXEC_STOP\nExecStopPost=$EXEC_STOPPOST\nRestart=on-failure\n\
    WorkingDirectory=$DESTDIR\nPIDFile=$PIDFILE\n\n[Install]\nWantedBy=multi-user.target\n";

fn exports(config: &Value, manifest: &Value) -> Tar {
    Tar::new()
        .file("exports/service.template", 0o644, UNIT.as_bytes())
        .file(
            "exports/config.json.template",
            0o644,
            template(config).as_bytes(),
        )
        .file(
            "exports/manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )
}

/// A list that is to hold every capability stands in JSON as one string.
fn template(config: &Value) -> String {
    format!("{config:#}\n").replace("\"$ALL_PROCESS_CAPABILITIES\"", "$ALL_PROCESS_CAPABILITIES")
}

/// As the collection's configurations were: of OCI 1.0.0-rc3, with a platform, and tabs.
fn config(args: &[&str], mounts: &Value) -> Value {
    json!({
        "ociVersion": "1.0.0-rc3",
        "platform": {"os": "linux", "arch": "amd64"},
        "process": {
            "terminal": false, "user": {}, "args": args, "cwd": "/",
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "capabilities": ["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": mounts,
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    })
}

fn basic_mounts() -> Vec<Value> {
    vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind", "rslave", "mode=755"]}),
        json!({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "rslave", "ro"]}),
        json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}),
    ]
}

/// Net-SNMP's daemon, which answers on `$PORT`, and its client.
pub fn snmpd() -> Result<Image> {
    let tree = tree::packages("snmpd", "snmpd,snmp")?;
    let mut mounts = basic_mounts();
    mounts.push(json!({
        "destination": "/var/lib/snmp", "type": "bind", "source": "$STATE_DIRECTORY/$NAME",
        "options": ["rbind", "rw"],
    }));
    let args = [
        "/usr/sbin/snmpd",
        "-f",
        "-Lo",
        "-C",
        "-c",
        "/etc/snmp/own.conf",
        "udp:127.0.0.1:$PORT",
    ];
    let exports = exports(&config(&args, &mounts.into()), &json!({})).file(
        "etc/snmp/own.conf",
        0o644,
        b"rocommunity public\nsysName answering\n",
    );
    Ok(Builder::new(json!({}))
        .layer(files(&tree)?)
        .layer(exports.finish())
        .build())
}

/// QEMU's guest agent, on a socket where a real guest has a virtio port.
pub fn qemu_guest_agent() -> Result<Image> {
    let tree = tree::packages("qemu-ga", "qemu-guest-agent")?;
    let mut mounts = basic_mounts();
    mounts.push(json!({
        "destination": "/run/qga", "type": "bind", "source": "$RUN_DIRECTORY/qga-$NAME",
        "options": ["rbind", "rw"],
    }));
    let args = [
        "/usr/sbin/qemu-ga",
        "-m",
        "unix-listen",
        "-p",
        "/run/qga/socket",
        "-t",
        "/run/qga",
    ];
    let mut config = config(&args, &mounts.into());
    config["process"]["capabilities"] = json!(["$ALL_PROCESS_CAPABILITIES"]);
    let exports = exports(&config, &json!({"version": "1.0"}));
    Ok(Builder::new(json!({}))
        .layer(files(&tree)?)
        .layer(exports.finish())
        .build())
}

/// What a kubelet is to its host: every capability, no namespace but for mounts, the host's root
/// as it changes, and mounts of its own that the host sees.
pub fn kubelet() -> Result<Image> {
    let mut mounts = basic_mounts();
    mounts.extend([
        json!({"destination": "/rootfs", "type": "bind", "source": "/", "options": ["rbind", "rslave", "ro"]}),
        json!({"destination": "/var/lib/kubelet", "type": "bind", "source": "$STATE_DIRECTORY/kubelet", "options": ["rbind", "rshared", "rw", "mode=755"]}),
        json!({"destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": ["bind", "rprivate", "ro"]}),
    ]);
    let mut config = config(&["/bin/sh", "-c", SERVICE], &mounts.into());
    config["ociVersion"] = "1.0.0".into();
    let all = json!(["$ALL_PROCESS_CAPABILITIES"]);
    config["process"]["capabilities"] = json!({
        "bounding": all, "effective": all, "inheritable": all, "permitted": all,
    });
    config["process"]["env"] = json!(["PATH=/bin"]);
    config["linux"] = json!({"rootfsPropagation": "rslave"});
    let exports = exports(&config, &json!({})).dir("rootfs", 0o755);
    Ok(Builder::new(json!({}))
        .layer(busybox_layer()?)
        .layer(exports.finish())
        .build())
}

/// Files for the host and a unit of their own, as cloud agents came.
pub fn host_agent() -> Result<Image> {
    let unit =
        "[Service]\nExecStart=/usr/local/libexec/agent\n[Install]\nWantedBy=multi-user.target\n";
    let manifest = json!({
        "noContainerService": true,
        "defaultValues": {"INTERVAL": "0.2"},
        "renameFiles": {"/etc/systemd/system/agent.service": "/etc/systemd/system/$NAME-agent.service"},
        "installedFilesTemplate": ["/usr/local/libexec/agent"],
    });
    let script =
        "#!/bin/sh\ntrap 'exit 0' TERM\necho agent of $NAME\nwhile :; do sleep $INTERVAL; done\n";
    let exports = Tar::new()
        .file(
            "exports/manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )
        .file(
            "exports/hostfs/etc/systemd/system/agent.service",
            0o644,
            unit.as_bytes(),
        )
        .file(
            "exports/hostfs/usr/local/libexec/agent",
            0o755,
            script.as_bytes(),
        );
    Ok(Builder::new(json!({})).layer(exports.finish()).build())
}

/// A configuration of OCI 0.3: capabilities and limits under `linux`, no leading slashes.
pub fn ancient() -> Result<Image> {
    let config = json!({
        "ociVersion": "0.3.0",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
            "args": ["/bin/sh", "-c", format!("cat /proc/self/status | grep CapEff; ulimit -n; {SERVICE}")]},
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "proc", "type": "proc", "source": "proc"}],
        "hooks": null,
        "linux": {
            "capabilities": ["CAP_KILL"],
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 333, "soft": 333}],
            "namespaces": [{"type": "mount", "path": ""}, {"type": "pid"}],
            "devices": null, "resources": {},
        },
    });
    let exports = Tar::new().file("exports/config.json", 0o644, config.to_string().as_bytes());
    Ok(Builder::new(json!({}))
        .layer(busybox_layer()?)
        .layer(exports.finish())
        .build())
}
