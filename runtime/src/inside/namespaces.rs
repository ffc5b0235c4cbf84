//! Namespaces from within: joined ones, the cgroup's, and what a new one needs first.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setgroups, sethostname, setresgid, setresuid, setsid};

use super::{Error, failed};
use crate::plan::{Join, Plan};
use crate::{advice, sys};

/// Enters or makes all that the clone could not. Returns where each cgroup hierarchy has us, which
/// nobody in a cgroup namespace can tell any more.
pub fn enter(plan: &Plan) -> Result<String, Error> {
    let namespaces = &plan.namespaces;
    // Whoever goes on leads the session; the terminal can be that of one only.
    if namespaces.join_last.is_none() {
        setsid().map_err(|errno| failed("start a session", errno))?;
    }
    if namespaces.has_user() {
        become_root()?;
    }
    // All are opened first: the paths mean the host's files only until a mount namespace is joined.
    let opened: Vec<(File, &Join)> = namespaces.join.iter().map(open).collect::<Result<_, _>>()?;
    for (file, join) in opened {
        if namespaces.join_user.is_some() && is_ours(&file, join) {
            continue;
        }
        setns(file, join.kind)
            .map_err(|errno| failed(format!("join '{}'", join.path.display()), errno))?;
    }
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if namespaces.new_cgroup {
        unshare(CloneFlags::CLONE_NEWCGROUP)
            .map_err(|errno| failed("make a cgroup namespace", errno))?;
    }
    if namespaces.has_new_network() {
        loopback_up()?;
    }
    if let Some(name) = &plan.names.host {
        sethostname(name)
            .map_err(|errno| failed(format!("set hostname '{name}'"), named(errno)))?;
    }
    if let Some(name) = &plan.names.domain {
        sys::process::set_domain_name(name)
            .map_err(|errno| failed(format!("set domainname '{name}'"), named(errno)))?;
    }
    Ok(cgroups)
}

fn named(errno: Errno) -> String {
    format!("{errno}{}", advice::host_names(errno))
}

/// Whether we are in that namespace already: whoever went ahead entered what it could.
fn is_ours(file: &File, join: &Join) -> bool {
    let name = match join.kind {
        CloneFlags::CLONE_NEWNET => "net",
        CloneFlags::CLONE_NEWIPC => "ipc",
        CloneFlags::CLONE_NEWUTS => "uts",
        CloneFlags::CLONE_NEWCGROUP => "cgroup",
        _ => return false,
    };
    let ours = std::fs::metadata(format!("/proc/self/ns/{name}"));
    match (file.metadata(), ours) {
        (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
        _ => false,
    }
}

/// A host that keeps CAP_NET_ADMIN from us (systemd-nspawn does, unless told otherwise) gets its
/// containers with `lo` down, as the kernel makes it: most need no network of their own at all.
fn loopback_up() -> Result<(), Error> {
    match sys::network::loopback_up() {
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(failed("set 'lo' up", errno)),
    }
}

pub(super) fn open(join: &Join) -> Result<(File, &Join), Error> {
    open_one(join).map(|file| (file, join))
}

/// Opens a namespace, while its path means the host's file.
pub fn open_one(join: &Join) -> Result<File, Error> {
    File::open(&join.path)
        .map_err(|error| failed(format!("open namespace '{}'", join.path.display()), error))
}

/// In a user namespace that we have just come to we are nobody until we say that we are its root.
pub(super) fn become_root() -> Result<(), Error> {
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    // Forbidden where the map was written without privileges; then there are no groups to drop.
    let _ = setgroups(&[]);
    setresgid(group, group, group).map_err(|errno| failed("become group 0", errno))?;
    setresuid(user, user, user).map_err(|errno| failed("become user 0", errno))
}
