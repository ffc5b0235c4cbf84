//! The life of a container from create to delete, and what happens when somebody dies on the way.
//! Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use rig::{Rig, eventually, is_alive};
use serde_json::json;

fn kill9(pid: i32) {
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}

#[test]
fn from_create_to_delete() {
    let rig = Rig::new();
    rig.script("echo begun >/tmp/begun; exec sleep 100");
    let pid_file = rig.bundle().join("pid");
    rig.runtime(&["create", "--pid-file", pid_file.to_str().unwrap(), "c"])
        .ok();
    let state = rig.state("c");
    assert_eq!(state["status"], "created");
    assert_eq!(
        state["pid"].to_string(),
        std::fs::read_to_string(&pid_file).unwrap()
    );
    assert_eq!(state["bundle"], json!(rig.bundle()));
    assert!(!rig.rootfs().join("tmp/begun").exists());

    rig.runtime(&["start", "c"]).ok();
    eventually(|| rig.rootfs().join("tmp/begun").exists());
    assert_eq!(rig.status("c"), "running");
    assert!(
        rig.runtime(&["start", "c"])
            .refused()
            .contains("running already")
    );
    assert!(
        rig.runtime(&["delete", "c"])
            .refused()
            .contains("it is running")
    );
    assert!(is_alive(rig.pid("c")));

    rig.runtime(&["kill", "c", "9"]).ok();
    rig.until("c", "stopped");
    assert!(
        rig.runtime(&["kill", "c"])
            .refused()
            .contains("not running")
    );
    assert!(rig.runtime(&["start", "c"]).refused().contains("stopped"));
    rig.runtime(&["delete", "c"]).ok();
    assert_eq!(rig.status("c"), "absent");
    rig.assert_clean();
}

#[test]
fn r03_created_but_never_started_may_be_deleted() {
    let rig = Rig::new();
    rig.runtime(&["create", "c"]).ok();
    let pid = rig.pid("c");
    rig.runtime(&["delete", "c"]).ok();
    assert!(!is_alive(pid));
    assert!(
        rig.runtime(&["state", "c"])
            .refused()
            .contains("does not exist")
    );
    rig.assert_clean();
}

#[test]
fn what_has_nothing_to_run_is_created_but_never_started() {
    let rig = Rig::new();
    rig.config(|config| drop(config.as_object_mut().unwrap().remove("process")));
    let err = rig.run().refused();
    assert!(err.contains("'process' is missing"), "{err}");
    rig.assert_clean();
    rig.runtime(&["create", "c"]).ok();
    assert_eq!(rig.status("c"), "created");
    let err = rig.runtime(&["start", "c"]).refused();
    assert!(err.contains("'process' is missing"), "{err}");
    rig.until("c", "stopped");
    rig.runtime(&["delete", "c"]).ok();
    rig.assert_clean();
}

/// Whoever has the last word of a program may find its process still on the way out.
#[test]
fn what_is_about_to_end_is_deleted() {
    let rig = Rig::new();
    rig.args(&["sleep", "0.03"]);
    rig.runtime(&["run", "-d", "c"]).ok();
    rig.runtime(&["delete", "c"]).ok();
    rig.assert_clean();
}

#[test]
fn a_created_one_can_be_killed() {
    let rig = Rig::new();
    rig.runtime(&["create", "c"]).ok();
    rig.runtime(&["kill", "c", "KILL"]).ok();
    rig.until("c", "stopped");
    rig.runtime(&["delete", "c"]).ok();
}

#[test]
fn detached_leaves_once_the_program_has_begun() {
    let rig = Rig::new();
    rig.args(&["sleep", "100"]);
    let pid_file = rig.bundle().join("pid");
    rig.runtime(&["run", "-d", "--pid-file", pid_file.to_str().unwrap(), "c"])
        .ok();
    let pid = rig.pid("c");
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), pid.to_string());
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line, b"sleep\x00100\x00");
    rig.runtime(&["delete", "--force", "c"]).ok();
    assert!(!is_alive(pid));
    rig.assert_clean();
}

#[test]
fn the_pid_file_is_there_before_the_program() {
    let rig = Rig::new();
    let pid_file = rig.rootfs().join("tmp/pid");
    rig.script("cat /tmp/pid; echo; ls /tmp");
    let out = rig
        .runtime(&["run", "--pid-file", pid_file.to_str().unwrap(), "c"])
        .ok();
    let (number, files) = out.split_once('\n').unwrap();
    assert!(number.parse::<i32>().unwrap() > 1);
    assert_eq!(files, "pid");
}

#[test]
fn a_program_that_cannot_be_executed_is_named_and_nothing_is_left() {
    let rig = Rig::new();
    std::fs::write(rig.rootfs().join("bin/broken"), "#!/no/such/interpreter\n").unwrap();
    std::fs::write(rig.rootfs().join("bin/plain"), "text").unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(rig.rootfs().join("bin/broken"), mode).unwrap();
    for (program, words) in [
        ("nowhere", "not found"),
        ("/bin/nowhere", "ENOENT"),
        ("/tmp", "EACCES"),
        ("plain", "permission denied"),
        ("broken", "ENOENT"),
    ] {
        rig.args(&[program]);
        for verb in [
            &["run", "--pid-file", "pid", "c"][..],
            &["run", "-d", "--pid-file", "pid", "c"],
        ] {
            let err = rig.runtime(verb).refused();
            assert!(err.contains(program) && err.contains(words), "{err}");
            assert!(!rig.bundle().join("pid").exists());
            rig.assert_clean();
        }
    }
    rig.args(&["nowhere"]);
    assert!(
        rig.runtime(&["create", "c"])
            .refused()
            .contains("'nowhere'")
    );
    rig.assert_clean();
    // Found, but its interpreter is not: only the exec itself can tell.
    rig.args(&["broken"]).runtime(&["create", "c"]).ok();
    assert!(rig.runtime(&["start", "c"]).refused().contains("broken"));
    rig.until("c", "stopped");
}

