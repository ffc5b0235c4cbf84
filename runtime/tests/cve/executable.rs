//! The runtime's own file and process, as somebody in the container finds them.
//!
//! The rule: while any of our processes can be seen in a container, and after it, nobody in there
//! comes by a descriptor that writes to the file that the host starts us from; not by opening what
//! /proc shows, not by changing the flags of its mount, not through a copy of that mount, and not
//! from a mount namespace of their own. It holds for CAP_SYS_ADMIN.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::{AT_EMPTY_PATH, LinuxSyscall, MOUNT_ATTR_RDONLY, MountAttr};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::mkfifo;
use serde_json::json;

use crate::rig::{Rig, attacker, eventually};

/// Where it is said, in the container, which way is open.
const WRITABLE: &str = "/tmp/writable";

/// Whether a byte can be added to a file, now or once nobody executes it any more: that is what the
/// kernel looks at before the mount. A sealed one may be opened and still not be written.
fn can_write(path: &Path) -> bool {
    match OpenOptions::new().append(true).open(path) {
        Ok(mut file) => file.write_all(b"x").is_ok(),
        Err(error) if error.raw_os_error() != Some(libc::ETXTBSY) => false,
        Err(_) => !is_sealed(path) && !is_read_only(path),
    }
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY))
}

fn is_sealed(path: &Path) -> bool {
    let seals = File::open(path).ok().and_then(|file| {
        let seals = fcntl(file.as_raw_fd(), FcntlArg::F_GET_SEALS).ok()?;
        Some(SealFlag::from_bits_truncate(seals))
    });
    seals.is_some_and(|seals| seals.contains(SealFlag::F_SEAL_WRITE))
}

fn by_number(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// All ways to write to what a descriptor stands for; the first that is open is returned.
fn attack(held: &OwnedFd) -> Option<&'static str> {
    if can_write(&by_number(held)) {
        return Some("as it is");
    }
    clear_read_only(held);
    if can_write(&by_number(held)) {
        return Some("after a change of its mount");
    }
    let nothing: Option<&str> = None;
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    let _ = mount(nothing, &by_number(held), nothing, remount, nothing);
    if can_write(&by_number(held)) {
        return Some("after a remount");
    }
    let place = Path::new("/tmp/place");
    std::fs::write(place, "").unwrap();
    let bind = MsFlags::MS_BIND;
    if mount(Some(&by_number(held)), place, nothing, bind, nothing).is_ok() {
        let _ = mount(nothing, place, nothing, remount, nothing);
        let writable = can_write(place);
        umount2(place, MntFlags::MNT_DETACH).unwrap();
        if writable {
            return Some("through a bind");
        }
    }
    let how = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
    let copy = LinuxSyscall
        .open_tree(held.as_raw_fd(), Some(""), how)
        .ok()?;
    clear_read_only(&copy);
    can_write(&by_number(&copy)).then_some("through a copy of its mount")
}

fn clear_read_only(mount: &OwnedFd) {
    let change = MountAttr {
        attr_set: 0,
        attr_clr: MOUNT_ATTR_RDONLY,
        propagation: 0,
        userns_fd: 0,
    };
    let size = std::mem::size_of::<MountAttr>();
    let _ = LinuxSyscall.mount_setattr(mount.as_fd(), Path::new(""), AT_EMPTY_PATH, &change, size);
}

/// Attacks whatever is neither busybox nor this program, again and again until it is told to stop,
/// and what was seen before too: later, nobody may be executing it any more.
fn attack_all_in_sight() {
    let mut held: HashMap<i32, Vec<OwnedFd>> = HashMap::new();
    std::fs::write("/tmp/ready", "").unwrap();
    for round in 1.. {
        let last = Path::new("/tmp/stop").exists();
        // From a mount namespace of its own as well: what is foreign there may be changed.
        if round == 2 {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
        }
        for (pid, exe) in strangers() {
            std::fs::write("/tmp/seen", "").unwrap();
            let of_one = held.entry(pid).or_default();
            of_one.push(exe);
            // Enough to be sure of, and few enough to hold.
            of_one.truncate(4);
        }
        if let Some(how) = held.values().flatten().find_map(attack) {
            return std::fs::write(WRITABLE, how).unwrap();
        }
        if last {
            return;
        }
    }
}

/// What processes execute that is neither busybox nor this program. Judged by the descriptor: the
/// process may execute something else by now.
fn strangers() -> Vec<(i32, OwnedFd)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let stranger = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_PATH);
        let exe = OwnedFd::from(options.open(entry.path().join("exe")).ok()?);
        let name = std::fs::read_link(by_number(&exe)).ok()?;
        let known = ["/attacker", "/bin/busybox"].map(Path::new);
        (!known.contains(&name.as_path())).then_some((pid, exe))
    };
    entries.filter_map(stranger).collect()
}

/// A rig with a runtime of its own to lose, and a container `c` in which an attacker can be.
fn rig() -> Rig {
    let rig = Rig::new().with_own_program();
    rig.admit_attacker();
    rig.args(&["sleep", "1000"]);
    rig
}

