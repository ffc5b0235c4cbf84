//! Many times over: nothing hangs, and nothing is left, whoever is killed and when. Needs root.
//!
//! The suite does each some hundred times; `make soak` sets `SYSC_SOAK` to do them as many times
//! more, and tells the counts.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]
#![allow(clippy::print_stdout, reason = "'make soak' tells its counts")]

mod rig;

use std::time::Duration;

use rig::guest::{cgroups, exec, sleeping};
use rig::{Rig, eventually};
use serde_json::json;

/// How often something is done that the suite does `short` times.
fn times(short: usize) -> usize {
    let factor = std::env::var("SYSC_SOAK").ok();
    short * factor.map_or(1, |factor| factor.parse::<usize>().unwrap())
}

/// Moments that differ from call to call and are the same in each run of the test.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn pause(&mut self, up_to: Duration) {
        let micros = up_to.as_micros() as u64;
        std::thread::sleep(Duration::from_micros(self.next(micros)));
    }
}

/// A rig with a cgroup of its own and a mark in the environment of whatever comes of it.
fn marked(name: &str) -> (Rig, String) {
    let rig = Rig::new();
    let name = format!("sysc-soak-{name}-{}", std::process::id());
    rig.config(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
        let env = config["process"]["env"].as_array_mut().unwrap();
        env.push(json!(format!("SOAK={name}")));
    });
    (rig, name)
}

/// Processes of the container, whatever became of them: those that bear its mark, and those of our
/// own program that were about to.
fn processes(rig: &Rig, name: &str) -> usize {
    let is_ours = |pid: &str| {
        let file = |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let has =
            |text: Vec<u8>, part: &str| text.windows(part.len()).any(|it| it == part.as_bytes());
        has(file("environ"), name) || has(file("cmdline"), rig.state_root().to_str().unwrap())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.parse::<u32>().is_ok() && is_ours(name))
        .count()
}

fn assert_nothing_left(rig: &Rig, name: &str) {
    rig.runtime(&["delete", "--force", "c"]).ok();
    eventually(|| processes(rig, name) == 0);
    assert!(cgroups(name).is_empty(), "{:?}", cgroups(name));
    rig.assert_clean();
}

#[test]
fn short_runs_do_not_hang() {
    let rig = Rig::new();
    rig.args(&["true"]);
    let count = times(300);
    (0..count).for_each(|_| assert_eq!(rig.run().code, Some(0)));
    rig.assert_clean();
    println!("{count} runs of 'true'");
}

#[test]
fn short_execs_do_not_hang() {
    let rig = sleeping(|_| {});
    let count = times(200);
    (0..count).for_each(|_| drop(exec(&rig, &["c", "true"]).ok()));
    assert_eq!(rig.status("c"), "running");
    println!("{count} execs of 'true'");
}

#[test]
fn a_runtime_killed_at_any_moment_leaves_nothing() {
    let verbs: [&[&str]; 4] = [
        &["run", "c"],
        &["run", "-d", "c"],
        &["create", "c"],
        &["delete", "--force", "c"],
    ];
    let (rig, name) = marked("kill");
    rig.args(&["sleep", "1000"]);
    let mut moments = Moments(0x5eed);
    let count = times(200);
    for _ in 0..count {
        let verb = verbs[moments.next(verbs.len() as u64) as usize];
        let mut runtime = rig.spawn(verb);
        moments.pause(Duration::from_millis(30));
        runtime.kill().unwrap();
        runtime.wait().unwrap();
        // Cleared by whoever takes the name next, or deletes it.
        if moments.next(4) > 0 {
            assert_nothing_left(&rig, &name);
        }
    }
    assert_nothing_left(&rig, &name);
    rig.script("exit 6");
    assert_eq!(rig.run().code, Some(6));
    assert_nothing_left(&rig, &name);
    println!("{count} runtimes killed");
}

#[test]
fn an_exec_killed_at_any_moment_leaves_the_container_alone() {
    let (rig, name) = marked("exec");
    rig.args(&["sleep", "1000"])
        .runtime(&["run", "-d", "c"])
        .ok();
    let before = rig.state("c");
    let mut moments = Moments(0xbee);
    let count = times(100);
    for _ in 0..count {
        let mut runtime = rig.spawn(&["exec", "c", "sleep", "0.01"]);
        moments.pause(Duration::from_millis(25));
        runtime.kill().unwrap();
        runtime.wait().unwrap();
    }
    assert_eq!(rig.state("c"), before);
    // The programs that were started all the same have ended by themselves.
    eventually(|| {
        rig.runtime(&["ps", "--format", "json", "c"])
            .out
            .matches(',')
            .count()
            == 0
    });
    exec(&rig, &["c", "true"]).ok();
    assert_nothing_left(&rig, &name);
    println!("{count} execs killed");
}

#[test]
fn a_payload_killed_at_any_moment_ends_its_runtime() {
    let (rig, name) = marked("payload");
    rig.args(&["sleep", "1000"]);
    let mut moments = Moments(0xdead);
    let count = times(100);
    for _ in 0..count {
        let runtime = rig.spawn(&["run", "c"]);
        let child = eventually_some(|| {
            let path = rig.state_root().join("c/state.json");
            let state: serde_json::Value =
                serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
            state["init"]["pid"].as_i64()
        });
        moments.pause(Duration::from_millis(5));
        let pid = nix::unistd::Pid::from_raw(child as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        let ended = rig::Ended::from(runtime.wait_with_output().unwrap());
        // Killed before its exec it never was the payload, and that is an error of ours.
        let told = ended.code == Some(1) && ended.err.contains("during set-up");
        assert!(ended.code == Some(137) || told, "{ended:?}");
    }
    assert_nothing_left(&rig, &name);
    println!("{count} payloads killed");
}

fn eventually_some<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    eventually(|| {
        found = look();
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn of_creates_and_deletes_of_one_name_each_has_one_winner() {
    let (rig, name) = marked("race");
    rig.args(&["sleep", "1000"]);
    let count = times(25);
    for _ in 0..count {
        let of_four = |words: &[&str]| -> usize {
            let all: Vec<_> = (0..4)
                .map(|_| {
                    let mut command = rig.command(words);
                    let null = std::process::Stdio::null;
                    command.stdout(null()).stderr(null()).spawn().unwrap()
                })
                .collect();
            let ends = all.into_iter().map(|mut child| child.wait().unwrap());
            ends.filter(|status| status.success()).count()
        };
        assert_eq!(of_four(&["create", "c"]), 1);
        assert_eq!(of_four(&["delete", "c"]), 1);
    }
    assert_nothing_left(&rig, &name);
    println!("{count} times four creates and four deletes");
}
