//! Thousands of configurations that nobody would write: each is refused, or becomes a plan that stays
//! within the container. The fuzz targets in fuzz/ try the same properties with a guided search.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

#[path = "../fuzz/properties.rs"]
mod properties;

use serde_json::{Value, json};
use sysc_runtime::bundle::default_config;

/// Numbers that look random and are the same in each run, so that a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

const TEXTS: &[&str] = &[
    "",
    "/",
    "..",
    "../..",
    "/..",
    "/../../x",
    "/a/../proc",
    "/proc",
    "/proc/self/attr",
    "proc",
    "a\0b",
    "/sys",
    "/dev",
    "/dev/../etc",
    "ro",
    "rw",
    "rro",
    "bind",
    "rbind",
    "idmap",
    "tmpcopyup",
    "mode=755",
    "rshared",
    "unbindable",
    "none",
    "tmpfs",
    "cgroup",
    "cgroup2",
    "sysfs",
    "mount",
    "user",
    "pid",
    "time",
    "CAP_SYS_ADMIN",
    "CAP_NOBODY",
    "RLIMIT_NOFILE",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_NOTIFY",
    "kernel.x",
    "net/ipv4/conf/eth0.5/x",
    "net/../../x",
    "c",
    "b",
    "p",
    "u",
    "rwm",
    "a",
    "=",
    "=x",
    "A=",
    "A=B",
    "ä",
    "a:b:c",
    ":::",
    "/a:b",
    "system.slice:x:y",
    "1.0.0",
    "shared",
    "2-4",
    "9999999999999999999",
];

/// Whatever a value may be replaced by.
fn something(dice: &mut Dice) -> Value {
    let numbers = [
        0,
        1,
        -1,
        7,
        255,
        65_536,
        i64::from(u32::MAX),
        i64::MAX,
        i64::MIN,
    ];
    match dice.below(8) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => json!(dice.of(&numbers)),
        3 => json!(u64::MAX),
        4 => json!([]),
        5 => json!({}),
        6 => json!([dice.of(TEXTS), dice.of(TEXTS)]),
        _ => json!(dice.of(TEXTS)),
    }
}

/// Everything that the default configuration leaves out, so that it can be spoilt too.
fn rich_config() -> Value {
    let mut config = default_config();
    config["domainname"] = json!("here");
    config["annotations"] = json!({"a": "b"});
    config["hooks"] =
        json!({"prestart": [{"path": "/x", "args": ["x"], "env": ["A=B"], "timeout": 1}]});
    let process = &mut config["process"];
    process["oomScoreAdj"] = json!(10);
    process["apparmorProfile"] = json!("x");
    process["consoleSize"] = json!({"height": 1, "width": 2});
    process["user"] = json!({"uid": 1, "gid": 2, "additionalGids": [3, 4], "umask": 18});
    let linux = &mut config["linux"];
    linux["cgroupsPath"] = json!("/a/b");
    linux["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel/shmmax": "2"});
    linux["devices"] =
        json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438}]);
    let namespaces = linux["namespaces"].as_array_mut().unwrap();
    namespaces.extend([json!({"type": "user"}), json!({"type": "time"})]);
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    linux["gidMappings"] = linux["uidMappings"].clone();
    linux["timeOffsets"] = json!({"monotonic": {"secs": 1, "nanosecs": 2}});
    linux["rootfsPropagation"] = json!("rslave");
    linux["personality"] = json!({"domain": "LINUX32"});
    linux["resources"] = json!({
        "memory": {"limit": 1 << 30, "swap": 1 << 31}, "pids": {"limit": 5},
        "cpu": {"shares": 2, "quota": 3, "period": 4, "cpus": "0", "mems": "0"},
        "devices": [{"allow": false, "access": "rwm"}],
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}], "unified": {"memory.high": "1"}});
    linux["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
            "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]});
    config
}

/// Goes down to a place somewhere in the configuration and changes what is there.
fn spoil(value: &mut Value, dice: &mut Dice) {
    let deeper = dice.below(6) > 0;
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let at = dice.below(fields.len());
            if dice.below(12) == 0 {
                let name = fields.keys().nth(at).unwrap().clone();
                drop(fields.remove(&name));
            } else {
                spoil(fields.values_mut().nth(at).unwrap(), dice);
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = dice.below(items.len());
            match dice.below(10) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => spoil(&mut items[at], dice),
            }
        }
        other => *other = something(dice),
    }
}

#[test]
fn spoilt_configurations_are_refused_or_stay_inside() {
    let mut dice = Dice(0x005e_ed0f_c0ff_ee00);
    let rich = rich_config();
    let mut planned = 0;
    for _ in 0..6000 {
        let mut config = rich.clone();
        (0..=dice.below(3)).for_each(|_| spoil(&mut config, &mut dice));
        planned += usize::from(properties::config(config.to_string().as_bytes()));
    }
    assert!(properties::config(rich.to_string().as_bytes()));
    // Neither all nor nothing: else it is not the planner that is tried.
    assert!((500..5500).contains(&planned), "{planned}");
}

#[test]
fn torn_texts_are_refused() {
    let mut dice = Dice(0x7ea2);
    let text = rich_config().to_string().into_bytes();
    for _ in 0..2000 {
        let mut text = text.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(text.len());
            text[at] = dice.below(256) as u8;
        }
        text.truncate(dice.below(text.len() * 4).max(1));
        properties::config(&text);
    }
}

#[test]
fn options_of_all_kinds_contradict_nothing() {
    let words = [
        "ro",
        "rw",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "exec",
        "noexec",
        "sync",
        "dirsync",
        "atime",
        "noatime",
        "relatime",
        "norelatime",
        "strictatime",
        "nostrictatime",
        "diratime",
        "nodiratime",
        "rro",
        "rrw",
        "rnosuid",
        "rsuid",
        "rnoatime",
        "rrelatime",
        "rstrictatime",
        "ratime",
        "private",
        "rprivate",
        "shared",
        "rslave",
        "bind",
        "rbind",
        "tmpcopyup",
        "mode=1777",
        "size=1k",
        "x",
        "",
        "=",
        "nosymfollow",
        "rsymfollow",
        "defaults",
        "mand",
        "nomand",
        "iversion",
        "silent",
        "loud",
        "remount",
    ];
    let mut dice = Dice(0x0b0e);
    for _ in 0..4000 {
        let options: Vec<&str> = (0..dice.below(8)).map(|_| *dice.of(&words)).collect();
        properties::mount_options(&options.join(","));
    }
}
