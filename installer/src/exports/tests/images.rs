//! Images in the manner of those that were made for atomic.

use serde_json::{Value, json};

use super::super::unit_file::UnitFile;
use super::*;

/// In the manner of etcd: raw JSON as a value, a renamed host file, state under /var/lib.
pub(in super::super) fn etcd() -> Files {
    Files::default()
        .file(
            "/exports/manifest.json",
            r#"{
    "version": "1.0",
    "defaultValues": {
        "ADDTL_MOUNTS": "",
        "ETCD_NAME": "default"
    },
    "renameFiles": {
        "/usr/local/bin/etcdctl": "/usr/local/bin/${NAME}ctl"
    }
}"#,
        )
        .file(
            "/exports/config.json.template",
            r#"{
    "ociVersion": "1.0.0",
    "platform": {"os": "linux", "arch": "amd64"},
    "process": {
	"terminal": false,
	"user": {},
        "args": [
            "/usr/bin/etcd-env.sh",
            "/usr/bin/etcd"
        ],
        "env": [
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "ETCD_NAME=$ETCD_NAME",
            "ETCD_LISTEN_CLIENT_URLS=$ETCD_LISTEN",
            "ETCD_DATA_DIR=/var/lib/etcd"
        ],
        "cwd": "/",
        "capabilities": {
            "bounding": [$ALL_PROCESS_CAPABILITIES],
            "effective": ["CAP_NET_BIND_SERVICE"],
            "permitted": ["CAP_NET_BIND_SERVICE"]
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    },
    "root": {"path": "rootfs", "readonly": true},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "type": "bind",
            "source": "/etc/ssl",
            "destination": "/etc/ssl",
            "options": ["rbind", "ro", "mode=755"]
        },
        {
            "type": "bind",
            "source": "${STATE_DIRECTORY}/${NAME}",
            "destination": "/var/lib/etcd",
            "options": ["rbind", "rw", "rslave"]
        }
        $ADDTL_MOUNTS
    ],
    "linux": {
        "namespaces": [{"type": "mount"}],
        "selinuxProcessLabel": "",
        "devices": null
    }
}
"#,
        )
        .file(
            "/exports/service.template",
            "[Unit]\nDescription=Etcd Server\nAfter=network.target\n\n[Service]\n\
             ExecStart=$EXEC_START\nExecStop=$EXEC_STOP\nRestart=on-failure\n\
             WorkingDirectory=$DESTDIR\n\n[Install]\nWantedBy=multi-user.target\n",
        )
        .mode(
            "/exports/hostfs/usr/local/bin/etcdctl",
            "#!/bin/sh\n",
            0o755,
        )
}

/// Type=notify: the payload says when it is ready.
fn flannel() -> Files {
    etcd()
        .file(
            "/exports/tmpfiles.template",
            "d    ${RUN_DIRECTORY}/flannel   - - - -   -\n",
        )
        .file(
            "/exports/service.template",
            "[Unit]\nDescription=Flanneld overlay address etcd agent\nBefore=docker.service\n\n\
         [Service]\nType=notify\nEnvironmentFile=/etc/sysconfig/flanneld\n\
         ExecStartPre=/bin/bash -c 'echo $$(date) > /run/when'\nExecStart=$EXEC_START\n\
         ExecStop=$EXEC_STOP\nExecStopPost=/bin/rm -f /etc/flannel.env\n\
         WorkingDirectory=$DESTDIR\nRestart=on-failure\n\n[Install]\nWantedBy=docker.service\n",
        )
}

/// A unit that starts a program of its own.
fn azure() -> Files {
    etcd().file(
        "/exports/service.template",
        "[Unit]\nDescription=Azure Linux Agent\n\n[Service]\nType=simple\n\
         ExecStart=/usr/bin/python -u $DESTDIR/rootfs/usr/sbin/waagent -daemon\nRestart=always\n",
    )
}

