//! Programs beside the container's own.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Ended, Rig};

/// A rig whose container `c` sleeps.
pub fn sleeping(change: impl FnOnce(&mut Value)) -> Rig {
    let rig = Rig::new();
    rig.config(change).args(&["sleep", "1000"]);
    rig.runtime(&["run", "-d", "c"]).ok();
    rig
}

/// `exec` with these words.
pub fn exec(rig: &Rig, words: &[&str]) -> Ended {
    rig.runtime(&[&["exec"], words].concat())
}

/// A shell script in `c`.
pub fn script(rig: &Rig, script: &str) -> Ended {
    exec(rig, &["c", "sh", "-c", script])
}

/// It failed as a failing exec does: status 255 and one line, which is returned.
pub fn refused(ended: Ended) -> String {
    assert_eq!(ended.code, Some(255), "{}\n{}", ended.out, ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    ended.err
}

/// Starts a sleeper beside the container's; gives its number.
pub fn in_background(rig: &Rig, flags: &[&str]) -> i32 {
    let words = ["-d", "--pid-file", "pid"];
    exec(rig, &[&words, flags, &["c", "sleep", "1000"]].concat()).ok();
    let text = std::fs::read_to_string(rig.bundle().join("pid")).unwrap();
    text.parse().unwrap()
}

/// /proc/PID/cgroup
pub fn table(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}

/// The cgroup's directory, or with version 1 its directories.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let mounts = Path::new("/sys/fs/cgroup");
    let below = std::fs::read_dir(mounts).unwrap().flatten();
    // A controller that shares its hierarchy is a link to it.
    let below = below.filter(|entry| entry.file_type().unwrap().is_dir());
    let below = below.map(|entry| entry.path().join(name));
    let unified = mounts.join("cgroup.controllers").exists();
    let all = [mounts.join(name)].into_iter().filter(|_| unified);
    all.chain(below.filter(|_| !unified))
        .filter(|path| path.is_dir())
        .collect()
}
