//! The main job: an image from a registry becomes a service that systemd runs.

use std::net::TcpListener;

use anyhow::{Result, ensure};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;

/// The store, which keeps pulled images.
const STORE: &str = "var/lib/containers";

/// Two ports that nobody listens on: machines share the host's network.
fn free_ports() -> Result<[u16; 2]> {
    // Both are held until both are known.
    let listeners = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    let [client, peer] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([client?.port(), peer?.port()])
}

/// The values that give an etcd these ports.
fn values([client, peer]: [u16; 2]) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    [
        ("ETCD_LISTEN_CLIENT_URLS", client.clone()),
        ("ETCD_ADVERTISE_CLIENT_URLS", client),
        ("ETCD_LISTEN_PEER_URLS", peer.clone()),
        ("ETCD_INITIAL_ADVERTISE_PEER_URLS", peer.clone()),
        ("ETCD_INITIAL_CLUSTER", format!("default={peer}")),
    ]
    .into_iter()
    .flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")])
    .collect()
}

fn etcd_on(suite: Suite) -> Result<()> {
    let ports = free_ports()?;
    let registry = Registry::start()?;
    let image = registry.push(&images::etcd()?, "etcd:3")?;
    let machine = Machine::boot(suite)?;
    let before = Snapshot::of_host(&machine.path("/"), &[STORE])?;

    let set = values(ports);
    let mut install = vec!["sysc", "install"];
    install.extend(set.iter().map(String::as_str));
    install.push(&image);
    machine.ok(&install)?;
    assert_eq!(machine.property("etcd-3", "ActiveState")?, "inactive");
    assert_eq!(machine.property("etcd-3", "UnitFileState")?, "enabled");

    machine.ok(&["systemctl", "start", "etcd-3"])?;
    assert_eq!(machine.property("etcd-3", "SubState")?, "running");
    let endpoints = format!("--endpoints=http://127.0.0.1:{}", ports[0]);
    let client = "/var/lib/containers/atomic/etcd-3/rootfs/usr/bin/etcdctl";
    let etcdctl = |arguments: &[&str]| {
        let mut command = vec!["env", "ETCDCTL_API=3", client, endpoints.as_str()];
        command.extend(arguments);
        machine.run(&command)
    };
    machine.until("etcd answers", || {
        Ok(etcdctl(&["endpoint", "health"])?.status == 0)
    })?;
    etcdctl(&["put", "greeting", "hello"])?.ok()?;
    assert_eq!(etcdctl(&["get", "greeting"])?.ok()?, "greeting\nhello\n");

    nothing_between(&machine, "etcd-3")?;
    ensure!(machine.ok(&["sysc", "list"])?.contains("running"));
    machine.ok(&["systemctl", "restart", "etcd-3"])?;
    machine.until("etcd answers again", || {
        Ok(etcdctl(&["get", "greeting"])?.status == 0)
    })?;
    assert_eq!(etcdctl(&["get", "greeting"])?.ok()?, "greeting\nhello\n");

    machine.ok(&["systemctl", "stop", "etcd-3"])?;
    assert_eq!(machine.property("etcd-3", "Result")?, "success");
    machine.ok(&["sysc", "uninstall", "etcd-3"])?;
    let data = machine.path("/var/lib/etcd-3");
    ensure!(data.join("default.etcd").is_dir(), "data is never removed");
    std::fs::remove_dir_all(data)?;
    assert_eq!(
        before.changes(&Snapshot::of_host(&machine.path("/"), &[STORE])?),
        [""; 0]
    );
    Ok(())
}

/// systemd itself is the payload's parent, and the payload alone is in the unit's cgroup.
fn nothing_between(machine: &Machine, unit: &str) -> Result<()> {
    let main = machine.property(unit, "MainPID")?;
    let status = machine.sh(&format!("cat /proc/{main}/status"))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    assert_eq!(field("PPid:"), Some("1"));
    let all = machine.ok(&["ps", "-eo", "comm="])?;
    for other in [
        "sysc",
        "runc",
        "crun",
        "conmon",
        "skopeo",
        "podman",
        "containerd",
    ] {
        ensure!(
            !all.lines().any(|name| name.starts_with(other)),
            "{other} runs:\n{all}"
        );
    }
    Ok(())
}

#[test]
fn etcd_from_a_registry_on_debian_12() -> Result<()> {
    etcd_on(Suite::Bookworm)
}

#[test]
fn etcd_from_a_registry_on_debian_13() -> Result<()> {
    etcd_on(Suite::Trixie)
}

