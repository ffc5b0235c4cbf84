//! Images in the manner of those that were made for atomic: real daemons doing their real work.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use anyhow::{Result, ensure};
use serde_json::json;
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;

/// A machine with the image installed as `name`, and started.
fn running(image: &Image, name: &str, set: &[&str]) -> Result<Machine> {
    let machine = Machine::boot(Suite::Bookworm)?;
    image.write_layout(&machine.path("/root/image"), &format!("{name}:latest"))?;
    machine.ok(&[&["sysc", "install"], set, &["oci:/root/image"]].concat())?;
    machine.ok(&["systemctl", "start", name])?;
    assert_eq!(machine.property(name, "SubState")?, "running");
    Ok(machine)
}

#[test]
fn snmpd_answers() -> Result<()> {
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let set = format!("PORT={port}");
    let machine = running(&images::snmpd()?, "snmpd", &["--set", &set])?;
    let address = format!("127.0.0.1:{port}");
    let get = [
        "sysc",
        "exec",
        "snmpd",
        "snmpget",
        "-v2c",
        "-c",
        "public",
        &address,
        "1.3.6.1.2.1.1.5.0",
    ];
    machine.until("it answers", || {
        Ok(machine.run(&get)?.stdout.contains("answering"))
    })?;
    machine.sh("test -d /var/lib/snmpd")?;
    machine.ok(&["systemctl", "stop", "snmpd"])?;
    assert_eq!(machine.property("snmpd", "Result")?, "success");
    Ok(())
}

#[test]
fn a_guest_agent_answers_on_its_socket() -> Result<()> {
    let machine = running(&images::qemu_guest_agent()?, "qga", &[])?;
    let socket = machine.path("/run/qga-qga/socket");
    machine.until("it listens", || Ok(socket.exists()))?;
    let mut stream = UnixStream::connect(&socket)?;
    stream.write_all(b"{\"execute\": \"guest-info\"}\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    ensure!(
        answer.contains("\"return\"") && answer.contains("guest-ping"),
        "{answer}"
    );
    let main = machine.property("qga", "MainPID")?;
    let effective = machine.sh(&format!("grep CapEff /proc/{main}/status"))?;
    let own = machine.sh("grep CapBnd /proc/1/status")?;
    assert_eq!(
        effective.split('\t').nth(1),
        own.split('\t').nth(1),
        "every capability"
    );
    Ok(())
}

/// Mounts of the host are seen inside, and those of the kubelet outside.
#[test]
fn a_kubelet_shares_mounts_with_its_host() -> Result<()> {
    let machine = running(&images::kubelet()?, "kubelet", &[])?;
    machine.sh("mkdir -p /srv/late && mount -t tmpfs late /srv/late && touch /srv/late/file")?;
    machine.ok(&["sysc", "exec", "kubelet", "cat", "/rootfs/srv/late/file"])?;
    machine.sh("! sysc exec kubelet touch /rootfs/srv/other")?;
    machine.sh("mkdir -p /var/lib/kubelet/pod")?;
    machine.ok(&[
        "sysc",
        "exec",
        "kubelet",
        "busybox",
        "mount",
        "-t",
        "tmpfs",
        "pod",
        "/var/lib/kubelet/pod",
    ])?;
    machine.sh("grep -q '^pod /var/lib/kubelet/pod' /proc/mounts")?;
    machine.ok(&[
        "sysc",
        "exec",
        "kubelet",
        "busybox",
        "umount",
        "/var/lib/kubelet/pod",
    ])?;
    machine.sh("umount /srv/late")?;
    let main = machine.property("kubelet", "MainPID")?;
    machine.sh(&format!(
        "[ $(readlink /proc/{main}/ns/pid) = $(readlink /proc/1/ns/pid) ]"
    ))?;
    machine.ok(&["systemctl", "stop", "kubelet"])?;
    Ok(())
}

/// No container: its files and its own unit, and systemd knows of that at once.
#[test]
fn an_agent_of_host_files_alone() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    images::host_agent()?.write_layout(&machine.path("/root/image"), "cloud:latest")?;
    let before = Snapshot::of_host(&machine.path("/"), &["var/lib/containers"])?;
    machine.ok(&["sysc", "install", "oci:/root/image"])?;
    ensure!(machine.ok(&["sysc", "list"])?.contains("no service"));
    ensure!(
        !machine
            .path("/var/lib/containers/atomic/cloud/rootfs")
            .exists()
    );
    machine.ok(&["systemctl", "start", "cloud-agent"])?;
    machine.until("it speaks", || {
        Ok(machine.journal("cloud-agent")?.contains("agent of cloud"))
    })?;
    machine.ok(&["systemctl", "stop", "cloud-agent"])?;
    machine.ok(&["sysc", "uninstall", "cloud"])?;
    let after = Snapshot::of_host(&machine.path("/"), &["var/lib/containers"])?;
    assert_eq!(before.changes(&after), [""; 0]);
    Ok(())
}

/// R14: what was before OCI 1.0 starts as it was meant.
#[test]
fn r14_a_configuration_of_oci_0_3() -> Result<()> {
    let machine = running(&images::ancient()?, "ancient", &[])?;
    machine.until("it speaks", || {
        Ok(machine.journal("ancient")?.contains("started"))
    })?;
    let said = machine.journal("ancient")?;
    for line in ["CapEff:\t0000000000000020", "333"] {
        ensure!(
            said.lines().any(|found| found == line),
            "'{line}' is missing in:\n{said}"
        );
    }
    Ok(())
}

/// What a program for the host may do stands in its attributes; a label is the host's to give.
#[test]
fn host_files_keep_their_attributes() -> Result<()> {
    // CAP_NET_RAW, permitted and effective; capability.h, version 2.
    let mut net_raw = [0; 20];
    net_raw[0] = 1;
    net_raw[3] = 2;
    net_raw[5] = 1 << 5;
    let tar = Tar::new()
        .file(
            "exports/manifest.json",
            0o644,
            br#"{"noContainerService": true}"#,
        )
        .file_with(
            "exports/hostfs/usr/local/bin/pinger",
            b"x",
            ("security.capability", &net_raw),
        )
        .file_with(
            "exports/hostfs/etc/labelled",
            b"x",
            ("security.selinux", b"other_t"),
        );
    let image = Builder::new(json!({})).layer(tar.finish()).build();
    let machine = Machine::boot(Suite::Bookworm)?;
    image.write_layout(&machine.path("/root/image"), "tools:latest")?;
    machine.ok(&["sysc", "install", "oci:/root/image"])?;
    let caps = machine.sh("getcap /usr/local/bin/pinger")?;
    assert_eq!(caps.trim(), "/usr/local/bin/pinger cap_net_raw=ep");
    let labels = machine.sh("getfattr -m security.selinux /etc/labelled")?;
    ensure!(!labels.contains("selinux"), "{labels}");
    machine.ok(&["sysc", "uninstall", "tools"])?;
    Ok(())
}
