//! Files that seem to be others', and sources that a user namespace cannot reach. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use rig::Rig;
use serde_json::{Value, json};

fn ids(inside: u32, outside: u32, size: u32) -> Value {
    json!([{"containerID": inside, "hostID": outside, "size": size}])
}

/// A rig with a directory whose files belong to 0:0 and 7:8, and whose /d is there to be mounted on.
fn rig() -> (Rig, PathBuf) {
    let rig = Rig::new();
    std::fs::create_dir(rig.rootfs().join("d")).unwrap();
    let source = rig.bundle().join("source");
    std::fs::create_dir(&source).unwrap();
    for (name, user, group) in [("root", 0, 0), ("other", 7, 8)] {
        std::fs::write(source.join(name), name).unwrap();
        chown(source.join(name), Some(user), Some(group)).unwrap();
    }
    (rig, source)
}

fn in_users(config: &mut Value) {
    config["linux"]["uidMappings"] = ids(0, 100_000, 65536);
    config["linux"]["gidMappings"] = ids(0, 200_000, 65536);
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "user"}));
}

fn bind(source: &PathBuf, options: &[&str], maps: Option<(Value, Value)>) -> Value {
    let mut mount = json!({"destination": "/d", "source": source, "options": options});
    if let Some((users, groups)) = maps {
        mount["uidMappings"] = users;
        mount["gidMappings"] = groups;
    }
    mount
}

fn add(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().unwrap().push(mount);
}

const OWNERS: &str = "stat -c %u:%g /d/root /d/other; touch /d/new && stat -c %u:%g /d/new";

#[test]
fn owners_of_a_mount_are_those_of_its_own_maps() {
    let (rig, source) = rig();
    let maps = (ids(0, 0, 10), ids(0, 1000, 10));
    rig.config(|config| add(config, bind(&source, &["bind", "idmap"], Some(maps))));
    let ended = rig.script(OWNERS).run();
    // A new file would belong to group 0 of the host, which is nobody's here.
    assert_eq!(ended.out, "0:1000\n7:1008", "{}", ended.err);
    assert!(ended.err.contains("Value too large"), "{}", ended.err);
    // Maps alone ask for it, too.
    let (rig, source) = self::rig();
    chown(&source, Some(7), Some(8)).unwrap();
    let maps = (ids(7, 0, 1), ids(8, 0, 1));
    rig.config(|config| add(config, bind(&source, &["bind"], Some(maps))));
    rig.script(OWNERS);
    assert_eq!(rig.run().ok(), "65534:65534\n0:0\n0:0");
    let made = std::fs::metadata(source.join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (7, 8));
}

#[test]
fn owners_of_a_mount_can_be_those_of_the_container() {
    let (rig, source) = rig();
    rig.config(|config| {
        in_users(config);
        add(config, bind(&source, &["bind", "idmap"], None));
    });
    rig.script(OWNERS);
    assert_eq!(rig.run().ok(), "0:0\n7:8\n0:0");
    let made = std::fs::metadata(source.join("new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0));
}

/// Each namespace that is made with a user namespace belongs to it, so that whoever joins that one
/// can join them all.
#[test]
fn all_namespaces_of_another_are_joined() {
    let (rig, _) = rig();
    rig.config(|config| {
        in_users(config);
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
    });
    rig.args(&["sleep", "1000"]);
    rig.runtime(&["run", "-d", "first"]).ok();
    let pid = rig.pid("first");
    rig.config(|config| {
        let linux = config["linux"].as_object_mut().unwrap();
        linux.retain(|key, _| !["uidMappings", "gidMappings", "timeOffsets"].contains(&&**key));
        for namespace in linux["namespaces"].as_array_mut().unwrap() {
            let file = match namespace["type"].as_str().unwrap() {
                "mount" => continue,
                "network" => "net",
                other => other,
            };
            namespace["path"] = json!(format!("/proc/{pid}/ns/{file}"));
        }
    });
    rig.script("cat /proc/uptime; readlink /proc/self/ns/user");
    let out = rig.runtime(&["run", "second"]).ok();
    let users = std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    assert!(
        out.starts_with("1000") && out.ends_with(users.to_str().unwrap()),
        "{out}"
    );
}

/// As the specification has it ("Cgroup ownership"); nothing of it with version 1.
#[test]
fn a_container_that_can_write_to_its_cgroup_divides_it() {
    rig::hierarchies::only_unified();
    let (rig, _) = rig();
    let name = format!("/sysc-owner-{}", std::process::id());
    rig.config(|config| {
        in_users(config);
        config["linux"]["cgroupsPath"] = json!(name);
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|it| it["type"] != "cgroup");
    });
    let cgroup = |options: Value| json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "options": options});
    rig.config(|config| add(config, cgroup(json!(["ro"]))));
    rig.script("stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs");
    assert_eq!(rig.run().ok(), "65534\n65534");
    rig.config(|config| {
        config["mounts"].as_array_mut().unwrap().pop();
        add(config, cgroup(json!(["rw"])));
    });
    rig.script(
        "cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.max.depth; mkdir below; \
         echo $$ >below/cgroup.procs; grep 0:: /proc/self/cgroup",
    );
    assert_eq!(rig.run().ok(), "0\n0\n65534\n0::/below");
    rig.assert_clean();
    assert!(!rig::hierarchies::directory("", &name).exists());
}

