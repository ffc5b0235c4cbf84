//! Mounts, each attached by descriptor to a place that was looked up beneath the new root.
//!
//! Replaces libcontainer's `rootfs::Mount`, which ignores propagation options (`rslave` volumes),
//! leaves version 1 cgroups writable, knows no `tmpcopyup`, and follows the image's links when it
//! fills /dev. Its system call wrappers are used.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::{self as flags, LinuxSyscall, MountAttr};
use nix::errno::Errno;
use nix::sys::stat::lstat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs, statfs};

use super::beneath::Links;
use super::root::NewRoot;
use super::{Error, cgroups, failed};
use crate::plan::{Attributes, MountStep, What};

/// What may be covered below a container's /proc: files that show a container its own share of the
/// host, and nothing that the runtime itself relies on.
const COVERABLE: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "uptime",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// Makes all mounts, in order.
pub fn make_all(root: &NewRoot, steps: &[MountStep]) -> Result<(), Error> {
    for step in steps {
        make(root, step).map_err(|why| {
            let what = match &step.what {
                What::Bind { source, .. } => format!("'{}'", source.display()),
                What::New { kind, .. } => kind.clone(),
                What::Cgroup => "cgroup".to_owned(),
            };
            failed(format!("mount {what} on '{}'", step.target.display()), why)
        })?;
    }
    Ok(())
}

fn make(root: &NewRoot, step: &MountStep) -> Result<(), String> {
    match &step.what {
        What::Bind { source, recursive } => {
            let is_dir = source
                .metadata()
                .map_err(|error| error.to_string())?
                .is_dir();
            let target = if is_dir {
                directory(root, step)?
            } else {
                file(root, &step.target)?
            };
            guard_proc(root, step, &target)?;
            let tree = clone_tree(source, *recursive)?;
            place(&tree, step, &target)
        }
        What::New {
            kind,
            source,
            data,
            copy_up,
        } => {
            let target = directory(root, step)?;
            guard_proc(root, step, &target)?;
            let tree =
                new_tree(kind, source, data).or_else(|why| unmapped(kind, source, data, why))?;
            if *copy_up {
                super::copy_up::copy(&target, &tree)?;
            }
            place(&tree, step, &target)
        }
        What::Cgroup => cgroups::make(root, step),
    }
}

/// What was mounted as proc or sysfs must still be found there, or what is hidden and protected
/// below it was hidden and protected elsewhere: a root file system that others can write may have
/// had the directory exchanged since (CVE-2019-19921).
pub fn verify(steps: &[MountStep]) -> Result<(), Error> {
    for path in [Path::new("/proc"), Path::new("/sys")] {
        let last = steps.iter().rfind(|step| step.target == path);
        let relied_on = last.is_some_and(MountStep::is_kernels);
        if relied_on && !is_kernels_root(path).unwrap_or(false) {
            let what = format!("find what was mounted on '{}'", path.display());
            return Err(failed(
                what,
                "the root file system has been changed meanwhile",
            ));
        }
    }
    Ok(())
}

fn is_kernels_root(path: &Path) -> nix::Result<bool> {
    /// The root's number in either file system.
    const ROOT: libc::ino_t = 1;
    let found = lstat(path)?;
    let magic = statfs(path)?.filesystem_type();
    Ok(found.st_ino == ROOT && (magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC))
}

/// Sets the step's properties on a detached tree and attaches it.
pub(super) fn place(tree: &OwnedFd, step: &MountStep, target: &OwnedFd) -> Result<(), String> {
    let Attributes {
        set,
        clear,
        set_all,
        clear_all,
    } = step.attributes;
    change(tree.as_fd(), set, clear, false)?;
    change(tree.as_fd(), set_all, clear_all, true)?;
    attach(tree, target)?;
    // After attaching, for a detached tree takes no propagation from its new parent.
    for flag in &step.propagation {
        propagate(tree.as_fd(), *flag)?;
    }
    Ok(())
}

/// Attaches a detached tree over `target`.
pub(super) fn attach(tree: impl AsFd, target: impl AsFd) -> Result<(), String> {
    let how = flags::MOVE_MOUNT_F_EMPTY_PATH | flags::MOVE_MOUNT_T_EMPTY_PATH;
    LinuxSyscall
        .move_mount(tree.as_fd(), None, target.as_fd(), None, how)
        .map_err(|error| error.to_string())
}

/// Sets and clears properties of a mount, or of it and all below it.
pub(super) fn change(mount: BorrowedFd, set: u64, clear: u64, all: bool) -> Result<(), String> {
    if set == 0 && clear == 0 {
        return Ok(());
    }
    attributes(
        mount,
        MountAttr {
            attr_set: set,
            attr_clr: clear,
            propagation: 0,
            userns_fd: 0,
        },
        all,
    )
}

fn propagate(mount: BorrowedFd, flag: u64) -> Result<(), String> {
    let all = flag & libc::MS_REC != 0;
    let propagation = flag & !libc::MS_REC;
    attributes(
        mount,
        MountAttr {
            attr_set: 0,
            attr_clr: 0,
            propagation,
            userns_fd: 0,
        },
        all,
    )
}

fn attributes(mount: BorrowedFd, attributes: MountAttr, all: bool) -> Result<(), String> {
    let how = flags::AT_EMPTY_PATH | if all { flags::AT_RECURSIVE } else { 0 };
    let size = std::mem::size_of::<MountAttr>();
    LinuxSyscall
        .mount_setattr(mount, Path::new(""), how, &attributes, size)
        .map_err(|error| error.to_string())
}

