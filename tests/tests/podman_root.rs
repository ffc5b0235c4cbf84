//! podman, as Debian has it, on the runtime under test.

use anyhow::{Result, ensure};
use serde_json::Value;
use sysc_tests::engines::{ANSWER, Hierarchy, IMAGE, PROBE, Podman, SERVICE, until};

const SHELL: [&str; 2] = ["sh", "-c"];

#[test]
fn podman_keeps_a_service() -> Result<()> {
    podman_service(&Podman::new(Hierarchy::OfTheMachine)?)
}

#[test]
fn podman_keeps_a_service_on_version_2() -> Result<()> {
    podman_service(&Podman::new(Hierarchy::Unified)?)
}

/// From `run` to `rm`, with everything in between that reaches the runtime.
fn podman_service(podman: &Podman) -> Result<()> {
    let health = format!("--health-cmd={PROBE}");
    let options = ["--name=web", "--health-interval=disable", &health, IMAGE];
    podman
        .make(&["run", "-d"], &[&options, &SHELL[..], &[SERVICE]].concat())?
        .ok()?;
    until(|| Ok(podman.ok(&["logs", "web"])? == "up"))?;
    podman.ok(&["healthcheck", "run", "web"])?;

    let said = podman.podman(&["exec", "web", "sh", "-c", &format!("{PROBE}; exit 5")])?;
    ensure!(said.status == 5 && said.stdout.trim() == ANSWER, "{said}");
    let as_web = ["exec", "-u", "web", "-w", "/srv", "-e", "A=b", "web"];
    let script = ["sh", "-c", "id -u; busybox pwd; echo $A"];
    assert_eq!(podman.ok(&[&as_web[..], &script].concat())?, "33\n/srv\nb");
    let terminal = podman.ok(&["exec", "-t", "web", "busybox", "tty"])?;
    ensure!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let top = podman.ok(&["top", "web", "pid", "comm"])?;
    ensure!(top.contains("busybox"), "{top}");
    let stats: Value =
        serde_json::from_str(&podman.ok(&["stats", "--no-stream", "--format=json", "web"])?)?;
    assert_eq!(stats[0]["name"], "web");

    podman.ok(&["pause", "web"])?;
    assert_eq!(podman.field("web", "State.Status")?, "paused");
    podman.podman(&["exec", "web", "true"])?.fails_with(255)?;
    podman.ok(&["unpause", "web"])?;
    podman.ok(&["healthcheck", "run", "web"])?;

    podman.ok(&["stop", "-t", "20", "web"])?;
    assert_eq!(podman.field("web", "State.ExitCode")?, "3");
    podman.ok(&["start", "web"])?;
    until(|| Ok(podman.ok(&["logs", "web"])? == "up\nup"))?;
    podman.ok(&["kill", "-s", "KILL", "web"])?;
    podman.ok(&["wait", "web"])?;
    assert_eq!(podman.field("web", "State.ExitCode")?, "137");
    podman.ok(&["restart", "-t", "20", "web"])?;
    assert_eq!(podman.field("web", "State.Status")?, "running");
    podman.ok(&["rm", "-f", "-t", "0", "web"])?;
    assert_eq!(podman.ok(&["ps", "-aq"])?, "");
    Ok(())
}

#[test]
fn podman_gives_programs_what_it_promises() -> Result<()> {
    let podman = Podman::new(Hierarchy::OfTheMachine)?;
    let table: &[(&[&str], &str, &str)] = &[
        (
            &["-e", "A=b c", "-w", "/srv"],
            "echo $A; busybox pwd",
            "b c\n/srv",
        ),
        (
            &["-u", "33:7", "--group-add=2000"],
            "id -u; id -g; id -G",
            "33\n7\n7 2000",
        ),
        (&["-h", "box"], "busybox hostname", "box"),
        (
            &["-v", "/usr:/x:ro"],
            "touch /x/y 2>/dev/null || echo refused",
            "refused",
        ),
        (
            &["--read-only"],
            "touch /x 2>/dev/null || echo refused",
            "refused",
        ),
        (
            &["--tmpfs=/t:size=1m"],
            "busybox df -k /t | busybox awk 'END { print $2 }'",
            "1024",
        ),
        (
            &["--cap-drop=all"],
            "busybox awk '/^CapEff/ { print $2 }' /proc/self/status",
            "0000000000000000",
        ),
        (
            &["--privileged"],
            "busybox awk '/^Seccomp:/ { print $2 }' /proc/self/status",
            "0",
        ),
        (
            &[],
            "busybox awk '/^Seccomp:/ { print $2 }' /proc/self/status",
            "2",
        ),
        (
            &["--security-opt=no-new-privileges"],
            "busybox awk '/^NoNewPrivs/ { print $2 }' /proc/self/status",
            "1",
        ),
        (
            &["--sysctl=net.ipv4.ip_forward=1"],
            "cat /proc/sys/net/ipv4/ip_forward",
            "1",
        ),
        (
            &["--uidmap=0:100000:1000"],
            "busybox awk '{ print $1, $2, $3 }' /proc/self/uid_map",
            "0 100000 1000",
        ),
        (
            &["--ulimit=nofile=512:600", "--ulimit=nproc=1024:1024"],
            "ulimit -Hn; ulimit -n",
            "600\n512",
        ),
        (
            &["--device=/dev/null:/dev/mine"],
            "echo x >/dev/mine; busybox stat -c %F /dev/mine",
            "character special file",
        ),
        (&[], "echo $$", "1"),
    ];
    for (options, script, wanted) in table {
        let words = [&SHELL[..], &[script]].concat();
        let said = podman.once(options, &words)?;
        ensure!(
            said.status == 0 && said.stdout.trim() == *wanted,
            "{wanted:?}: {said}"
        );
    }
    let terminal = podman.once(&["-t"], &["busybox", "tty"])?.ok()?;
    ensure!(terminal.starts_with("/dev/pts/"), "{terminal}");
    for (words, wanted) in [
        (&["sh", "-c", "exit 42"][..], 42),
        (&["/no/such"], 127),
        (&["/etc/passwd"], 126),
    ] {
        podman.once(&[], words)?.fails_with(wanted)?;
    }
    Ok(())
}

