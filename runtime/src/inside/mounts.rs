//! Mounts, each attached by descriptor to a place that was looked up beneath the new root.
//!
//! Replaces libcontainer's `rootfs::Mount`, which ignores propagation options (`rslave` volumes),
//! leaves version 1 cgroups writable, knows no `tmpcopyup`, and follows the image's links when it
//! fills /dev. Its system call wrappers are used.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use libcontainer::syscall::linux::MOUNT_ATTR_NOSYMFOLLOW;
use nix::sys::stat::{SFlag, fstat, lstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};

use super::places::{Coverer, directory, file, guard_proc, is_proc, plain_directory};
use super::root::NewRoot;
use super::sources::Sources;
use super::trees::{
    attach, change, clone_tree, mount_over, needs_old_call, new_tree, propagate, tune_again,
};
use super::{Error, cgroups, copy_up, failed};
use crate::plan::{Attributes, Bind, MountStep, Tuning, What};

/// Makes all mounts, in order.
pub fn make_all(root: &NewRoot, steps: &[MountStep], sources: &Sources) -> Result<(), Error> {
    for step in steps {
        make(root, step, sources).map_err(|why| {
            let what = match &step.what {
                What::Bind(bind) => format!("'{}'", bind.source.display()),
                What::New { kind, .. } => kind.clone(),
                What::Cgroup => "cgroup".to_owned(),
                What::Again { .. } => "again".to_owned(),
            };
            failed(format!("mount {what} on '{}'", step.target.display()), why)
        })?;
    }
    Ok(())
}

fn make(root: &NewRoot, step: &MountStep, sources: &Sources) -> Result<(), String> {
    match &step.what {
        What::Bind(bind) => bind_over(root, step, bind, sources),
        What::New {
            kind,
            source,
            tuning,
            copy_up,
        } => new_over(root, step, (kind, source), tuning, *copy_up),
        What::Cgroup => cgroups::make(root, step),
        What::Again { tuning } => again(root, step, tuning.as_ref()),
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

fn bind_over(
    root: &NewRoot,
    step: &MountStep,
    bind: &Bind,
    sources: &Sources,
) -> Result<(), String> {
    let tree = match bind.from_host {
        true => sources.next()?,
        false => clone_tree(&bind.source, bind.recursive)?,
    };
    let target = match is_directory(&tree)? {
        true => directory(root, &step.target)?,
        false => file(root, &step.target)?,
    };
    let by = match is_proc(&tree)? {
        true => Coverer::Proc,
        false => Coverer::Other,
    };
    guard_proc(root, &step.target, &target, by)?;
    place(&tree, step, &target)
}

fn new_over(
    root: &NewRoot,
    step: &MountStep,
    (kind, source): (&str, &str),
    tuning: &Tuning,
    copy_up: bool,
) -> Result<(), String> {
    let covers = root.beneath.resolve(&step.target).is_ok();
    let target = match kind {
        "proc" | "sysfs" => plain_directory(root, &step.target)?,
        _ => directory(root, &step.target)?,
    };
    let by = match kind {
        "proc" => Coverer::Proc,
        _ => Coverer::Other,
    };
    guard_proc(root, &step.target, &target, by)?;
    let tuning = &match covers && kind == "tmpfs" {
        true => with_mode_of(&target, tuning)?,
        false => tuning.clone(),
    };
    if needs_old_call(tuning) {
        mount_over(&target, kind, source, tuning)?;
        let mounted = directory(root, &step.target)?;
        if copy_up {
            copy_up::copy(&target, &mounted)?;
        }
        dress(&mounted, &step.attributes)?;
        return travel(&mounted, step);
    }
    let tree =
        new_tree(kind, source, tuning).or_else(|why| without_group(kind, source, tuning, why))?;
    if copy_up {
        copy_up::copy(&target, &tree)?;
    }
    place(&tree, step, &target)
}

/// Changes what is there already. Only a mount's own directory or file has a mount to change.
fn again(root: &NewRoot, step: &MountStep, tuning: Option<&Tuning>) -> Result<(), String> {
    let found = root.beneath.resolve(&step.target);
    let mounted = found.map_err(|errno| errno.to_string())?;
    if let Some(tuning) = tuning {
        tune_again(&mounted, tuning)?;
    }
    dress(&mounted, &step.attributes)?;
    travel(&mounted, step)
}

/// Attaches a detached tree to `target` with the step's properties.
pub(super) fn place(tree: &OwnedFd, step: &MountStep, target: &OwnedFd) -> Result<(), String> {
    dress(tree, &step.attributes)?;
    attach(tree, target)?;
    // After attaching, for a detached tree takes no propagation from its new parent.
    travel(tree, step)
}

/// What a user namespace may not clear is refused by the kernel, if it was asked for; else it stays.
fn dress(tree: &OwnedFd, attributes: &Attributes) -> Result<(), String> {
    let Attributes {
        set,
        clear,
        clear_rest,
        ..
    } = *attributes;
    let top = |clear| change(tree.as_fd(), set, clear, false);
    match clear_rest {
        0 => top(clear)?,
        // The last one is never locked.
        rest => top(clear | rest).or_else(|_| top(clear | rest & MOUNT_ATTR_NOSYMFOLLOW))?,
    }
    change(tree.as_fd(), attributes.set_all, attributes.clear_all, true)
}

fn travel(tree: &OwnedFd, step: &MountStep) -> Result<(), String> {
    let mut flags = step.propagation.iter();
    flags.try_for_each(|flag| propagate(tree.as_fd(), *flag))
}

/// A tmpfs is as open as the directory that it covers, unless it is told otherwise.
fn with_mode_of(target: &OwnedFd, tuning: &Tuning) -> Result<Tuning, String> {
    let mut tuning = tuning.clone();
    if !tuning.data.iter().any(|option| option.starts_with("mode=")) {
        let found = fstat(target.as_raw_fd()).map_err(|errno| errno.to_string())?;
        tuning
            .data
            .push(format!("mode={:o}", found.st_mode & 0o7777));
    }
    Ok(tuning)
}

/// In a user namespace that has no group 5, terminals belong to its root's group instead.
fn without_group(
    kind: &str,
    source: &str,
    tuning: &Tuning,
    why: String,
) -> Result<OwnedFd, String> {
    let mut others = tuning.clone();
    others.data.retain(|option| !option.starts_with("gid="));
    match kind == "devpts" && others != *tuning {
        true => new_tree(kind, source, &others),
        false => Err(why),
    }
}

fn is_directory(tree: &OwnedFd) -> Result<bool, String> {
    let found = fstat(tree.as_raw_fd()).map_err(|errno| errno.to_string())?;
    Ok(SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}