/// Runs to its end, and tells so by a file.
fn bootkube() -> Files {
    etcd().file(
        "/exports/service.template",
        "[Unit]\nConditionPathExists=!/opt/done\n\n[Service]\nType=oneshot\nRemainAfterExit=true\n\
         ExecStart=$EXEC_START\nExecStartPost=/bin/touch /opt/done\nWorkingDirectory=$DESTDIR\n",
    )
}

fn ask() -> Ask {
    Ask::new("etcd").set("ETCD_LISTEN", "http://127.0.0.1:2379")
}

fn config(rendered: &Rendered) -> Value {
    serde_json::from_str(rendered.config_json.as_deref().unwrap()).unwrap()
}

fn unit(rendered: &Rendered) -> UnitFile {
    UnitFile::parse(rendered.unit.as_deref().unwrap())
}

#[test]
fn etcd_is_rendered() {
    let rendered = ask().render(&etcd()).unwrap();
    let config = config(&rendered);
    assert_eq!(config["process"]["env"][1], "ETCD_NAME=default");
    assert_eq!(
        config["process"]["env"][2],
        "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379"
    );
    assert_eq!(
        config["process"]["capabilities"]["bounding"],
        json!(["CAP_CHOWN", "CAP_KILL"])
    );
    assert!(
        config["platform"].is_object(),
        "the file is installed as the image wrote it"
    );
    let unit = unit(&rendered);
    assert_eq!(
        unit.last("Service", "ExecStart"),
        Some("/usr/bin/sysc-runtime run 'etcd'")
    );
    assert_eq!(
        unit.last("Service", "ExecStop"),
        Some("-/usr/bin/sysc-runtime halt 'etcd' SIGTERM")
    );
    assert_eq!(unit.last("Service", "Type"), Some("notify"));
    assert_eq!(unit.last("Unit", "X-Sysc-Generation"), Some("etcd/7"));
    assert_eq!(
        rendered.tmpfiles.as_deref(),
        Some("d /etc/ssl 0700 0 0 - -\nd /var/lib/etcd 0700 0 0 - -\n")
    );
    assert_eq!(rendered.host_files[0].path, "/usr/local/bin/etcdctl");
    assert_eq!(rendered.host_files[0].mode, 0o755);
    let points: Vec<_> = rendered
        .mount_points
        .iter()
        .map(|point| point.path.as_str())
        .collect();
    assert_eq!(points, ["/proc", "/etc/ssl", "/var/lib/etcd"]);
    assert_eq!(rendered.values["ETCD_NAME"], "default");
    assert!(!rendered.run_once);
    assert_eq!(rendered.warnings, [""; 0]);
}

/// T04: a value that is a piece of JSON, with its leading comma.
#[test]
fn t04_a_mount_is_added_by_a_value() {
    let mount = r#",{"type":"bind","source":"/srv","destination":"/srv","options":["rbind","ro"]}"#;
    let rendered = ask().set("ADDTL_MOUNTS", mount).render(&etcd()).unwrap();
    assert_eq!(config(&rendered)["mounts"][3]["destination"], "/srv");
    assert_eq!(rendered.mount_points[3].path, "/srv");
}

#[test]
fn flannel_says_itself_when_it_is_ready() {
    let rendered = ask().render(&flannel()).unwrap();
    let unit = unit(&rendered);
    assert_eq!(unit.last("Service", "Type"), Some("notify"));
    assert_eq!(unit.last("Service", "SyslogIdentifier"), Some("etcd"));
    let said = unit.all("Service", "Environment");
    assert!(said.contains(&"SYSC_READY=payload"), "{said:?}");
    let pre = unit.last("Service", "ExecStartPre").unwrap();
    assert_eq!(pre, "/bin/bash -c 'echo $(date) > /run/when'");
    let tmpfiles = rendered.tmpfiles.unwrap();
    assert_eq!(tmpfiles, "d    /run/flannel   - - - -   -\n");
    assert_eq!(directories(&tmpfiles), ["/run/flannel"]);
}

#[test]
fn azure_gets_the_marker_and_nothing_else() {
    let text = ask().render(&azure()).unwrap().unit.unwrap();
    let (own, added) = text.split_once("\n\n# Added by sysc").unwrap();
    assert!(own.ends_with("Restart=always"), "{text}");
    assert!(
        added.ends_with("\n[Unit]\nX-Sysc-Generation=etcd/7\n"),
        "{text}"
    );
}

