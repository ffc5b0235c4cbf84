//! Another view of the cgroups for one test: its thread gets a mount namespace of its own, which what
//! it starts inherits.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

const MOUNTS: &str = "/sys/fs/cgroup";

/// Version 2 alone, as far as this kernel's controllers are free for it.
pub fn only_unified() {
    if Path::new(MOUNTS).join("cgroup.controllers").exists() {
        return;
    }
    apart();
    umount2(MOUNTS, MntFlags::MNT_DETACH).unwrap();
    let none: Option<&str> = None;
    mount(
        Some("none"),
        MOUNTS,
        Some("cgroup2"),
        MsFlags::empty(),
        none,
    )
    .unwrap();
}

/// Version 1 alone. `false` where the host has none.
pub fn only_legacy() -> bool {
    if !Path::new(MOUNTS).join("memory").is_dir() {
        return false;
    }
    apart();
    let beside = Path::new(MOUNTS).join("unified");
    if beside.join("cgroup.procs").exists() {
        umount2(&beside, MntFlags::MNT_DETACH).unwrap();
    }
    true
}

fn apart() {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).unwrap();
}

/// Whether there is a controller of this name.
pub fn has(controller: &str) -> bool {
    let names = std::fs::read_to_string(Path::new(MOUNTS).join("cgroup.controllers"));
    match names {
        Ok(names) => names.split_whitespace().any(|name| name == controller),
        Err(_) => Path::new(MOUNTS).join(controller).is_dir(),
    }
}

/// The directory of a cgroup, or the one of a version 1 controller.
pub fn directory(controller: &str, path: &str) -> PathBuf {
    let mounts = Path::new(MOUNTS);
    let base = match mounts.join("cgroup.controllers").exists() {
        true => mounts.to_owned(),
        false => mounts.join(controller),
    };
    base.join(path.trim_start_matches('/'))
}

/// What a file of a cgroup holds; `None` where it is not there.
pub fn held(controller: &str, path: &str, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(directory(controller, path).join(file)).ok()?;
    Some(text.trim().to_owned())
}

/// Where a rig starts the runtime, so that what is made beside or below it is the rig's own.
#[derive(Debug)]
pub struct Home {
    top: String,
    below: &'static str,
}

impl Home {
    /// One like a shell's.
    pub fn new(name: &str, below: &'static str) -> Home {
        let top = format!("sysc-rig-{name}");
        Home { top, below }
    }

    /// What a shell does to get there.
    pub fn enter(&self) -> String {
        let directory = directory("systemd", &self.top).join(self.below);
        let shown = directory.display();
        format!("mkdir -p {shown}; echo $$ >{shown}/cgroup.procs; exec \"$@\"")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mounts = std::fs::read_dir(MOUNTS).unwrap().flatten();
        let all = mounts.map(|entry| entry.path()).chain([MOUNTS.into()]);
        for top in all.map(|mount| mount.join(&self.top)) {
            remove(&top);
        }
    }
}

fn remove(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    // What is not empty yet is told by nobody; a few left behind do no harm.
    let _ = std::fs::remove_dir(directory);
}