#[test]
fn of_many_who_create_one_wins() {
    let rig = Rig::new();
    rig.args(&["sleep", "100"]);
    let all: Vec<_> = (0..8).map(|_| rig.spawn(&["create", "c"])).collect();
    let ended: Vec<rig::Ended> = all
        .into_iter()
        .map(|child| {
            // A held child of the winner keeps its pipes open, so only the losers' are read.
            let mut child = child;
            let status = child.wait().unwrap();
            let err = match status.success() {
                true => String::new(),
                false => {
                    let mut text = String::new();
                    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut text)
                        .unwrap();
                    text
                }
            };
            rig::Ended {
                code: status.code(),
                out: String::new(),
                err,
            }
        })
        .collect();
    assert_eq!(ended.iter().filter(|one| one.code == Some(0)).count(), 1);
    for loser in ended.iter().filter(|one| one.code != Some(0)) {
        assert!(
            loser.err.contains("exists already and is created"),
            "{}",
            loser.err
        );
    }
    assert_eq!(rig.status("c"), "created");
}

#[test]
fn a_name_in_many_hands_has_one_owner_at_a_time() {
    let rig = Rig::new();
    rig.script("mkdir /tmp/alone || exit 50; rmdir /tmp/alone || exit 51");
    let work = || {
        for _ in 0..10 {
            let run = rig.run();
            let lost = run.err.contains("exists already");
            assert!(run.code == Some(0) || lost, "{:?} {}", run.code, run.err);
            rig.runtime(&["delete", "c"]);
            rig.runtime(&["state", "c"]);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    rig.assert_clean();
}

#[test]
fn u03_a_name_can_be_used_again_after_any_death() {
    let rig = Rig::new();
    rig.script("echo $$ >>/tmp/begun; exec sleep 100");
    let begun = || {
        let text = std::fs::read_to_string(rig.rootfs().join("tmp/begun"));
        text.map_or(0, |text| text.lines().count())
    };
    // Only the payload dies, detached: nobody deletes.
    rig.runtime(&["run", "-d", "c"]).ok();
    let pid = rig.pid("c");
    assert!(
        rig.runtime(&["run", "-d", "c"])
            .refused()
            .contains("exists already and is running")
    );
    kill9(pid);
    rig.until("c", "stopped");
    // Only the runtime dies: the payload that nobody waits for is ended before the next begins.
    let mut runtime = rig.spawn(&["run", "c"]);
    eventually(|| begun() == 2);
    let orphan = rig.pid("c");
    runtime.kill().unwrap();
    runtime.wait().unwrap();
    assert!(is_alive(orphan));
    let mut runtime = rig.spawn(&["run", "c"]);
    eventually(|| begun() == 3);
    assert!(!is_alive(orphan));
    // Both die.
    let pid = rig.pid("c");
    runtime.kill().unwrap();
    runtime.wait().unwrap();
    kill9(pid);
    rig.script("exit 5");
    assert_eq!(rig.run().code, Some(5));
    rig.assert_clean();
}

#[test]
fn a_name_whose_process_number_is_another_process_now_is_stopped() {
    let rig = Rig::new();
    rig.args(&["sleep", "100"])
        .runtime(&["run", "-d", "c"])
        .ok();
    let pid = rig.pid("c");
    let path = rig.state_root().join("c/state.json");
    let mut state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    state["init"]["pid"] = json!(std::process::id());
    std::fs::write(&path, state.to_string()).unwrap();
    assert_eq!(rig.status("c"), "stopped");
    rig.runtime(&["delete", "--force", "c"]).ok();
    kill9(pid);
}

#[test]
fn deleting_what_is_not_there() {
    let rig = Rig::new();
    for words in [
        &["delete", "c"][..],
        &["start", "c"],
        &["kill", "c"],
        &["state", "c"],
    ] {
        assert!(
            rig.runtime(words)
                .refused()
                .contains("container 'c' does not exist")
        );
    }
    assert_eq!(rig.runtime(&["delete", "--force", "c"]).ok(), "");
    assert!(!rig.state_root().exists());
}

#[test]
fn lists_show_all() {
    let rig = Rig::new();
    assert_eq!(rig.runtime(&["list", "--format", "json"]).ok(), "[]");
    rig.args(&["sleep", "100"]);
    rig.runtime(&["create", "a"]).ok();
    rig.runtime(&["run", "-d", "b"]).ok();
    assert_eq!(rig.runtime(&["list", "-q"]).ok(), "a\nb");
    let table = rig.runtime(&["list"]).ok();
    let words: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    );
    assert_eq!(
        (words[1][0], words[1][2], words[2][2]),
        ("a", "created", "running")
    );
    assert_eq!(words[1][5], "root");
    let json: serde_json::Value =
        serde_json::from_str(&rig.runtime(&["list", "-f", "json"]).ok()).unwrap();
    assert_eq!(json[1]["id"], "b");
    assert_eq!(json[1]["pid"], rig.pid("b"));
}
