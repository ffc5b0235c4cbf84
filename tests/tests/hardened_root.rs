//! The runtime below a unit that may write hardly anywhere.

use anyhow::{Result, ensure};
use sysc_tests::command::Output;
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

const BUNDLE: &str = "
mkdir -p /srv/web/rootfs/bin
mv /root/busybox /srv/web/rootfs/bin/
cd /srv/web
for dir in dev proc sys; do mkdir rootfs/$dir; done
for name in sh sleep; do ln -s busybox rootfs/bin/$name; done
sysc-runtime spec
sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sh\", \"-c\", \"exit 7\"/' config.json
";

/// The directory of the records is the one place that stays writable. The last container that goes
/// leaves it there: a unit that begins at that moment has it mounted, and could not make another.
#[test]
fn records_have_a_place_of_their_own() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.copy_in("/bin/busybox".as_ref(), "/root/busybox")?;
    machine.sh(BUNDLE)?;
    let strict = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--property=ProtectSystem=strict",
    ];
    let place = [
        "--property=RuntimeDirectory=sysc-runtime",
        "--property=RuntimeDirectoryMode=0700",
        "--property=RuntimeDirectoryPreserve=yes",
    ];
    let run = ["sysc-runtime", "run", "--bundle", "/srv/web", "web"];
    let refused = machine.run(&[&strict[..], &run].concat())?;
    ensure!(refused.status == 1, "{refused}");
    for _ in 0..2 {
        let ran = machine.run(&[&strict[..], &place, &run].concat())?;
        ensure!(ran.status == 7, "{ran}");
    }
    let left = machine.sh("stat -c %a /run/sysc-runtime; ls -A /run/sysc-runtime")?;
    assert_eq!(left.trim(), "700");
    // From then on the path alone is enough.
    let path = ["--property=ReadWritePaths=/run/sysc-runtime"];
    let ran = machine.run(&[&strict[..], &path, &run].concat())?;
    ensure!(ran.status == 7, "{ran}");
    Ok(())
}

fn machine(suite: Suite) -> Result<Machine> {
    let machine = Machine::boot(suite)?;
    machine.copy_in("/bin/busybox".as_ref(), "/root/busybox")?;
    machine.sh(BUNDLE)?;
    Ok(machine)
}

/// Runs the bundle below a unit with these settings.
fn below(machine: &Machine, settings: &[&str]) -> Result<Output> {
    let properties = settings
        .iter()
        .map(|setting| format!("--property={setting}"));
    let properties: Vec<String> = properties.collect();
    let mut command = vec!["systemd-run", "--quiet", "--wait", "--pipe"];
    command.extend(properties.iter().map(String::as_str));
    command.extend(["sysc-runtime", "run", "--bundle", "/srv/web", "web"]);
    machine.run(&command)
}

/// A start that a unit's setting forbids says in one line which one, and what to do.
fn clashes_are_named(suite: Suite) -> Result<()> {
    let machine = machine(suite)?;
    let eperm = "SystemCallErrorNumber=EPERM";
    let cases: [(&[&str], &str); 8] = [
        (&["RestrictNamespaces=yes"], "RestrictNamespaces="),
        (&["RestrictNamespaces=mnt pid"], "RestrictNamespaces="),
        (
            &["CapabilityBoundingSet=~CAP_SYS_ADMIN"],
            "CapabilityBoundingSet=",
        ),
        (
            &["SystemCallFilter=@system-service @mount"],
            "SystemCallFilter=",
        ),
        (
            &["SystemCallFilter=@system-service @mount", eperm],
            "SystemCallFilter=",
        ),
        (&["ProtectHostname=yes"], "ProtectHostname="),
        (&["RestrictSUIDSGID=yes"], "RestrictSUIDSGID="),
        (&["User=nobody"], "User="),
    ];
    for (settings, named) in cases {
        let output = below(&machine, settings)?;
        ensure!(output.status == 1, "{settings:?}: {output}");
        let error = output.stderr.trim();
        let fine = error.lines().count() <= 2 && error.contains("help: ") && error.contains(named);
        ensure!(fine, "{settings:?}: {error}");
    }
    Ok(())
}

#[test]
fn clashes_are_named_on_debian_12() -> Result<()> {
    clashes_are_named(Suite::Bookworm)
}

#[test]
fn clashes_are_named_on_debian_13() -> Result<()> {
    clashes_are_named(Suite::Trixie)
}

/// What a unit may have besides, each by itself and all together.
const HARMLESS: [&str; 24] = [
    "DevicePolicy=closed",
    "InaccessiblePaths=/boot",
    "KeyringMode=private",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "PrivateIPC=yes",
    "PrivateMounts=yes",
    "PrivateNetwork=yes",
    "PrivateTmp=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_UNIX AF_NETLINK",
    "RestrictRealtime=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service @mount sethostname setdomainname",
    "TemporaryFileSystem=/opt",
    "UMask=0077",
];

fn others_work(suite: Suite) -> Result<()> {
    let machine = machine(suite)?;
    for setting in HARMLESS {
        let output = below(&machine, &[setting])?;
        ensure!(output.status == 7, "{setting}: {output}");
    }
    let output = below(&machine, &HARMLESS)?;
    ensure!(output.status == 7, "all together: {output}");
    Ok(())
}

#[test]
fn other_sandboxing_works_on_debian_12() -> Result<()> {
    others_work(Suite::Bookworm)
}

#[test]
fn other_sandboxing_works_on_debian_13() -> Result<()> {
    others_work(Suite::Trixie)
}

/// The unit's own user, a user namespace, and a place for the record: no root anywhere.
const USERS: &str = r#"
cd /srv/web
user=$(id -u nobody)
map="[{\"containerID\": 0, \"hostID\": $user, \"size\": 1}]"
sed -i "s/\"namespaces\": \[/\"uidMappings\": $map, \"gidMappings\": $map, &{\"type\": \"user\"}, /" config.json
"#;

#[test]
fn a_user_s_unit_runs_with_a_user_namespace() -> Result<()> {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let machine = machine(suite)?;
        machine.sh(USERS)?;
        let output = machine.run(&[
            "systemd-run",
            "--quiet",
            "--wait",
            "--pipe",
            "--property=User=nobody",
            "--property=Group=nogroup",
            "--property=RuntimeDirectory=web",
            "sysc-runtime",
            "--root=/run/web",
            "run",
            "--bundle",
            "/srv/web",
            "web",
        ])?;
        ensure!(output.status == 7, "{output}");
    }
    Ok(())
}
