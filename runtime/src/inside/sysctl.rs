//! Kernel parameters of the container's namespaces.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::CloneFlags;

use super::proc::Proc;
use super::{Error, failed};
use crate::plan::{Plan, Sysctl};

/// A network that is joined may be the one that we are in, whose parameters are not the container's.
/// Looked at before any is joined.
pub fn check_network(plan: &Plan) -> Result<(), Error> {
    let Some(sysctl) = plan.sysctls.iter().find(|sysctl| sysctl.is_of_network()) else {
        return Ok(());
    };
    let mut joined = plan.namespaces.join.iter();
    let Some(network) = joined.find(|join| join.kind == CloneFlags::CLONE_NEWNET) else {
        return Ok(());
    };
    let what = || format!("set sysctl '{}'", sysctl.name);
    let identity = |path: &Path| metadata(path).map(|found| (found.dev(), found.ino()));
    let theirs = identity(&network.path).map_err(|error| failed(what(), error))?;
    let ours = identity(Path::new("/proc/self/ns/net")).map_err(|error| failed(what(), error))?;
    match theirs == ours {
        true => Err(failed(
            what(),
            "it is not allowed in the host's network namespace",
        )),
        false => Ok(()),
    }
}

/// Writes all of them.
pub fn write_all(sysctls: &[Sysctl]) -> Result<(), Error> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let proc = Proc::open().map_err(|why| failed("set sysctls", why))?;
    sysctls.iter().try_for_each(|sysctl| {
        let path = Path::new("sys").join(&sysctl.path);
        proc.write(&path, &sysctl.value).map_err(|why| {
            let what = format!("set sysctl '{}' to '{}'", sysctl.name, sysctl.value);
            failed(what, why)
        })
    })
}