#[test]
fn what_is_mounted_below_is_mapped_where_asked() {
    for (option, below) in [("idmap", "65534:65534"), ("ridmap", "0:0")] {
        let (rig, source) = rig();
        std::fs::create_dir(source.join("below")).unwrap();
        let below_it = source.join("below");
        let line = format!("mount -t tmpfs -o mode=755 tmpfs {}", below_it.display());
        rig.shell(&line).ok();
        rig.config(|config| {
            in_users(config);
            add(config, bind(&source, &["rbind", option], None));
        });
        let ended = rig.script("stat -c %u:%g /d/root /d/below").run();
        nix::mount::umount(&below_it).unwrap();
        assert_eq!(ended.ok(), format!("0:0\n{below}"), "{option}");
    }
}

#[test]
fn a_user_namespace_gets_what_only_the_hosts_root_can_reach() {
    let (rig, source) = rig();
    std::fs::set_permissions(rig.bundle(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = rig.bundle().join("file");
    std::fs::write(&file, "text").unwrap();
    std::fs::write(rig.rootfs().join("etc/x"), "").unwrap();
    rig.config(|config| {
        in_users(config);
        add(config, bind(&source, &["bind", "ro"], None));
        let file = json!({"destination": "/etc/x", "source": file, "options": ["bind"]});
        add(config, file);
    });
    rig.script("cat /d/other /etc/x; touch /d/x || id -u");
    let ended = rig.run();
    assert_eq!(ended.out, "othertext0", "{}", ended.err);
    rig.assert_clean();
}

#[test]
fn a_source_may_be_what_another_mount_brings() {
    let (rig, source) = rig();
    let inside = rig.rootfs().join("e");
    std::fs::create_dir(&inside).unwrap();
    rig.config(|config| {
        in_users(config);
        add(config, json!({"destination": "/d", "source": source, "options": ["bind"]}));
        add(config, json!({"destination": "/e", "source": rig.rootfs().join("d"), "options": ["bind", "idmap"]}));
    });
    assert_eq!(
        rig.script("stat -c %u:%g /d/other /e/other").run().ok(),
        "65534:65534\n7:8"
    );
}

#[test]
fn what_cannot_be_mapped_is_refused() {
    let maps = Some((ids(0, 0, 10), ids(0, 0, 10)));
    type Mount = fn(&PathBuf) -> Value;
    let table: &[(Mount, &str)] = &[
        (
            |source| bind(source, &["bind", "idmap"], None),
            "needs uidMappings and gidMappings",
        ),
        (
            |source| {
                let mut mount = bind(source, &["bind"], None);
                mount["uidMappings"] = ids(0, 0, 1);
                mount
            },
            "both uidMappings and gidMappings",
        ),
        (
            |source| {
                let mut mount = bind(source, &["idmap"], Some((ids(0, 0, 1), ids(0, 0, 1))));
                mount["type"] = "tmpfs".into();
                mount
            },
            "only bind mounts",
        ),
    ];
    for (mount, words) in table {
        let (rig, source) = rig();
        let err = rig
            .config(|config| add(config, mount(&source)))
            .run()
            .refused();
        assert!(
            err.contains("mounts[7] ('/d')") && err.contains(words),
            "{err}"
        );
    }
    // A file system of the kernel's has no owners to show.
    let (rig, _) = rig();
    let err =
        rig.config(|config| add(config, bind(&"/proc/self".into(), &["bind", "idmap"], maps)));
    let err = err.run().refused();
    assert!(
        err.contains("show the files of '/proc/self' as others'"),
        "{err}"
    );
    rig.assert_clean();
}
