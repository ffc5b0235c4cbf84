//! Labels of SELinux and profiles of AppArmor: the program's, its keys' and the mounts'.

use std::io::{Error as IoError, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::Path;

use super::proc::Proc;
use super::root::NewRoot;
use super::{Error, failed};
use crate::plan::{Payload, Plan, What};
use crate::sys;

/// What the exec changes to.
pub fn wear(payload: &Payload) -> Result<(), Error> {
    if let Some(label) = &payload.label {
        write("attr/exec", label)
            .map_err(|error| failed(format!("set process.selinuxLabel '{label}'"), error))?;
    }
    if let Some(profile) = &payload.apparmor {
        apply_profile(profile)
            .map_err(|error| failed(format!("apply AppArmor profile '{profile}'"), error))?;
    }
    Ok(())
}

/// Writes to a file about ourselves.
fn write(file: &str, text: &str) -> Result<(), IoError> {
    let path = format!("{}/{file}", std::process::id());
    Proc::open()
        .map_err(IoError::other)?
        .write(Path::new(&path), text)
}

/// AppArmor has a directory of its own since Linux 5.8; before, it shares one.
fn apply_profile(profile: &str) -> Result<(), IoError> {
    let text = format!("exec {profile}");
    match write("attr/apparmor/exec", &text) {
        Err(error) if error.kind() == ErrorKind::NotFound && !has_own_directory() => {
            write("attr/exec", &text)
        }
        other => other,
    }
}

/// A profile that is not loaded is not found either.
fn has_own_directory() -> bool {
    Path::new("/proc/thread-self/attr/apparmor").exists()
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
    match write("attr/keycreate", label) {
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
