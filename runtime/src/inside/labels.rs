//! Labels of SELinux and profiles of AppArmor: the program's, its keys' and the mounts'.

use std::io::{Error as IoError, ErrorKind};
use std::os::fd::AsRawFd;

use pathrs::procfs::ProcfsBase;

use super::root::NewRoot;
use super::{Error, failed, procfs};
use crate::plan::{Payload, Plan, What};
use crate::sys;

/// What the exec changes to.
pub fn wear(payload: &Payload) -> Result<(), Error> {
    if let Some(label) = &payload.label {
        procfs::write(ProcfsBase::ProcThreadSelf, "attr/exec", label)
            .map_err(|error| failed(format!("set process.selinuxLabel '{label}'"), error))?;
    }
    if let Some(profile) = &payload.apparmor {
        apply_profile(profile)
            .map_err(|error| failed(format!("apply AppArmor profile '{profile}'"), error))?;
    }
    Ok(())
}

/// AppArmor has a directory of its own since Linux 5.8; before, it shares one.
fn apply_profile(profile: &str) -> Result<(), IoError> {
    let text = format!("exec {profile}");
    let base = ProcfsBase::ProcThreadSelf;
    match procfs::write(base, "attr/apparmor/exec", &text) {
        Err(error) if error.kind() == ErrorKind::NotFound && !has_own_directory() => {
            procfs::write(base, "attr/exec", &text)
        }
        other => other,
    }
}

/// A profile that is not loaded is not found either.
fn has_own_directory() -> bool {
    std::path::Path::new("/proc/thread-self/attr/apparmor").exists()
}

/// Makes a session keyring that the program can use under its label.
pub fn new_session_keyring(payload: &Payload) -> Result<(), Error> {
    label_keys(payload.label.as_deref())?;
    sys::process::new_session_keyring().map_err(|errno| failed("make a session keyring", errno))?;
    match payload.label {
        Some(_) => label_keys(Some("")),
        None => Ok(()),
    }
}

fn label_keys(label: Option<&str>) -> Result<(), Error> {
    let Some(label) = label else {
        return Ok(());
    };
    match procfs::write(ProcfsBase::ProcSelf, "attr/keycreate", label) {
        // A kernel that labels no keys.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| failed(format!("label keys '{label}'"), error)),
    }
}

/// Message queues are labelled as files are: their file system takes no label when it is mounted.
pub fn label_queues(root: &NewRoot, plan: &Plan) -> Result<(), Error> {
    let Some(label) = &plan.mount_label else {
        return Ok(());
    };
    for step in &plan.mounts {
        if matches!(&step.what, What::New { kind, .. } if kind == "mqueue") {
            let what = || format!("label '{}' as linux.mountLabel says", step.target.display());
            let found = root.beneath.resolve(&step.target);
            let found = found.map_err(|errno| failed(what(), errno))?;
            let path = format!("/proc/self/fd/{}", found.as_raw_fd());
            sys::files::set_attribute(&path, c"security.selinux", label)
                .map_err(|errno| failed(what(), errno))?;
        }
    }
    Ok(())
}