/// A detached copy of what is mounted at `source` on the host.
pub(super) fn clone_tree(source: &Path, recursive: bool) -> Result<OwnedFd, String> {
    let how = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | if recursive {
            libc::AT_RECURSIVE as u32
        } else {
            0
        };
    let source = source.to_str().ok_or("the path is not UTF-8")?;
    LinuxSyscall
        .open_tree(libc::AT_FDCWD, Some(source), how)
        .map_err(|error| error.to_string())
}

/// A detached copy of the mount, or the part of it, that a descriptor is on.
pub(super) fn copy_of(mount: impl AsFd) -> Result<OwnedFd, String> {
    let how = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
    LinuxSyscall
        .open_tree(mount.as_fd().as_raw_fd(), Some(""), how)
        .map_err(|error| error.to_string())
}

/// A new file system, detached.
pub(super) fn new_tree(kind: &str, source: &str, data: &[String]) -> Result<OwnedFd, String> {
    let text = |error: libcontainer::syscall::SyscallError| error.to_string();
    let context = LinuxSyscall
        .fsopen(Some(kind), libc::FSOPEN_CLOEXEC)
        .map_err(|error| format!("file system type '{kind}': {error}"))?;
    let set = |key: &str, value: Option<&str>| {
        let command = if value.is_some() {
            flags::FSCONFIG_SET_STRING
        } else {
            flags::FSCONFIG_SET_FLAG
        };
        LinuxSyscall
            .fsconfig(context.as_fd(), command as u32, Some(key), value, 0)
            .map_err(|error| format!("option '{key}': {error}"))
    };
    set("source", Some(source))?;
    for option in data {
        match option.split_once('=') {
            Some((key, value)) => set(key, Some(value))?,
            None => set(option, None)?,
        }
    }
    LinuxSyscall
        .fsconfig(
            context.as_fd(),
            flags::FSCONFIG_CMD_CREATE as u32,
            None,
            None,
            0,
        )
        .map_err(text)?;
    LinuxSyscall
        .fsmount(context.as_fd(), libc::FSMOUNT_CLOEXEC, None)
        .map_err(text)
}

/// In a user namespace that has no group 5, terminals belong to its root's group instead.
fn unmapped(kind: &str, source: &str, data: &[String], why: String) -> Result<OwnedFd, String> {
    let others: Vec<String> = data
        .iter()
        .filter(|option| !option.starts_with("gid="))
        .cloned()
        .collect();
    match kind == "devpts" && others.len() < data.len() {
        true => new_tree(kind, source, &others),
        false => Err(why),
    }
}

/// The directory to mount on, made when it is missing. proc and sysfs are written to by the
/// runtime, so they must be where they seem to be: no link may lead there.
fn directory(root: &NewRoot, step: &MountStep) -> Result<OwnedFd, String> {
    let strict = step.is_kernels();
    let links = if strict { Links::Refuse } else { Links::Follow };
    root.beneath
        .make_dirs(&step.target, links)
        .map_err(|errno| match strict {
            true => format!("it is not an ordinary directory of the root file system ({errno})"),
            false => errno.to_string(),
        })
}

/// Links that lead from one missing file to the next, at most.
const MAX_LINKS: usize = 10;

/// The file to mount on, made when it is missing. Where the image has a link whose target is not
/// there (`/etc/resolv.conf` into a `/run` that is fresh), the target is what is made.
fn file(root: &NewRoot, target: &Path) -> Result<OwnedFd, String> {
    let mut place = target.to_owned();
    for _ in 0..MAX_LINKS {
        if let Ok(found) = root.beneath.resolve(&place) {
            return Ok(found);
        }
        match root.beneath.readlink(&place) {
            Ok(link) => place = place.parent().unwrap_or(Path::new("/")).join(link),
            Err(_) => {
                return root
                    .beneath
                    .create_file(&place)
                    .map_err(|errno| errno.to_string());
            }
        }
    }
    Err(Errno::ELOOP.desc().to_owned())
}

/// Nothing may cover /proc but a proc file system, and nothing below it but some harmless files,
/// whatever links led to the place.
fn guard_proc(root: &NewRoot, step: &MountStep, target: &OwnedFd) -> Result<(), String> {
    let refused = || Err("it would cover a part of '/proc'".to_owned());
    let place = place_of(target).map_err(|errno| errno.to_string())?;
    let Ok(below) = place.strip_prefix(root.path.join("proc")) else {
        let magic = fstatfs(target)
            .map_err(|errno| errno.to_string())?
            .filesystem_type();
        // A proc file system elsewhere in the container is nobody's business but its own.
        return if magic == PROC_SUPER_MAGIC && step.target.starts_with("/proc") {
            refused()
        } else {
            Ok(())
        };
    };
    if !below.as_os_str().is_empty() {
        let known = COVERABLE.iter().any(|name| below == Path::new(name));
        return if known { Ok(()) } else { refused() };
    }
    match &step.what {
        What::New { kind, .. } if kind == "proc" => Ok(()),
        What::Bind { source, .. } => match statfs(source) {
            Ok(found) if found.filesystem_type() == PROC_SUPER_MAGIC => Ok(()),
            _ => refused(),
        },
        _ => refused(),
    }
}

fn place_of(target: &OwnedFd) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", target.as_raw_fd());
    nix::fcntl::readlink(link.as_str()).map(PathBuf::from)
}