#[test]
fn bootkube_keeps_its_type() {
    let unit = unit(&ask().render(&bootkube()).unwrap());
    assert_eq!(unit.last("Service", "Type"), Some("oneshot"));
    assert_eq!(unit.last("Service", "PIDFile"), None);
    assert_eq!(
        unit.last("Service", "ExecStartPost"),
        Some("/bin/touch /opt/done")
    );
}

/// T11: no /exports at all.
#[test]
fn t11_an_ordinary_image_gets_configuration_unit_and_folders() {
    let image = Files::default()
        .file(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n",
        )
        .file("/etc/group", "web:x:33:\n");
    let ask = Ask::new("web").config(json!({
        "Entrypoint": ["/serve"], "User": "web", "StopSignal": "SIGQUIT",
        "Volumes": {"/data": {}}, "Labels": null,
    }));
    let rendered = ask.render(&image).unwrap();
    let config = config(&rendered);
    assert_eq!(config["process"]["user"], json!({"uid": 33, "gid": 33}));
    let unit = unit(&rendered);
    let setting = |key| unit.last("Service", key);
    assert_eq!(
        setting("ExecStart"),
        Some("/usr/bin/sysc-runtime run -d --pid-file /run/container-web.pid 'web'")
    );
    assert_eq!(
        setting("Type"),
        Some("notify"),
        "it must not end when the runtime does"
    );
    assert_eq!(setting("PIDFile"), Some("/run/container-web.pid"));
    assert_eq!(setting("KillSignal"), Some("SIGQUIT"));
    assert_eq!(
        rendered.tmpfiles.as_deref(),
        Some("d /var/lib/web/data 0700 33 33 - -\n")
    );
    let kind = |path: &str| {
        rendered
            .mount_points
            .iter()
            .find(|point| point.path == path)
            .unwrap()
            .kind
    };
    assert_eq!(kind("/etc/hosts"), MountPointKind::File);
    assert_eq!(kind("/data"), MountPointKind::Dir);
}

/// A daemon that starts as root and becomes another user finds its volume as the image has it.
#[test]
fn volumes_are_whose_the_images_folders_are() {
    let image = Files::default().file("/etc/passwd", "web:x:33:33::/srv:/bin/sh\n");
    let cases = [
        ("", "/var/lib/chrony", "0750 999 998"),
        ("web", "/var/lib/chrony/", "0750 999 998"),
        ("web", "/var/lib/roots", "0700 33 33"),
        ("", "/var/lib/roots", "0700 0 0"),
        ("web", "/absent", "0700 33 33"),
    ];
    for (user, volume, right) in cases {
        let ask = Ask::new("x").config(json!({
            "Cmd": ["/serve"], "User": user, "Volumes": {volume: {}},
        }));
        let text = ask.render(&image).unwrap().tmpfiles.unwrap();
        let path = volume.trim_end_matches('/');
        assert_eq!(text, format!("d /var/lib/x{path} {right} - -\n"));
    }
}

