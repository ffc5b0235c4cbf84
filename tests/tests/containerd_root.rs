//! containerd, as Debian has it, on the runtime under test.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sysc_tests::engines::{ANSWER, Containerd, Hierarchy, IMAGE, PROBE, SERVICE, until};
use sysc_tests::images;

const SHELL: [&str; 2] = ["sh", "-c"];

/// From `run` to `delete`, through the shim.
#[test]
fn containerd_keeps_a_service() -> Result<()> {
    let containerd = Containerd::start(Hierarchy::OfTheMachine)?;
    let web = [&SHELL[..], &[SERVICE]].concat();
    containerd
        .run(
            &["-d", "--null-io"],
            "web",
            &[&[IMAGE, "web"], &web[..]].concat(),
        )?
        .ok()?;
    let exec = |id: &str, words: &[&str]| {
        containerd.ctr(&[&["task", "exec", "--exec-id", id, "web"], words].concat())
    };
    until(|| Ok(exec("up", &[&SHELL[..], &[PROBE]].concat())?.status == 0))?;
    let said = exec(
        "probe",
        &[&SHELL[..], &[&format!("{PROBE}; exit 5")]].concat(),
    )?;
    ensure!(said.status == 5 && said.stdout.trim() == ANSWER, "{said}");
    ensure!(
        containerd.ok(&["task", "ps", "web"])?.lines().count() >= 2,
        "no processes"
    );
    let figures = containerd.ok(&["task", "metrics", "web"])?;
    ensure!(figures.contains("web"), "{figures}");

    containerd.ok(&["task", "pause", "web"])?;
    ensure!(task(&containerd, "web")?.contains("PAUSED"), "not paused");
    containerd.ok(&["task", "resume", "web"])?;
    exec("again", &[&SHELL[..], &[PROBE]].concat())?.ok()?;
    containerd.ok(&["task", "kill", "-s", "SIGTERM", "web"])?;
    until(|| Ok(task(&containerd, "web")?.contains("STOPPED")))?;
    let ended = containerd.ctr(&["task", "delete", "web"])?;
    ensure!(format!("{ended}").contains("exit code 3"), "{ended}");
    containerd.ok(&["container", "delete", "web"])?;
    Ok(())
}

#[test]
fn containerd_gives_programs_what_it_promises() -> Result<()> {
    let containerd = Containerd::start(Hierarchy::OfTheMachine)?;
    let table: &[(&[&str], &str, i32, &str)] = &[
        (
            &["--env=A=b", "--cwd=/srv"],
            "echo $A; busybox pwd",
            0,
            "b\n/srv",
        ),
        (
            &["--read-only"],
            "touch /x 2>/dev/null || echo refused",
            0,
            "refused",
        ),
        (
            &["--seccomp"],
            "busybox awk '/^Seccomp:/ { print $2 }' /proc/self/status",
            0,
            "2",
        ),
        (
            &["--uidmap=0:100000:1000", "--gidmap=0:100000:1000"],
            "busybox awk '{ print $1, $2, $3 }' /proc/self/uid_map",
            0,
            "0 100000 1000",
        ),
        (&[], "exit 42", 42, ""),
    ];
    for (at, (options, script, status, wanted)) in table.iter().enumerate() {
        let id = format!("once{at}");
        let words = [&[IMAGE, &id], &SHELL[..], &[script]].concat();
        let said = containerd.run(&[&["--rm"], *options].concat(), &id, &words)?;
        ensure!(
            said.status == *status && said.stdout.trim() == *wanted,
            "{wanted:?}: {said}"
        );
    }
    let said = containerd.run(&["--rm"], "none", &[IMAGE, "none", "/no/such"])?;
    ensure!(
        said.fails_with(1)?.contains("/no/such"),
        "the program is not named"
    );
    Ok(())
}

#[test]
fn containerd_runs_etcd_from_a_config() -> Result<()> {
    let containerd = Containerd::start(Hierarchy::OfTheMachine)?;
    let limits = json!({"pids": {"limit": 500}, "memory": {"limit": 1i64 << 29}});
    containerd_etcd(&containerd, limits)?;
    containerd.expect_limit("etcd", "pids/pids.max 500", "pids.max 500")?;
    let memory = "memory/memory.limit_in_bytes 536870912";
    containerd.expect_limit("etcd", memory, "memory.max 536870912")?;
    end_etcd(&containerd)
}

/// Without limits: of the controllers, others may hold all.
#[test]
fn containerd_runs_etcd_from_a_config_on_version_2() -> Result<()> {
    let containerd = Containerd::start(Hierarchy::Unified)?;
    containerd_etcd(&containerd, json!({}))?;
    end_etcd(&containerd)
}

/// A configuration of our own, with a service whose health its own client tells.
fn containerd_etcd(containerd: &Containerd, limits: Value) -> Result<()> {
    const ETCD: &str = "localhost/etcd:latest";
    containerd.import(&images::etcd()?, ETCD)?;
    containerd.ok(&["snapshot", "ls"])?;
    let root = containerd.unpack(ETCD, "etcd")?;
    let mut config = etcd_config(&root, &containerd.cgroup());
    config["linux"]["resources"] = limits;
    let config = containerd.write("etcd.json", &config.to_string())?;
    containerd
        .run(&["-d", "--null-io", "--config", &config], "etcd", &["etcd"])?
        .ok()?;
    let client = [
        "/usr/bin/etcdctl",
        "--endpoints=127.0.0.1:2379",
        "endpoint",
        "health",
    ];
    let mut asked = 0;
    until(|| {
        asked += 1;
        let id = format!("health{asked}");
        let exec = [&["task", "exec", "--exec-id", &id, "etcd"], &client[..]].concat();
        Ok(containerd.ctr(&exec)?.status == 0)
    })?;
    Ok(())
}

fn end_etcd(containerd: &Containerd) -> Result<()> {
    containerd.ok(&["task", "kill", "-s", "SIGTERM", "etcd"])?;
    until(|| Ok(task(containerd, "etcd")?.contains("STOPPED")))?;
    containerd.ctr(&["task", "delete", "etcd"])?;
    containerd.ok(&["container", "delete", "etcd"])?;
    Ok(())
}

fn etcd_config(root: &str, cgroup: &str) -> Value {
    let mount = |at: &str, kind: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": kind, "options": options});
    let (clients, peers) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
    let args = [
        "/usr/bin/etcd".to_owned(),
        "--data-dir=/var/lib/etcd".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
    ];
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": root},
        "process": {
            "args": args,
            "cwd": "/",
            "env": ["PATH=/usr/bin:/bin", "ETCDCTL_API=3"],
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
        },
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755"]),
            mount("/var/lib/etcd", "tmpfs", &["nosuid", "nodev"]),
        ],
        "linux": {
            "cgroupsPath": format!("{cgroup}/etcd"),
            "namespaces": namespaces,
        },
    })
}

/// The line of `task ls` about a container.
fn task(containerd: &Containerd, id: &str) -> Result<String> {
    let list = containerd.ok(&["task", "ls"])?;
    let line = list.lines().find(|line| line.starts_with(id));
    Ok(line.unwrap_or_default().to_owned())
}
