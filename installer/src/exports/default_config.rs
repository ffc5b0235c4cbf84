//! The OCI configuration of an ordinary image: one that brings no `/exports/config.json`.
//!
//! What podman would do for the same image, except where a host service differs: the host's
//! network, a read-only root, and volumes that are folders under the host's state directory.
//! The host name stays the host's own (a new UTS namespace begins as a copy, and `/etc/hosts` is
//! the host's). `noNewPrivileges` is left out, which is `false`, as podman has it: images with
//! set-uid helpers work.

use serde_json::{Value, json};

use super::image_config::ImageConfig;
use super::user::Identity;
use super::{Error, Network, SourceKind, seccomp};

/// podman's default capabilities.
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// No `network` but on request: a host service is reached at the host's addresses.
const NAMESPACES: [&str; 5] = ["pid", "ipc", "uts", "mount", "cgroup"];

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Host files that a service on the host's network needs, where the host has them.
const HOST_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// A folder of the host in the place of one of the image's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    pub source: String,
    pub destination: String,
}

/// The image's volumes, each at `STATE_DIRECTORY/NAME/<path>`.
pub(super) fn volumes(
    image: &ImageConfig,
    state_directory: &str,
    name: &str,
) -> Result<Vec<Volume>, Error> {
    let volume = |path: &String| {
        let destination = checked(path)?;
        let source = format!("{state_directory}/{name}{destination}");
        Ok(Volume {
            source,
            destination,
        })
    };
    image.volumes.keys().map(volume).collect()
}

/// A volume's path without doubled slashes, if it is one that can be given to a service.
fn checked(path: &str) -> Result<String, Error> {
    let refuse = |problem| {
        Err(Error::ImageSetting {
            key: "volume",
            value: path.to_owned(),
            problem,
        })
    };
    let parts: Vec<&str> = path
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    match parts.as_slice() {
        _ if !path.starts_with('/') => refuse("is not an absolute path"),
        _ if path.chars().any(char::is_control) => refuse("contains a control character"),
        [] => refuse("is the root of the image"),
        parts if parts.contains(&"..") => refuse("contains '..'"),
        ["proc" | "sys" | "dev", ..] => refuse("lies on a kernel file system"),
        parts => Ok(format!("/{}", parts.join("/"))),
    }
}

/// The whole configuration, the same bytes for the same input.
pub(super) fn generate(
    image: &ImageConfig,
    identity: &Identity,
    volumes: &[Volume],
    network: Network,
    lookup: &dyn Fn(&str) -> SourceKind,
) -> Result<String, Error> {
    let args: Vec<&String> = image.entrypoint.iter().chain(&image.cmd).collect();
    if args.is_empty() {
        return Err(Error::NoCommand);
    }
    let mut user = json!({"uid": identity.uid, "gid": identity.gid});
    if !identity.additional_gids.is_empty() {
        user["additionalGids"] = json!(identity.additional_gids);
    }
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": user,
            "args": args,
            "env": environment(image, identity),
            "cwd": working_directory(image),
            "capabilities": capabilities(identity),
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": mounts(volumes, network, lookup),
        "linux": {
            "namespaces": namespaces(network),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "seccomp": seccomp::profile(),
        },
    });
    // Pretty printing ends without a new line, unlike the files that images bring.
    Ok(format!("{config:#}\n"))
}

fn namespaces(network: Network) -> Vec<Value> {
    let private = (network == Network::Private).then_some("network");
    let kinds = NAMESPACES.into_iter().chain(private);
    kinds.map(|kind| json!({"type": kind})).collect()
}

fn environment(image: &ImageConfig, identity: &Identity) -> Vec<String> {
    let has = |name: &str| {
        image
            .env
            .iter()
            .any(|entry| entry.split('=').next() == Some(name))
    };
    let mut environment = image.env.clone();
    if !has("PATH") {
        environment.insert(0, DEFAULT_PATH.to_owned());
    }
    if !has("HOME") {
        environment.push(format!("HOME={}", identity.home));
    }
    environment
}

fn working_directory(image: &ImageConfig) -> String {
    match image.working_dir.as_str() {
        "" => "/".to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("/{relative}"),
    }
}

/// A process that is not root begins without effective capabilities, as under podman: the
/// bounding set is only what a set-uid program of the image can reach.
fn capabilities(identity: &Identity) -> Value {
    match identity.uid {
        0 => json!({
            "bounding": CAPABILITIES,
            "effective": CAPABILITIES,
            "permitted": CAPABILITIES,
        }),
        _ => json!({"bounding": CAPABILITIES}),
    }
}

