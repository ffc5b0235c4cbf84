//! A container as a service of systemd's: who its main process is, what becomes of its result, what it
//! may say, how it stops.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

/// Runs of a program that ends at once, of each kind; SYSC_SOAK multiplies them.
const RUNS: usize = 15;

/// A machine with a bundle for each service.
struct Host {
    machine: Machine,
}

impl Host {
    fn boot(suite: Suite) -> Result<Host> {
        Ok(Host {
            machine: Machine::boot(suite)?,
        })
    }

    /// A service `name` with these settings, whose container runs `program` by a shell.
    fn service(&self, name: &str, settings: &str, program: &str) -> Result<()> {
        self.configured(name, settings, program, |_| {})
    }

    fn configured(
        &self,
        name: &str,
        settings: &str,
        program: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<()> {
        let bundle = format!("/root/{name}");
        self.machine.sh(&format!(
            "mkdir -p {bundle}/rootfs; cd {bundle}; rm -f config.json; sysc-runtime spec; \
             for d in bin lib lib64 usr run; do mkdir -p rootfs/$d; done"
        ))?;
        let path = self.machine.path(&format!("{bundle}/config.json"));
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/usr/bin/sh", "-c", program]);
        let mounts = config["mounts"].as_array_mut().context("mounts")?;
        for target in ["/usr", "/lib", "/lib64", "/bin"] {
            mounts.push(
                json!({"destination": target, "source": target, "type": "bind",
                "options": ["rbind", "ro"]}),
            );
        }
        mounts.push(json!({"destination": "/run", "source": "tmpfs", "type": "tmpfs"}));
        change(&mut config);
        std::fs::write(&path, config.to_string())?;
        let unit = format!(
            "[Service]\nWorkingDirectory={bundle}\nExecStart=/usr/bin/sysc-runtime run {name}\n\
             ExecStop=-/usr/bin/sysc-runtime halt {name} SIGTERM\nKillMode=mixed\n\
             ExecStopPost=-/usr/bin/sysc-runtime delete --force {name}\n{settings}\n"
        );
        std::fs::write(
            self.machine
                .path(&format!("/etc/systemd/system/{name}.service")),
            unit,
        )?;
        self.machine.ok(&["systemctl", "daemon-reload"])?;
        Ok(())
    }

    fn start(&self, name: &str) -> Result<i32> {
        Ok(self.machine.run(&["systemctl", "start", name])?.status)
    }

    /// Active state, result and main status of a service that ends.
    fn end_of(&self, name: &str) -> Result<[String; 3]> {
        self.machine.until("it ends", || {
            let state = self.machine.property(name, "ActiveState")?;
            Ok(matches!(state.as_str(), "inactive" | "failed"))
        })?;
        let property = |key| self.machine.property(name, key);
        Ok([
            property("ActiveState")?,
            property("Result")?,
            property("ExecMainStatus")?,
        ])
    }

    fn nothing_left(&self, name: &str) -> Result<()> {
        let left = self.machine.run(&["sysc-runtime", "state", name])?;
        ensure!(left.status != 0, "a record of '{name}' is left");
        Ok(())
    }
}

const RUNTIME_READY: &str = "Type=notify\nNotifyAccess=main\nEnvironment=SYSC_READY=runtime";
const PAYLOAD_READY: &str = "Type=notify\nNotifyAccess=all\nEnvironment=SYSC_READY=payload";

/// The container is the service: its parent is systemd, and nothing of ours is there.
fn is_the_service(suite: Suite) -> Result<()> {
    let host = Host::boot(suite)?;
    let machine = &host.machine;
    host.service(
        "web",
        RUNTIME_READY,
        "trap 'sleep 0.3; exit 7' TERM; while :; do sleep 0.05; done",
    )?;
    assert_eq!(host.start("web")?, 0);
    let main = machine.property("web", "MainPID")?;
    let state: Value = serde_json::from_str(&machine.ok(&["sysc-runtime", "state", "web"])?)?;
    assert_eq!(state["pid"].to_string(), main);
    let status = machine.sh(&format!("cat /proc/{main}/status"))?;
    ensure!(status.contains("PPid:\t1\n"), "{status}");
    let all = machine.ok(&["ps", "-eo", "comm="])?;
    ensure!(!all.contains("sysc"), "something of ours is left: {all}");
    // Its own end of 0.3 s is waited for, and the signal comes once.
    machine.ok(&["systemctl", "stop", "web"])?;
    let [_, result, status] = host.end_of("web")?;
    assert_eq!([result.as_str(), status.as_str()], ["exit-code", "7"]);
    ensure!(!machine.journal("web")?.contains("not our child"));
    host.nothing_left("web")?;

    machine.ok(&["systemctl", "daemon-reexec"])?;
    host.service(
        "web",
        &format!("{RUNTIME_READY}\nRestart=always\nRestartSec=0"),
        "exec sleep 1000",
    )?;
    assert_eq!(host.start("web")?, 0);
    machine.ok(&["systemctl", "kill", "--kill-who=main", "-s", "KILL", "web"])?;
    machine.until("it is restarted", || {
        Ok(machine.property("web", "NRestarts")? == "1"
            && machine.property("web", "SubState")? == "running")
    })?;
    // `sleep` has no handler: as the first process of its namespace it hears no SIGTERM.
    let before = std::time::Instant::now();
    machine.ok(&["systemctl", "stop", "web"])?;
    ensure!(
        before.elapsed().as_secs() < 20,
        "stop waited for its time-out"
    );
    assert_eq!(machine.property("web", "Result")?, "success");
    host.nothing_left("web")
}

#[test]
fn a_container_is_the_service_on_debian_12() -> Result<()> {
    is_the_service(Suite::Bookworm)
}

#[test]
fn a_container_is_the_service_on_debian_13() -> Result<()> {
    is_the_service(Suite::Trixie)
}

/// Not one result of a program that ends at once is lost.
fn results(suite: Suite) -> Result<()> {
    let host = Host::boot(suite)?;
    let factor = std::env::var("SYSC_SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    let runs = RUNS * factor.unwrap_or(1);
    let kinds = [
        ("exit 0", ["inactive", "success", "0"]),
        ("exit 3", ["failed", "exit-code", "3"]),
        // As init of its namespace a program cannot kill itself; one beside it is asked.
        ("kill -9 $$; exit 9", ["failed", "exit-code", "9"]),
    ];
    let limits = "\n[Unit]\nStartLimitIntervalSec=0";
    let mut lost = Vec::new();
    for (program, right) in kinds {
        host.service("brief", &format!("{RUNTIME_READY}{limits}"), program)?;
        for _ in 0..runs {
            host.start("brief")?;
            let found = host.end_of("brief")?;
            if found != right {
                lost.push(format!("{program}: {found:?}"));
            }
        }
    }
    println!("lost results: {} of {}", lost.len(), runs * kinds.len());
    assert_eq!(lost, Vec::<String>::new());
    host.nothing_left("brief")
}

#[test]
fn no_result_is_lost_on_debian_12() -> Result<()> {
    results(Suite::Bookworm)
}

#[test]
fn no_result_is_lost_on_debian_13() -> Result<()> {
    results(Suite::Trixie)
}

#[test]
fn a_set_up_that_fails_is_a_start_that_fails() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    host.configured("broken", RUNTIME_READY, "exit 0", |config| {
        config["mounts"][0]["source"] = json!("/nowhere");
        config["mounts"][0]["type"] = json!("bind");
        config["mounts"][0]["options"] = json!(["bind"]);
    })?;
    assert_eq!(host.start("broken")?, 1);
    assert_eq!(host.machine.property("broken", "ActiveState")?, "failed");
    let said = host.machine.journal("broken")?;
    ensure!(said.contains("/nowhere"), "{said}");
    host.nothing_left("broken")
}

/// Types that say by themselves when a service is ready.
#[test]
fn other_types_keep_their_meaning() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    let by_systemd = "NotifyAccess=main\nEnvironment=SYSC_READY=systemd\nType=";
    host.service(
        "once",
        &format!("{by_systemd}oneshot\nRemainAfterExit=yes"),
        "sleep 0.5; touch /run/x",
    )?;
    let before = std::time::Instant::now();
    assert_eq!(host.start("once")?, 0);
    ensure!(
        before.elapsed().as_millis() >= 500,
        "start did not wait for the end"
    );
    assert_eq!(host.machine.property("once", "SubState")?, "exited");
    host.service("once", &format!("{by_systemd}oneshot"), "exit 5")?;
    host.machine.ok(&["systemctl", "stop", "once"])?;
    assert_eq!(host.start("once")?, 1);
    assert_eq!(host.machine.property("once", "ExecMainStatus")?, "5");
    // A shell between: the runtime stays, and so does the service.
    host.service("shell", "Type=simple", "exec sleep 1000")?;
    let unit = host.machine.path("/etc/systemd/system/shell.service");
    let text = std::fs::read_to_string(&unit)?;
    let line = "ExecStart=/usr/bin/sysc-runtime run shell";
    ensure!(text.contains(line));
    std::fs::write(
        &unit,
        text.replace(
            line,
            "ExecStart=/bin/sh -c 'sysc-runtime run shell; exit 4'",
        ),
    )?;
    host.machine.ok(&["systemctl", "daemon-reload"])?;
    assert_eq!(host.start("shell")?, 0);
    host.machine.until("it runs", || {
        Ok(host
            .machine
            .run(&["sysc-runtime", "state", "shell"])?
            .stdout
            .contains("running"))
    })?;
    assert_eq!(host.machine.property("shell", "SubState")?, "running");
    host.machine.ok(&["systemctl", "stop", "shell"])?;
    host.nothing_left("shell")
}