/// Runs `meanwhile` while the attack goes on in the container; nothing may have come of it.
fn nobody_writes(rig: &Rig, test: &str, meanwhile: impl FnOnce()) {
    let before = std::fs::read(rig.program()).unwrap();
    let child = rig.attack(test);
    let inside = |name: &str| rig.rootfs().join("tmp").join(name);
    eventually(|| inside("ready").exists());
    meanwhile();
    eventually(|| inside("seen").exists());
    std::fs::write(inside("stop"), "").unwrap();
    attacker::assert_done(child);
    let way = std::fs::read_to_string(inside("writable"));
    assert!(way.is_err(), "it can be written to {way:?}");
    assert!(
        std::fs::read(rig.program()).unwrap() == before,
        "the host's file has changed"
    );
}

/// Files in the image that lead whoever executes them to the program that executes them.
fn lay_traps(rig: &Rig) {
    let bin = rig.rootfs().join("bin");
    symlink("/proc/self/exe", bin.join("linked")).unwrap();
    std::fs::write(bin.join("scripted"), "#!/proc/self/exe --log=/tmp/pipe\n").unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("scripted"), mode).unwrap();
    // Whoever reads this configuration stays for as long as nobody writes it.
    std::fs::create_dir(rig.rootfs().join("held")).unwrap();
    mkfifo(&rig.rootfs().join("held/config.json"), Mode::S_IRWXU).unwrap();
}

#[test]
fn cve_2019_5736_a_payload_that_is_the_runtime_itself() {
    if attacker::is_inside() {
        return attack_all_in_sight();
    }
    for program in ["/proc/self/exe", "/bin/linked"] {
        let rig = rig();
        lay_traps(&rig);
        rig.args(&[
            program,
            "--root",
            "/tmp/state",
            "run",
            "-b",
            "/held",
            "inner",
        ]);
        // In the foreground: the runtime outside stays, with whatever it holds.
        let mut outside = rig.spawn(&["run", "c"]);
        rig.until("c", "running");
        nobody_writes(
            &rig,
            "cve::executable::cve_2019_5736_a_payload_that_is_the_runtime_itself",
            || {},
        );
        rig.runtime(&["kill", "c", "KILL"]).ok();
        outside.wait().unwrap();
    }
}

#[test]
fn cve_2019_5736_a_container_that_waits_for_its_start() {
    if attacker::is_inside() {
        return attack_all_in_sight();
    }
    let rig = rig();
    rig.runtime(&["create", "c"]).ok();
    nobody_writes(
        &rig,
        "cve::executable::cve_2019_5736_a_container_that_waits_for_its_start",
        || {
            eventually(|| rig.rootfs().join("tmp/seen").exists());
            // Now what was held can be written by anybody for whom it is a file of the host.
            rig.runtime(&["start", "c"]).ok();
        },
    );
}

#[test]
fn cve_2019_5736_programs_that_are_executed_beside() {
    if attacker::is_inside() {
        return attack_all_in_sight();
    }
    let rig = rig();
    lay_traps(&rig);
    rig.runtime(&["run", "-d", "c"]).ok();
    nobody_writes(
        &rig,
        "cve::executable::cve_2019_5736_programs_that_are_executed_beside",
        || {
            for program in ["true", "linked", "scripted", "/proc/self/exe"] {
                for _ in 0..10 {
                    rig.runtime(&["exec", "c", program]);
                }
            }
            let words = [
                "exec", "-d", "c", "linked", "--root", "/tmp/s", "run", "-b", "/held", "i",
            ];
            rig.runtime(&words).ok();
        },
    );
}

/// Whoever may not trace looks into what is dumpable all the same, unless it may do more than he.
const LOOK: &str = "setpriv --bounding-set=-sys_ptrace readlink";

#[test]
fn cve_2016_9962_the_held_child_cannot_be_looked_into() {
    let rig = Rig::new();
    rig.args(&["sleep", "100"]).runtime(&["create", "c"]).ok();
    let pid = rig.pid("c");
    let looks_into = || rig.shell(&format!("{LOOK} /proc/{pid}/exe")).code == Some(0);
    assert!(!looks_into());
    // A proc file system of its own for lookups is all that it may hold.
    let is_hosts = |path: &Path| {
        let found = nix::sys::statfs::statfs(path).unwrap().filesystem_type();
        path.is_dir() && found != nix::sys::statfs::PROC_SUPER_MAGIC
    };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten();
    let directories = open.filter(|entry| is_hosts(&entry.path())).count();
    assert_eq!(directories, 0, "a directory is held open");
    rig.runtime(&["start", "c"]).ok();
    assert!(looks_into(), "the payload is an ordinary process");
}

#[test]
fn cve_2016_9962_another_user_changes_nothing_about_it() {
    let rig = Rig::new();
    rig.config(|config| config["process"]["user"] = json!({"uid": 33, "gid": 33}));
    rig.args(&["sleep", "100"]).runtime(&["create", "c"]).ok();
    let line = format!(
        "setpriv --reuid=33 --regid=33 --clear-groups readlink /proc/{}/exe",
        rig.pid("c")
    );
    assert_ne!(rig.shell(&line).code, Some(0));
    // It is there to be looked at.
    File::open(format!("/proc/{}/exe", rig.pid("c"))).unwrap();
}