fn mounts(volumes: &[Volume], network: Network, lookup: &dyn Fn(&str) -> SourceKind) -> Vec<Value> {
    let quiet = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &quiet),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &quiet),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "ro"],
        ),
        mount("/run", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=755"]),
        mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777"]),
    ];
    for path in HOST_FILES {
        if network == Network::Host && lookup(path) == SourceKind::File {
            mounts.push(mount(path, "bind", path, &["rbind", "ro"]));
        }
    }
    for volume in volumes {
        mounts.push(mount(
            &volume.destination,
            "bind",
            &volume.source,
            &["rbind", "rw"],
        ));
    }
    mounts
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": source, "options": options})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(config: Value) -> ImageConfig {
        ImageConfig::parse(json!({ "config": config }).to_string().as_bytes()).unwrap()
    }

    fn generated(config: Value) -> Value {
        generated_with(config, Network::Host)
    }

    fn generated_with(config: Value, network: Network) -> Value {
        let image = image(config);
        let identity = super::super::user::look_up(&image.user, "", "").unwrap();
        let volumes = volumes(&image, "/var/lib", "web").unwrap();
        let text = generate(&image, &identity, &volumes, network, &|_| SourceKind::File);
        let text = text.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn command_environment_and_folder_come_from_the_image() {
        let config = generated(json!({
            "Entrypoint": ["/entry", "-x"], "Cmd": ["serve"], "Env": ["A=1", "PATHS=2"],
            "WorkingDir": "/srv", "User": "33:34",
        }));
        let process = &config["process"];
        assert_eq!(process["args"], json!(["/entry", "-x", "serve"]));
        assert_eq!(
            process["env"],
            json!([DEFAULT_PATH, "A=1", "PATHS=2", "HOME=/"])
        );
        assert_eq!(process["cwd"], "/srv");
        assert_eq!(process["user"], json!({"uid": 33, "gid": 34}));
        assert_eq!(process["terminal"], false);
        assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    }

    #[test]
    fn defaults_of_what_the_image_leaves_open() {
        let config = generated(json!({"Cmd": ["x"], "Env": ["PATH=/own", "HOME=/h"]}));
        assert_eq!(config["process"]["env"], json!(["PATH=/own", "HOME=/h"]));
        assert_eq!(config["process"]["cwd"], "/");
        assert_eq!(config["process"]["user"], json!({"uid": 0, "gid": 0}));
        assert_eq!(
            config["process"]["capabilities"]["effective"],
            json!(CAPABILITIES)
        );
        let kinds: Vec<_> = config["linux"]["namespaces"].as_array().unwrap().clone();
        assert!(
            kinds.iter().all(|kind| kind["type"] != "network"),
            "{kinds:?}"
        );
        assert_eq!(config["process"].get("noNewPrivileges"), None);
    }

    #[test]
    fn a_private_network_has_no_need_for_the_hosts_names() {
        let config = generated_with(json!({"Cmd": ["x"]}), Network::Private);
        let namespaces = config["linux"]["namespaces"].as_array().unwrap();
        assert!(namespaces.contains(&json!({"type": "network"})));
        let mounts = config["mounts"].as_array().unwrap();
        assert!(
            mounts.iter().all(|mount| mount["type"] != "bind"),
            "{mounts:?}"
        );
    }

    #[test]
    fn only_root_begins_with_capabilities() {
        let config = generated(json!({"Cmd": ["x"], "User": "1000"}));
        let capabilities = &config["process"]["capabilities"];
        assert_eq!(capabilities["bounding"], json!(CAPABILITIES));
        assert_eq!(capabilities.get("effective"), None);
    }

    #[test]
    fn volumes_are_folders_of_the_state_directory() {
        let config = generated(json!({"Cmd": ["x"], "Volumes": {"/data/": {}, "/run//x": {}}}));
        let mounts = config["mounts"].as_array().unwrap();
        let of = |path: &str| mounts.iter().find(|mount| mount["destination"] == path);
        assert_eq!(of("/data").unwrap()["source"], "/var/lib/web/data");
        assert_eq!(of("/run/x").unwrap()["options"], json!(["rbind", "rw"]));
        let order = |path: &str| mounts.iter().position(|mount| mount["destination"] == path);
        assert!(
            order("/run") < order("/run/x"),
            "a volume is mounted over the tmpfs"
        );
    }

    #[test]
    fn volumes_that_cannot_be_given_are_refused_by_name() {
        for path in [
            "/",
            "data",
            "/a/../proc",
            "/proc",
            "/dev/x",
            "/sys/fs",
            "/a\nb",
            "",
        ] {
            let error = volumes(&image(json!({"Volumes": {path: {}}})), "/var/lib", "web");
            let message = error.expect_err(path).to_string();
            assert!(message.contains(&format!("'{path}'")), "{message}");
        }
    }

    #[test]
    fn host_files_are_mounted_where_the_host_has_them() {
        let image = image(json!({"Cmd": ["x"]}));
        let generate =
            |kind| generate(&image, &Identity::default(), &[], Network::Host, &|_| kind).unwrap();
        assert!(generate(SourceKind::File).contains("/etc/resolv.conf"));
        assert!(!generate(SourceKind::Missing).contains("/etc/resolv.conf"));
        assert_eq!(generate(SourceKind::File), generate(SourceKind::File));
    }

    #[test]
    fn nothing_to_run_is_an_error_that_says_what_to_do() {
        let error = generate(
            &image(json!({})),
            &Identity::default(),
            &[],
            Network::Host,
            &|_| SourceKind::Dir,
        );
        assert!(error.unwrap_err().to_string().contains("\nhelp: "));
    }
}