/// Two containers share the namespaces of a third.
#[test]
fn podman_keeps_a_pod() -> Result<()> {
    let podman = Podman::new(Hierarchy::OfTheMachine)?;
    let infra = ["--infra-image", IMAGE, "--infra-command=busybox sleep 1000"];
    podman
        .make(&["pod", "create"], &[&infra[..], &["--name=pod"]].concat())?
        .ok()?;
    let member = |name, script| {
        let words = [
            &["run", "-d", "--pod=pod", name, IMAGE],
            &SHELL[..],
            &[script],
        ]
        .concat();
        podman.ok(&words)
    };
    member("--name=web", SERVICE)?;
    member("--name=client", "while :; do sleep 0.1; done")?;
    until(|| Ok(podman.ok(&["logs", "web"])? == "up"))?;
    let ask = [&["exec", "client"], &SHELL[..], &[PROBE]].concat();
    assert_eq!(podman.ok(&ask)?, ANSWER);
    let top = podman.ok(&["pod", "top", "pod", "comm"])?;
    ensure!(top.lines().count() >= 4, "{top}");
    let stats = podman.ok(&["pod", "stats", "--no-stream", "--format=json", "pod"])?;
    let stats: Vec<Value> = serde_json::from_str(&stats)?;
    assert_eq!(stats.len(), 3);

    podman.ok(&["pod", "pause", "pod"])?;
    assert_eq!(podman.field("client", "State.Status")?, "paused");
    podman.ok(&["pod", "unpause", "pod"])?;
    podman.ok(&["pod", "kill", "pod"])?;
    podman.ok(&["wait", "web", "client"])?;
    podman.ok(&["pod", "start", "pod"])?;
    until(|| Ok(podman.ok(&["logs", "web"])? == "up\nup"))?;
    assert_eq!(podman.ok(&ask)?, ANSWER);
    podman.ok(&["pod", "stop", "-t", "20", "pod"])?;
    assert_eq!(podman.field("web", "State.ExitCode")?, "3");
    podman.ok(&["pod", "rm", "-f", "pod"])?;
    assert_eq!(podman.ok(&["ps", "-aq"])?, "");
    Ok(())
}

/// What was set up but never started can be looked at, started and thrown away.
#[test]
fn podman_creates_first_and_starts_later() -> Result<()> {
    let podman = Podman::new(Hierarchy::OfTheMachine)?;
    for name in ["a", "b"] {
        podman
            .make(&["create", "--name", name], &[IMAGE, "echo", "begun"])?
            .ok()?;
        podman.ok(&["init", name])?;
        assert_eq!(podman.field(name, "State.Status")?, "initialized");
    }
    podman.ok(&["start", "a"])?;
    assert_eq!(podman.ok(&["wait", "a"])?, "0");
    assert_eq!(podman.ok(&["logs", "a"])?, "begun");
    podman.ok(&["rm", "-f", "-t", "0", "a", "b"])?;
    Ok(())
}

#[test]
fn podman_limits_what_a_container_uses() -> Result<()> {
    let podman = Podman::new(Hierarchy::OfTheMachine)?;
    let limits = [
        "--pids-limit=33",
        "--memory=32m",
        "--cpu-shares=77",
        "--name=limited",
    ];
    podman
        .make(
            &["run", "-d"],
            &[&limits[..], &[IMAGE, "sleep", "1000"]].concat(),
        )?
        .ok()?;
    for (one, two) in [
        ("pids/pids.max 33", "pids.max 33"),
        (
            "memory/memory.limit_in_bytes 33554432",
            "memory.max 33554432",
        ),
        ("cpu/cpu.shares 77", "cpu.weight 3"),
    ] {
        podman.expect_limit("limited", one, two)?;
    }
    podman.ok(&["update", "--memory=64m", "limited"])?;
    let memory = "memory/memory.limit_in_bytes 67108864";
    podman.expect_limit("limited", memory, "memory.max 67108864")?;
    podman.ok(&["rm", "-f", "-t", "0", "limited"])?;
    Ok(())
}