/// T11: the default unit really is one.
#[test]
fn t11_the_default_unit_is_accepted_by_systemd() {
    let mut ask = Ask::new("verified");
    // A command and folders that exist: systemd looks for them.
    ask.host.runtime = "/bin/true".to_owned();
    ask.destdir = "/tmp".to_owned();
    let rendered = ask.render(&Files::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verified.service");
    std::fs::write(&file, rendered.unit.unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test asks systemd's own judge")]
    let verify = std::process::Command::new("systemd-analyze")
        .arg("verify")
        .arg(&file)
        .output();
    let Ok(verify) = verify else {
        println!("systemd-analyze is not here, so nothing was judged");
        return;
    };
    let told = String::from_utf8_lossy(&verify.stderr);
    let ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("verified"))
        .collect();
    assert!(verify.status.success() && ours.is_empty(), "{told}");
}

/// T11: only host files.
#[test]
fn t11_an_image_without_a_service_gives_host_files_only() {
    let image = Files::default()
        .file("/exports/manifest.json", r#"{"noContainerService": true}"#)
        .file("/exports/tmpfiles.template", "d /run/$NAME 0755 0 0 - -\n")
        .file("/exports/hostfs/etc/agent.conf", "a=$b\n");
    let rendered = Ask::new("agent").config(json!({})).render(&image).unwrap();
    assert_eq!((&rendered.config_json, &rendered.unit), (&None, &None));
    assert!(rendered.mount_points.is_empty());
    assert_eq!(
        rendered.tmpfiles.as_deref(),
        Some("d /run/agent 0755 0 0 - -\n")
    );
    let file = &rendered.host_files[0];
    assert_eq!(
        file.kind,
        HostFileKind::File(b"a=$b\n".to_vec()),
        "not a template, not touched"
    );
}

#[test]
fn an_image_that_runs_once_may_write_its_root_and_has_no_unit() {
    let image = Files::default().file(
        "/exports/config.json.template",
        r#"{"ociVersion": "1.0.0", "process": {"args": ["/x"], "cwd": "/", "user": {}},
            "root": {"path": "rootfs", "readonly": false}}"#,
    );
    let ask = Ask::new("installer").config(json!({"Labels": {"atomic.run": "once"}}));
    let rendered = ask.render(&image).unwrap();
    assert!(rendered.run_once && rendered.config_json.is_some());
    assert_eq!(rendered.unit, None);
    let message = Ask::new("installer").refused(&image);
    assert!(message.contains("'root.readonly'"), "{message}");
}

/// T11: net-snmp's empty template means no tmpfiles, not the generated ones.
#[test]
fn t11_an_empty_tmpfiles_template_means_none() {
    for text in ["", "\n", "  \n"] {
        let rendered = ask()
            .render(&etcd().file("/exports/tmpfiles.template", text))
            .unwrap();
        assert_eq!(rendered.tmpfiles, None, "{text:?}");
    }
}

#[test]
fn lines_of_an_earlier_generation_are_carried_on() {
    let mut ask = ask();
    ask.dirs.extend(["/etc/ssl", "/var/lib/etcd"]);
    assert_eq!(ask.render(&etcd()).unwrap().tmpfiles, None);
    ask.carried = vec!["/var/lib/etcd".to_owned(), "/no/longer".to_owned()];
    let rendered = ask.render(&etcd()).unwrap();
    assert_eq!(
        rendered.tmpfiles.as_deref(),
        Some("d /var/lib/etcd 0700 0 0 - -\n")
    );
}

#[test]
fn config_json_is_installed_verbatim() {
    let text = "{\"ociVersion\": \"1.0.0\",\n \"process\": {\"args\": [\"$HOME\"], \"cwd\": \"/\", \
                \"user\": {}}, \"root\": {\"path\": \"rootfs\", \"readonly\": true}}\n";
    let rendered = Ask::new("x").render(&Files::default().file("/exports/config.json", text));
    assert_eq!(rendered.unwrap().config_json.as_deref(), Some(text));
}

#[test]
fn a_value_that_nothing_uses_is_told_with_what_was_meant() {
    let rendered = ask()
        .set("ETCD_NMAE", "x")
        .set("STATE_DIRECTORY", "/srv")
        .render(&etcd());
    let rendered = rendered.unwrap();
    let unknown = rendered.unknown.unwrap();
    assert_eq!(unknown.names, ["ETCD_NMAE"]);
    let message = unknown.to_string();
    assert!(
        message.contains("'ETCD_NMAE'; is 'ETCD_NAME' meant?"),
        "{message}"
    );
    assert!(message.contains("ADDTL_MOUNTS, "), "{message}");
    assert_eq!(ask().render(&etcd()).unwrap().unknown, None);
}

#[test]
fn rendering_twice_gives_the_same() {
    for image in [etcd(), Files::default()] {
        let first = format!("{:?}", ask().render(&image).unwrap());
        assert_eq!(first, format!("{:?}", ask().render(&image).unwrap()));
    }
}
