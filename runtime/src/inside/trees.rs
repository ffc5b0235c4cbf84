//! Detached mounts: made, changed, attached. Everything is named by descriptors.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::{self as flags, LinuxSyscall, MountAttr};
use nix::mount::{MsFlags, mount};

use crate::plan::Tuning;
use crate::sys;

/// The longest value of an option that `fsconfig` takes; layers of an overlay can be longer.
const LONGEST_VALUE: usize = 255;

/// Words by which a file system is told what holds for it as a whole, and their opposites.
const WORDS: [(u64, &str, &str); 5] = [
    (libc::MS_RDONLY, "ro", "rw"),
    (libc::MS_SYNCHRONOUS, "sync", "async"),
    (libc::MS_DIRSYNC, "dirsync", ""),
    (libc::MS_LAZYTIME, "lazytime", "nolazytime"),
    (libc::MS_MANDLOCK, "mand", "nomand"),
];

/// A detached copy of what is mounted at `source` on the host.
pub(crate) fn clone_tree(source: &Path, recursive: bool) -> Result<OwnedFd, String> {
    let source = source.to_str().ok_or("the path is not UTF-8")?;
    open_tree(libc::AT_FDCWD, source, recursive)
}

/// The same for a place that is open already.
pub(super) fn clone_tree_at(place: impl AsFd, recursive: bool) -> Result<OwnedFd, String> {
    open_tree(place.as_fd().as_raw_fd(), "", recursive)
}

fn open_tree(start: i32, path: &str, recursive: bool) -> Result<OwnedFd, String> {
    let mut how = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        how |= libc::AT_RECURSIVE as u32;
    }
    if path.is_empty() {
        how |= libc::AT_EMPTY_PATH as u32;
    }
    LinuxSyscall
        .open_tree(start, Some(path), how)
        .map_err(|error| error.to_string())
}

/// A new file system, detached.
pub(super) fn new_tree(kind: &str, source: &str, tuning: &Tuning) -> Result<OwnedFd, String> {
    let context = LinuxSyscall
        .fsopen(Some(kind), libc::FSOPEN_CLOEXEC)
        .map_err(|error| format!("file system type '{kind}': {error}"))?;
    configure(context.as_fd(), "source", Some(source))?;
    tune(context.as_fd(), tuning)?;
    command(context.as_fd(), flags::FSCONFIG_CMD_CREATE)?;
    LinuxSyscall
        .fsmount(context.as_fd(), libc::FSMOUNT_CLOEXEC, None)
        .map_err(|error| error.to_string())
}

/// Changes the file system that is mounted at `place`.
pub(super) fn tune_again(place: impl AsFd, tuning: &Tuning) -> Result<(), String> {
    let context = sys::mount::fspick(place).map_err(|errno| errno.to_string())?;
    tune(context.as_fd(), tuning)?;
    command(context.as_fd(), flags::FSCONFIG_CMD_RECONFIGURE)
}

fn tune(context: BorrowedFd, tuning: &Tuning) -> Result<(), String> {
    for (flag, set, clear) in WORDS {
        if tuning.set & flag != 0 {
            configure(context, set, None)?;
        } else if tuning.clear & flag != 0 && !clear.is_empty() {
            configure(context, clear, None)?;
        }
    }
    for option in &tuning.data {
        match option.split_once('=') {
            Some((key, value)) => configure(context, key, Some(value))?,
            None => configure(context, option, None)?,
        }
    }
    Ok(())
}

fn configure(context: BorrowedFd, key: &str, value: Option<&str>) -> Result<(), String> {
    let command = match value {
        Some(_) => flags::FSCONFIG_SET_STRING,
        None => flags::FSCONFIG_SET_FLAG,
    };
    LinuxSyscall
        .fsconfig(context, command as u32, Some(key), value, 0)
        .map_err(|error| format!("option '{key}': {error}"))
}

fn command(context: BorrowedFd, command: u64) -> Result<(), String> {
    LinuxSyscall
        .fsconfig(context, command as u32, None, None, 0)
        .map_err(|error| error.to_string())
}

/// Whether only mount(2) can say all this.
pub(super) fn needs_old_call(tuning: &Tuning) -> bool {
    let is_long = |option: &String| {
        let value = option.split_once('=').map(|(_, value)| value);
        value.is_some_and(|value| value.len() > LONGEST_VALUE)
    };
    tuning.set & (libc::MS_I_VERSION | libc::MS_SILENT) != 0 || tuning.data.iter().any(is_long)
}

/// Makes a file system and attaches it over `target`, by mount(2).
pub(super) fn mount_over(
    target: &OwnedFd,
    kind: &str,
    source: &str,
    tuning: &Tuning,
) -> Result<(), String> {
    let place = format!("/proc/self/fd/{}", target.as_raw_fd());
    let (flags, data) = (MsFlags::from_bits_retain(tuning.set), tuning.data.join(","));
    mount(
        Some(source),
        place.as_str(),
        Some(kind),
        flags,
        Some(data.as_str()),
    )
    .map_err(|errno| errno.to_string())
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

/// Decides how a mount travels: `flag` is `MS_SHARED` or its like, with `MS_REC` or without.
pub(super) fn propagate(mount: BorrowedFd, flag: u64) -> Result<(), String> {
    let changed = MountAttr {
        attr_set: 0,
        attr_clr: 0,
        propagation: flag & !libc::MS_REC,
        userns_fd: 0,
    };
    attributes(mount, changed, flag & libc::MS_REC != 0)
}

fn attributes(mount: BorrowedFd, attributes: MountAttr, all: bool) -> Result<(), String> {
    let how = flags::AT_EMPTY_PATH | if all { flags::AT_RECURSIVE } else { 0 };
    let size = std::mem::size_of::<MountAttr>();
    LinuxSyscall
        .mount_setattr(mount, Path::new(""), how, &attributes, size)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_and_old_words_need_the_old_call() {
        let tuning = |set, option: String| Tuning {
            set,
            clear: 0,
            data: vec![option],
        };
        let long = format!("lowerdir={}", "x".repeat(256));
        for (tuning, old) in [
            (tuning(libc::MS_SYNCHRONOUS, "size=1k".to_owned()), false),
            (tuning(libc::MS_SILENT, "size=1k".to_owned()), true),
            (tuning(0, long), true),
        ] {
            assert_eq!(needs_old_call(&tuning), old, "{tuning:?}");
        }
    }
}