/// What a program says is heard, but for who the main process is.
fn own_words(suite: Suite) -> Result<()> {
    let host = Host::boot(suite)?;
    let machine = &host.machine;
    machine.sh("systemd-run --unit bystander -q sleep 1000")?;
    let bystander = machine.property("bystander", "MainPID")?;
    let program = format!(
        "set -e; test \"$NOTIFY_SOCKET\" = /run/host/notify; \
         systemd-notify MAINPID={bystander} STATUS=stolen || true; sleep 0.3; \
         systemd-notify --status='all is well'; sleep 0.2; systemd-notify --ready; \
         trap 'exit 0' TERM; while :; do sleep 0.05; done"
    );
    host.service(
        "speaker",
        &format!("{PAYLOAD_READY}\nEnvironment=SYSC_NOTIFY=more"),
        &program,
    )?;
    let before = std::time::Instant::now();
    assert_eq!(host.start("speaker")?, 0);
    ensure!(
        before.elapsed().as_millis() >= 500,
        "start did not wait for READY"
    );
    assert_eq!(machine.property("speaker", "StatusText")?, "all is well");
    ensure!(machine.property("speaker", "MainPID")? != bystander);
    let all = machine.ok(&["ps", "-eo", "comm="])?;
    ensure!(all.contains("sysc-notify"), "the filter has gone: {all}");
    machine.ok(&["systemctl", "stop", "speaker"])?;
    assert_eq!(machine.property("speaker", "Result")?, "success");
    assert_eq!(machine.property("bystander", "ActiveState")?, "active");

    // With nothing more to say the filter ends.
    host.service("speaker", PAYLOAD_READY, &program)?;
    assert_eq!(host.start("speaker")?, 0);
    machine.until("the filter has gone", || {
        Ok(!machine.ok(&["ps", "-eo", "comm="])?.contains("sysc"))
    })?;
    machine.ok(&["systemctl", "stop", "speaker"])?;

    // A watchdog's: signs of life count, and their end is seen.
    let watched = "test \"$WATCHDOG_PID\" = $$; systemd-notify --ready; \
        for i in 1 2 3 4 5 6 7 8; do sleep 0.2; systemd-notify WATCHDOG=1; done; exec sleep 1000";
    host.service(
        "watched",
        &format!("{PAYLOAD_READY}\nWatchdogSec=1\nTimeoutAbortSec=1"),
        watched,
    )?;
    assert_eq!(host.start("watched")?, 0);
    std::thread::sleep(std::time::Duration::from_millis(1300));
    assert_eq!(machine.property("watched", "ActiveState")?, "active");
    let [state, result, _] = host.end_of("watched")?;
    assert_eq!([state.as_str(), result.as_str()], ["failed", "watchdog"]);
    host.nothing_left("watched")
}

