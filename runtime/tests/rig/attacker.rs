//! An attacker inside: the test's own program, run again as a program of the container.
//!
//! A test that attacks has two halves. Its first line is `if attacker::is_inside() { … }`: in there
//! it is what the container runs, and what it leaves in files is read by the other half, outside.

use serde_json::json;

use super::{Ended, Rig};

const MARK: &str = "ATTACKER_INSIDE";
/// What the test harness says of one test that did not panic.
const DONE: &str = "1 passed";

/// Whether this process is the one inside.
pub fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The name of a test as its harness has it, from the name of a function in it.
pub fn words(test: &str) -> Vec<&str> {
    vec![
        "/attacker",
        "--exact",
        test,
        "--nocapture",
        "--test-threads=1",
    ]
}

impl Rig {
    /// Makes the test's program executable inside, with all that the kernel lets root do.
    pub fn admit_attacker(&self) -> &Rig {
        let program = std::env::current_exe().unwrap();
        std::fs::create_dir_all(self.rootfs().join("lib64")).unwrap();
        self.config(|config| {
            let mounts = config["mounts"].as_array_mut().unwrap();
            for (source, destination) in [
                (program.to_str().unwrap(), "/attacker"),
                ("/lib", "/lib"),
                ("/lib64", "/lib64"),
            ] {
                mounts.push(json!({"source": source, "destination": destination,
                    "options": ["bind", "ro"]}));
            }
            let all = json!([
                "CAP_SYS_ADMIN",
                "CAP_SYS_PTRACE",
                "CAP_DAC_OVERRIDE",
                "CAP_DAC_READ_SEARCH",
                "CAP_SYS_CHROOT"
            ]);
            config["process"]["capabilities"] =
                json!({"bounding": all, "effective": all, "permitted": all});
            let env = config["process"]["env"].as_array_mut().unwrap();
            env.push(json!(format!("{MARK}=1")));
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
        })
    }

    /// Starts an attack in the container `c`, which runs.
    pub fn attack(&self, test: &str) -> std::process::Child {
        self.spawn(&[&["exec", "c"], &words(test)[..]].concat())
    }
}

/// An attack has come to its end, and not by a panic.
pub fn assert_done(child: std::process::Child) {
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert!(ended.out.contains(DONE), "{}\n{}", ended.out, ended.err);
}