#[test]
fn an_ordinary_image_is_a_service() -> Result<()> {
    let registry = Registry::start()?;
    let image = registry.push(&images::chrony()?, "time/chrony:latest")?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let before = Snapshot::of_host(&machine.path("/"), &[STORE])?;
    machine.ok(&["sysc", "install", &image])?;
    machine.ok(&["systemctl", "start", "chrony"])?;
    machine.until("chronyd says that it runs", || {
        Ok(machine.journal("chrony")?.contains("chronyd version"))
    })?;
    assert_eq!(machine.property("chrony", "SubState")?, "running");
    nothing_between(&machine, "chrony")?;
    ensure!(
        machine.path("/var/lib/chrony/var/lib/chrony").is_dir(),
        "the volume is on the host"
    );
    machine.ok(&["systemctl", "stop", "chrony"])?;
    assert_eq!(machine.property("chrony", "Result")?, "success");
    let drift = machine.path("/var/lib/chrony/var/lib/chrony/drift");
    ensure!(drift.is_file(), "{}", machine.journal("chrony")?);
    machine.ok(&["sysc", "uninstall", "chrony"])?;
    ensure!(drift.is_file(), "data is never removed");
    std::fs::remove_dir_all(machine.path("/var/lib/chrony"))?;
    assert_eq!(
        before.changes(&Snapshot::of_host(&machine.path("/"), &[STORE])?),
        [""; 0]
    );
    Ok(())
}

/// The same, with everything a busybox image can say in its configuration.
#[test]
fn the_images_own_configuration_is_honoured() -> Result<()> {
    let config = serde_json::json!({
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["id -u; pwd; echo $GREETING; touch /data/x && echo wrote; touch /x || echo refused; \
                 trap 'echo stopped by INT; exit 0' INT; while :; do sleep 0.1; done"],
        "Env": ["GREETING=hello", "PATH=/bin"],
        "User": "web",
        "WorkingDir": "/etc",
        "StopSignal": "SIGINT",
        "Volumes": {"/data": {}},
    });
    // As many images have it: a link into what is a fresh tmpfs when the container starts.
    let link = sysc_tests::image::Tar::new().link("etc/resolv.conf", "../run/resolv/stub.conf");
    let image = sysc_tests::image::Builder::new(config)
        .layer(images::busybox_layer()?)
        .layer(link.finish())
        .build();
    let machine = Machine::boot(Suite::Bookworm)?;
    image.write_layout(&machine.path("/root/web"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/web"])?;
    machine.ok(&["systemctl", "start", "web"])?;
    machine.until("it has tried everything", || {
        Ok(machine.journal("web")?.contains("refused"))
    })?;
    machine.ok(&["systemctl", "stop", "web"])?;
    let journal = machine.journal("web")?;
    for line in ["33", "/etc", "hello", "wrote", "refused", "stopped by INT"] {
        ensure!(
            journal.lines().any(|said| said == line),
            "'{line}' is missing:\n{journal}"
        );
    }
    assert_eq!(machine.property("web", "Result")?, "success");
    Ok(())
}

/// A payload that ends with a failure is restarted by systemd, and one that is killed too; the
/// record of the former run is never in the way (U03).
#[test]
fn u03_every_start_after_a_crash_works() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    for round in 1..=3u32 {
        let main = machine.property("box", "MainPID")?;
        machine.ok(&["kill", "-KILL", &main])?;
        machine.until("systemd has restarted it", || {
            Ok(machine.property("box", "NRestarts")? == round.to_string()
                && machine.property("box", "SubState")? == "running")
        })?;
    }
    // Compiled filters, which are kept, have a dot.
    let records = || machine.sh("ls /run/sysc-runtime");
    assert_eq!(records()?, "box\n");
    machine.ok(&["systemctl", "stop", "box"])?;
    assert_eq!(records()?, "");
    Ok(())
}

/// Enabled means: up after the next boot, with no command of ours in between, and without asking
/// any registry (U08); also after a boot that nobody had prepared for.
#[test]
fn u08_what_is_enabled_comes_up_without_a_registry() -> Result<()> {
    let registry = Registry::start()?;
    let image = registry.push(&images::busybox(images::SERVICE)?, "box:1")?;
    let mut machine = Machine::boot(Suite::Bookworm)?;
    for name in ["on", "off"] {
        machine.ok(&["sysc", "install", "--name", name, &image])?;
    }
    machine.ok(&["systemctl", "disable", "off"])?;
    machine.ok(&["systemctl", "start", "on", "off"])?;
    drop(registry);
    for _ in 0..2 {
        machine.cut_power()?;
        assert_eq!(machine.property("on", "SubState")?, "running");
        assert_eq!(machine.property("off", "SubState")?, "dead");
        nothing_between(&machine, "on")?;
    }
    machine.ok(&["systemctl", "start", "off"])?;
    machine.ok(&["sysc", "uninstall", "on"])?;
    machine.ok(&["sysc", "uninstall", "off"])?;
    assert_eq!(machine.ok(&["sysc", "list", "--json"])?.trim(), "[]");
    Ok(())
}

/// A unit that names another generation than the one in its slot, as an older /etc may bring it
/// back, does not start it.
#[test]
fn a_unit_of_another_generation_starts_nothing() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::busybox(images::SERVICE)?.write_layout(&machine.path("/root/box"), "latest")?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let unit = "/etc/systemd/system/box.service";
    machine.sh(&format!("cp {unit} /root/old && sysc uninstall box"))?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.sh(&format!(
        "cp {unit} /root/new && cp /root/old {unit} && systemctl daemon-reload"
    ))?;
    let refused = machine.run(&["systemctl", "start", "box"])?.fails_with(1)?;
    ensure!(refused.contains("Assertion failed"), "{refused}");
    machine.sh(&format!(
        "cp /root/new {unit} && systemctl daemon-reload && systemctl start box"
    ))?;
    Ok(())
}