#[test]
fn a_program_speaks_for_itself_alone_on_debian_12() -> Result<()> {
    own_words(Suite::Bookworm)
}

#[test]
fn a_program_speaks_for_itself_alone_on_debian_13() -> Result<()> {
    own_words(Suite::Trixie)
}

/// Credentials are where the program is told.
#[test]
fn credentials_are_seen_and_cannot_be_written() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    let settings = format!("{RUNTIME_READY}\nSetCredential=token:s3cret");
    let program = "cat \"$CREDENTIALS_DIRECTORY/token\"; echo; \
        touch \"$CREDENTIALS_DIRECTORY/new\" 2>&1; echo at \"$CREDENTIALS_DIRECTORY\"; sleep 0.2";
    host.service("secret", &settings, program)?;
    assert_eq!(host.start("secret")?, 0);
    host.end_of("secret")?;
    let said = host.machine.journal("secret")?;
    ensure!(said.contains("s3cret\n"), "{said}");
    ensure!(said.contains("Read-only file system"), "{said}");
    ensure!(said.contains("at /run/host/credentials"), "{said}");
    Ok(())
}

/// Sockets that systemd listens on for the service.
#[test]
fn a_service_is_started_by_its_socket() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    let machine = &host.machine;
    let program = "test \"$LISTEN_PID\" = $$ || echo wrong number; echo $LISTEN_FDS $LISTEN_FDNAMES; \
        read line <&3; echo \"got $line\"";
    host.service("called", RUNTIME_READY, program)?;
    let socket = "[Socket]\nListenFIFO=/run/calls\nFileDescriptorName=calls\n";
    std::fs::write(machine.path("/etc/systemd/system/called.socket"), socket)?;
    machine
        .sh("systemctl daemon-reload; systemctl start called.socket; echo hello > /run/calls")?;
    machine.until("it has answered", || {
        Ok(machine.journal("called")?.contains("got hello"))
    })?;
    machine.ok(&["systemctl", "stop", "called.socket", "called"])?;
    let said = machine.journal("called")?;
    ensure!(
        said.contains("1 calls\n") && !said.contains("wrong"),
        "{said}"
    );
    host.nothing_left("called")
}

