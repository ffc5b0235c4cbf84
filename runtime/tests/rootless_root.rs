//! What a user without privileges can do. Needs root, to become such a user.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use rig::{Ended, Rig};
use serde_json::{Value, json};

const USER: u32 = 4242;

/// A bundle of a user's own, and the host as that user has it: an entry in passwd, and ranges of
/// ids, seen by the user's commands alone.
struct Home {
    rig: Rig,
    ranges: bool,
}

impl Home {
    fn new(ranges: bool) -> Home {
        let rig = Rig::new();
        std::fs::set_permissions(rig.bundle(), std::fs::Permissions::from_mode(0o755)).unwrap();
        // By another process, as for a rig with its own program.
        rig.shell(&format!("cp {} runtime", rig::executable().display()))
            .ok();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let user = format!("{passwd}sysc-user:x:{USER}:{USER}::/:/bin/sh\n");
        std::fs::write(rig.bundle().join("passwd"), user).unwrap();
        let ids = if ranges {
            "sysc-user:700000:65536\n"
        } else {
            ""
        };
        std::fs::write(rig.bundle().join("ids"), ids).unwrap();
        std::fs::remove_file(rig.bundle().join("config.json")).unwrap();
        std::fs::create_dir(rig.bundle().join("run")).unwrap();
        rig.shell(&format!("chown -R {USER}:{USER} .")).ok();
        let home = Home { rig, ranges };
        home.runtime("spec --rootless").ok();
        home.rig.config(|config| {
            config["process"]["terminal"] = json!(false);
            config["root"]["readonly"] = json!(false);
            if ranges {
                let map = json!([{"containerID": 0, "hostID": USER, "size": 1},
                    {"containerID": 1, "hostID": 700_000, "size": 65536}]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
            }
        });
        home
    }

    /// A line of the user's shell, in which `$rt` is the runtime.
    fn shell(&self, line: &str) -> Ended {
        let user = format!(
            "unshare -m sh -c 'mount --bind passwd /etc/passwd; mount --bind ids /etc/subuid; \
             mount --bind ids /etc/subgid; exec setpriv --reuid {USER} --regid {USER} --clear-groups \
             env -i PATH=$PATH USER=sysc-user XDG_RUNTIME_DIR=$PWD/run rt=$PWD/runtime sh -c \"$0\"' \
             \"$LINE\""
        );
        // Output goes through files: a detached payload keeps them open.
        let line = format!("LINE='{line}'; export LINE; ({user}) >out 2>err </dev/null");
        let code = self.rig.shell(&line).code;
        let text = |name: &str| {
            let text = std::fs::read(self.rig.bundle().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&text).trim().to_owned()
        };
        Ended {
            code,
            out: text("out"),
            err: text("err"),
        }
    }

    fn runtime(&self, words: &str) -> Ended {
        self.shell(&format!("$rt {words}"))
    }

    fn state(&self) -> PathBuf {
        self.rig.bundle().join("run/sysc-runtime")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.runtime("delete --force c");
    }
}

#[test]
fn a_user_is_root_of_a_container() {
    for ranges in [false, true] {
        let home = Home::new(ranges);
        home.rig.script("id -u; cat /proc/self/setgroups; wc -l </proc/self/uid_map; hostname; touch /made; ls /proc | grep -c ^1$");
        let (groups, lines) = if ranges { ("allow", 2) } else { ("deny", 1) };
        let wanted = format!("0\n{groups}\n{lines}\nsysc\n1");
        assert_eq!(home.runtime("run c").ok(), wanted, "{}", home.ranges);
        use std::os::unix::fs::MetadataExt;
        let made = std::fs::metadata(home.rig.rootfs().join("made")).unwrap();
        assert_eq!(made.uid(), USER);
    }
}

#[test]
fn other_users_come_from_the_range() {
    let home = Home::new(true);
    home.rig.config(|config| {
        config["process"]["user"] = json!({"uid": 33, "gid": 34, "additionalGids": [5]});
    });
    home.rig.script("id -u; id -G; grep ^Uid /proc/self/status");
    assert!(home.runtime("run c").ok().starts_with("33\n34 5"));
}

#[test]
fn the_whole_life_of_a_users_container() {
    for ranges in [false, true] {
        let home = Home::new(ranges);
        home.rig.args(&["sleep", "1000"]);
        home.runtime("create c").ok();
        assert!(home.state().join("c/state.json").exists());
        assert!(home.runtime("state c").ok().contains("\"created\""));
        home.runtime("start c").ok();
        assert!(home.runtime("list").ok().contains("running"));
        assert!(home.runtime("ps c").ok().contains("sleep 1000"));
        assert!(home.runtime("exec --env A=1 c env").ok().contains("A=1"));
        assert_eq!(home.runtime("exec c cat /proc/1/comm").ok(), "sleep");
        assert_eq!(home.runtime("exec c id -u").ok(), "0");
        assert_eq!(home.runtime("exec c false").code, Some(1));
        let err = home.runtime("pause c").refused();
        assert!(
            err.contains("no cgroup of its own") || err.contains("unit"),
            "{err}"
        );
        home.runtime("kill c KILL").ok();
        rig::eventually(|| home.runtime("state c").out.contains("\"stopped\""));
        home.runtime("delete c").ok();
        assert_eq!(home.runtime("list -q").ok(), "");
    }
}

#[test]
fn limits_are_set_by_the_child_itself() {
    let home = Home::new(true);
    home.rig.config(|config| {
        config["process"]["oomScoreAdj"] = json!(500);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    });
    home.rig
        .script("cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn");
    assert_eq!(home.runtime("run c").ok(), "500\n100\n200");
}

#[test]
fn cve_2019_5736_a_users_runtime_is_protected_too() {
    let home = Home::new(false);
    home.rig.args(&["sleep", "1000"]);
    home.runtime("create c").ok();
    let state: Value = serde_json::from_str(&home.runtime("state c").ok()).unwrap();
    let exe = format!("/proc/{}/exe", state["pid"]);
    let file = std::fs::read_link(&exe).unwrap();
    assert!(file.to_str().unwrap().starts_with("/memfd:"), "{file:?}");
}

#[test]
fn what_lacks_is_said() {
    type Change = fn(&mut Value);
    let range = |config: &mut Value| {
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 900_000, "size": 10}]);
    };
    let table: &[(Change, &str, &str)] = &[
        (range, "", "a range must be yours in /etc/subuid"),
        (range, "PATH=/nowhere", "help: install it"),
        (
            |config| {
                config["linux"]["resources"] = json!({"pids": {"limit": 5}});
                config["linux"]["cgroupsPath"] = json!("/a");
            },
            "",
            "linux.resources: cgroup",
        ),
        (
            |config| config["process"]["user"]["additionalGids"] = json!([5]),
            "",
            "supplementary groups",
        ),
        (
            |config| {
                let ids = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
                let mount = json!({"destination": "/d", "source": "/srv", "options": ["bind", "idmap"], "uidMappings": ids, "gidMappings": ids});
                config["mounts"].as_array_mut().unwrap().push(mount);
            },
            "",
            "an id-mapped mount needs root",
        ),
    ];
    for (change, variables, words) in table {
        let home = Home::new(false);
        home.rig.config(change);
        let err = home.shell(&format!("{variables} $rt run c")).err;
        let told = err.replace('\'', "");
        assert!(told.contains(words), "{words}: {err}");
        assert!(std::fs::read_dir(home.state()).map_or(0, |left| left.count()) == 0);
    }
    // A path alone is no reason to fail: engines always give one.
    let home = Home::new(false);
    home.rig
        .config(|config| config["linux"]["cgroupsPath"] = json!("/a"));
    home.rig.args(&["true"]);
    home.runtime("run c").ok();
    let err = home.runtime("--rootless false run c").refused();
    assert!(err.contains("cgroup '/a'"), "{err}");
}

