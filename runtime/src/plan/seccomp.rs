//! The system call filter, and when it is loaded.

use oci_spec::runtime::{Linux, LinuxSeccomp, Process};

/// A filter and the moment for it.
#[derive(Clone, Debug)]
pub struct Seccomp {
    /// The filter as configured.
    pub filter: LinuxSeccomp,
    /// Loading needs either `no_new_privs` or CAP_SYS_ADMIN. With the former it is the last thing
    /// before exec; without, it must come before the capabilities are dropped.
    pub before_identity: bool,
}

/// The configured filter, if any.
pub fn plan(linux: &Linux, process: &Process) -> Option<Seccomp> {
    Some(Seccomp {
        filter: linux.seccomp().clone()?,
        before_identity: !process.no_new_privileges().unwrap_or(false),
    })
}