/// A start that is stopped, and one whose runtime is killed on the way, leave nothing.
#[test]
fn a_start_that_is_cut_off_leaves_nothing() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    let machine = &host.machine;
    host.configured("slow", RUNTIME_READY, "exec sleep 1000", |config| {
        config["hooks"] =
            json!({"createRuntime": [{"path": "/usr/bin/sleep", "args": ["sleep", "3"]}]});
    })?;
    let begin = || -> Result<(String, String)> {
        machine.ok(&["systemctl", "start", "--no-block", "slow"])?;
        machine.until("systemd knows the container", || {
            Ok(machine.run(&["pgrep", "-x", "sleep"])?.status == 0)
        })?;
        let main = machine.property("slow", "MainPID")?;
        let all = machine.ok(&["pgrep", "-x", "sysc-runtime"])?;
        let runtime = all
            .lines()
            .find(|pid| *pid != main)
            .context("the runtime has gone")?;
        Ok((main, runtime.to_owned()))
    };
    begin()?;
    machine.ok(&["systemctl", "stop", "slow"])?;
    assert_eq!(machine.property("slow", "ActiveState")?, "inactive");
    host.nothing_left("slow")?;

    let (main, runtime) = begin()?;
    ensure!(main != runtime);
    machine.ok(&["kill", "-KILL", &runtime])?;
    let [state, ..] = host.end_of("slow")?;
    assert_eq!(state, "failed");
    host.nothing_left("slow")?;
    ensure!(!machine.ok(&["ps", "-eo", "comm="])?.contains("sysc"));
    Ok(())
}

/// What a start that fails leaves is removed by the unit; who was there before is not of that.
#[test]
fn those_in_an_occupied_cgroup_live_on() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    let machine = &host.machine;
    machine.sh("systemd-run --unit resident -q sleep 1000")?;
    let resident = machine.property("resident", "ControlGroup")?;
    host.configured("late", RUNTIME_READY, "exit 0", |config| {
        config["linux"]["cgroupsPath"] = json!(resident);
    })?;
    assert_eq!(host.start("late")?, 1);
    let said = machine.journal("late")?;
    ensure!(said.contains("is not empty"), "{said}");
    assert_eq!(machine.property("resident", "ActiveState")?, "active");
    host.nothing_left("late")
}