#[test]
fn cve_2023_25809_the_users_other_cgroups_are_read_only() {
    let home = Home::new(false);
    home.rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    });
    home.rig
        .script("grep /sys/fs/cgroup /proc/self/mounts | grep -cv \" ro,\"");
    let ended = home.runtime("run c");
    assert_eq!(ended.out, "0", "{}", ended.err);
}

#[test]
fn clocks_of_a_users_container() {
    let home = Home::new(true);
    home.rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
    });
    home.rig.args(&["cat", "/proc/uptime"]);
    let out = home.runtime("run c").ok();
    assert!(out.split('.').next().unwrap().parse::<u64>().unwrap() > 100_000_000);
}

#[test]
fn an_existing_user_namespace_is_joined() {
    let rig = Rig::new();
    std::fs::set_permissions(rig.bundle(), std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(rig.rootfs(), Some(100_000), Some(100_000)).unwrap();
    let mappings = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let config = |user: Value, more: Value| {
        rig.config(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|it| it["type"] != "user" && it["type"] != more["type"]);
            namespaces.extend([user, more]);
            config["linux"]["uidMappings"] = mappings.clone();
            config["linux"]["gidMappings"] = mappings.clone();
        });
    };
    config(json!({"type": "user"}), json!({"type": "uts"}));
    rig.args(&["sleep", "1000"])
        .runtime(&["run", "-d", "first"])
        .ok();
    let pid = rig.pid("first");
    let of_first = |name: &str| format!("/proc/{pid}/ns/{name}");
    let user = json!({"type": "user", "path": of_first("user")});
    config(
        user.clone(),
        json!({"type": "network", "path": of_first("net")}),
    );
    rig.script(
        "readlink /proc/self/ns/user; readlink /proc/self/ns/net; echo $$; id -u; touch /made; hostname",
    );
    let ns = |name: &str| {
        std::fs::read_link(of_first(name))
            .unwrap()
            .display()
            .to_string()
    };
    let wanted = format!("{}\n{}\n1\n0\nsysc", ns("user"), ns("net"));
    assert_eq!(rig.run().ok(), wanted);
    // PIDs and clocks are those of a namespace from the clone on.
    config(
        user.clone(),
        json!({"type": "pid", "path": of_first("pid")}),
    );
    let out = rig
        .script("[ $$ != 1 ] && readlink /proc/self/ns/pid; ps | grep -c \"sleep 1000\"")
        .run();
    assert!(out.out.starts_with(&ns("pid")), "{} {}", out.out, out.err);
    config(user, json!({"type": "time"}));
    rig.config(|config| {
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
    });
    let out = rig.args(&["cat", "/proc/uptime"]).run().ok();
    assert!(out.split('.').next().unwrap().parse::<u64>().unwrap() > 100_000_000);
    rig.config(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|it| it["type"] != "user");
        namespaces.push(json!({"type": "user", "path": "/no/such"}));
    });
    assert!(rig.run().refused().contains("'/no/such'"));
    rig.runtime(&["delete", "--force", "first"]).ok();
    rig.assert_clean();
}
