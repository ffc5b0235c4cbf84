//! What can be set for an image: how it is shown, given and refused.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

/// A service that logs a value of two lines, with a file for the host.
fn greeter() -> Result<Image> {
    let manifest = json!({
        "defaultValues": {"PORT": "8080"},
        "variableDescriptions": {"GREETING": "what is said"},
        "installedFilesTemplate": ["/etc/greeter/greeting"],
    });
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/",
            "args": ["/bin/sh", "-c", "echo port $PORT; cat /etc/greeting; trap 'exit 0' TERM; while :; do sleep 0.2; done"],
            "env": ["PATH=/bin"],
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{
            "destination": "/etc", "type": "bind", "source": "/etc/greeter",
            "options": ["rbind", "ro"],
        }],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    });
    let exports = Tar::new()
        .file(
            "exports/manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )
        .file(
            "exports/config.json.template",
            0o644,
            config.to_string().as_bytes(),
        )
        .file("exports/hostfs/etc/greeter/greeting", 0o600, b"$GREETING\n");
    let image = json!({
        "Cmd": ["/bin/sh"], "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"name": "greeter", "version": "1"},
    });
    Ok(Builder::new(image)
        .layer(images::busybox_layer()?)
        .layer(exports.finish())
        .build())
}

fn machine() -> Result<Machine> {
    let machine = Machine::boot(Suite::Bookworm)?;
    greeter()?.write_layout(&machine.path("/root/greeter"), "greeter:1")?;
    machine.ok(&["sysc", "pull", "oci:/root/greeter"])?;
    Ok(machine)
}

/// T01: what has a default, what the host sets, what must be given; in atomic's words.
#[test]
fn t01_info_lists_labels_and_variables() -> Result<()> {
    let machine = machine()?;
    let text = machine.ok(&["sysc", "info", "greeter:1"])?;
    for line in [
        "name: greeter",
        "version: 1",
        "Ports: 8080/tcp",
        "Template variables with default value, but overridable with --set:",
        "PORT: 8080",
        "RUN_DIRECTORY: {SET_BY_OS}",
        "Template variables that has no default value, and must be set with --set:",
        "GREETING: {DEF_VALUE}",
        "    what is said",
        "/etc/greeter/greeting",
    ] {
        ensure!(
            text.lines().any(|found| found == line),
            "'{line}' is missing in:\n{text}"
        );
    }
    let value: Value =
        serde_json::from_str(&machine.ok(&["sysc", "info", "--json", "greeter:1"])?)?;
    let variables = value["variables"].as_array().into_iter().flatten();
    let greeting: Vec<_> = variables.filter(|v| v["name"] == "GREETING").collect();
    assert_eq!(greeting.len(), 1);
    assert_eq!(greeting[0]["origin"], "required");
    assert_eq!(
        greeting[0]["places"],
        json!(["hostfs/etc/greeter/greeting:1"])
    );
    assert_eq!(value["exposed_ports"], json!(["8080/tcp"]));
    let error = machine.run(&["sysc", "info", "other"])?.fails_with(1)?;
    ensure!(error.contains("sysc pull other"), "{error}");
    Ok(())
}

#[test]
fn a_misspelt_variable_stops_an_installation() -> Result<()> {
    let machine = machine()?;
    let install = [
        "sysc",
        "install",
        "--set",
        "GREETING=x",
        "--set",
        "PROT=1",
        "greeter:1",
    ];
    let error = machine.run(&install)?.fails_with(1)?;
    ensure!(
        error.contains("no variable 'PROT'; is 'PORT' meant?"),
        "{error}"
    );
    ensure!(
        error.contains("help: its variables are GREETING, PORT"),
        "{error}"
    );
    assert_eq!(machine.ok(&["sysc", "list", "--json"])?.trim(), "[]");
    Ok(())
}

#[test]
fn a_value_from_a_file_keeps_its_lines() -> Result<()> {
    let machine = machine()?;
    machine.sh("printf 'a=b\\nline two\\n' > /root/value")?;
    let file = [
        "sysc",
        "install",
        "--set-file",
        "GREETING=/root/value",
        "greeter:1",
    ];
    machine.ok(&file)?;
    assert_eq!(machine.sh("cat /etc/greeter/greeting")?, "a=b\nline two\n");
    machine.ok(&["systemctl", "start", "greeter-1"])?;
    machine.until("it speaks", || {
        Ok(machine.journal("greeter-1")?.contains("line two"))
    })?;
    machine.ok(&["sysc", "uninstall", "greeter-1"])?;
    machine.ok(&[
        "sysc",
        "install",
        "--set",
        "GREETING=a=b\nline two",
        "greeter:1",
    ])?;
    assert_eq!(machine.sh("cat /etc/greeter/greeting")?, "a=b\nline two\n");
    let missing = [
        "sysc",
        "install",
        "--name",
        "b",
        "--set-file",
        "GREETING=/none",
        "greeter:1",
    ];
    let error = machine.run(&missing)?.fails_with(1)?;
    ensure!(error.contains("'GREETING' from '/none'"), "{error}");
    Ok(())
}

/// What is installed is compared with what would be; nothing is written.
#[test]
fn display_of_an_installed_container_is_a_diff() -> Result<()> {
    let machine = machine()?;
    machine.ok(&["sysc", "install", "--set", "GREETING=old", "greeter:1"])?;
    let display = [
        "sysc",
        "install",
        "--display",
        "--set",
        "GREETING=new",
        "greeter:1",
    ];
    let text = machine.ok(&display)?;
    for line in [
        "+++ /etc/greeter/greeting",
        "-old",
        "+new",
        "-X-Sysc-Generation=greeter-1/1",
        "+X-Sysc-Generation=greeter-1/2",
    ] {
        ensure!(
            text.lines().any(|found| found == line),
            "'{line}' is missing in:\n{text}"
        );
    }
    ensure!(
        !text.contains("ociVersion"),
        "what stays is not shown: {text}"
    );
    assert_eq!(machine.sh("cat /etc/greeter/greeting")?, "old\n");
    Ok(())
}
