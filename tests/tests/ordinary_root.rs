//! Images that know nothing of sysc: what their services get, and how to give them more.

use anyhow::{Result, ensure};
use serde_json::json;
use sysc_tests::image::Builder;
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

/// A service that tells how it is confined.
const TELLING: &str = "trap 'exit 0' TERM; grep -E '^(Seccomp|CapEff|NoNewPrivs)' /proc/self/status; \
     ls /sys/class/net; echo greeting $GREETING; touch /x || echo read-only; \
     while :; do sleep 0.2; done";

fn machine() -> Result<Machine> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let config = json!({"Cmd": ["/bin/sh", "-c", TELLING], "ExposedPorts": {"80/tcp": {}}});
    let image = Builder::new(config).layer(images::busybox_layer()?).build();
    image.write_layout(&machine.path("/root/box"), "box:1")?;
    Ok(machine)
}

fn told(machine: &Machine, name: &str) -> Result<String> {
    machine.ok(&["systemctl", "start", name])?;
    machine.until("it speaks", || {
        Ok(machine.journal(name)?.contains("read-only"))
    })?;
    machine.journal(name)
}

#[test]
fn a_service_is_confined_as_podman_would() -> Result<()> {
    let machine = machine()?;
    machine.ok(&["sysc", "install", "--name", "a", "oci:/root/box"])?;
    let text = told(&machine, "a")?;
    for line in ["Seccomp:\t2", "CapEff:\t00000000800405fb", "NoNewPrivs:\t0"] {
        ensure!(text.contains(line), "'{line}' is missing in:\n{text}");
    }
    let host = machine.sh("ls /sys/class/net")?;
    for device in host.split_whitespace() {
        ensure!(
            text.contains(device),
            "the host's network: {device} in {text}"
        );
    }
    Ok(())
}

#[test]
fn a_private_network_is_a_loopback_device() -> Result<()> {
    let machine = machine()?;
    let install = [
        "sysc",
        "install",
        "--name",
        "a",
        "--network",
        "private",
        "oci:/root/box",
    ];
    machine.ok(&install)?;
    let text = told(&machine, "a")?;
    machine.sh("pid=$(systemctl show -P MainPID a) && \
         [ \"$(readlink /proc/$pid/ns/net)\" != \"$(readlink /proc/1/ns/net)\" ]")?;
    ensure!(text.lines().any(|line| line == "lo"), "{text}");
    machine
        .run(&["sysc", "install", "--network", "none", "oci:/root/box"])?
        .fails_with(2)?;
    Ok(())
}

/// The one way to configure more: a folder in the place of /exports, from a copy of the default.
#[test]
fn a_folder_of_the_host_stands_in_for_exports() -> Result<()> {
    let machine = machine()?;
    machine.ok(&["sysc", "pull", "oci:/root/box"])?;
    machine.sh(
        "mkdir -p /root/mine && sysc install --display --name a box:1 \
         | sed -n '/^# .*config.json$/,/^}$/p' | tail -n +2 \
         | sed 's|\"HOME=/root\"|\"HOME=/root\", \"GREETING=$GREETING\"|' \
         > /root/mine/config.json.template && grep -q GREETING /root/mine/config.json.template && \
         echo '{\"defaultValues\": {\"GREETING\": \"moin\"}}' > /root/mine/manifest.json",
    )?;
    machine.sh("cd /root && sysc install --name a --exports mine oci:/root/box")?;
    ensure!(told(&machine, "a")?.contains("greeting moin"));

    machine.sh("mkdir -p /etc/sysc/b && cp -r /root/mine /etc/sysc/b/exports")?;
    machine.ok(&[
        "sysc",
        "install",
        "--name",
        "b",
        "--set",
        "GREETING=hej",
        "oci:/root/box",
    ])?;
    ensure!(told(&machine, "b")?.contains("greeting hej"));

    let missing = [
        "sysc",
        "install",
        "--name",
        "c",
        "--exports",
        "/none",
        "oci:/root/box",
    ];
    let error = machine.run(&missing)?.fails_with(1)?;
    ensure!(error.contains("'/none'"), "{error}");
    Ok(())
}
