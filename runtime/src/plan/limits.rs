//! `process.rlimits`, by the numbers that the kernel uses.

use std::collections::HashSet;

use oci_spec::runtime::{PosixRlimitType, Process};

use super::Error;

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which (`RLIMIT_…`).
    pub resource: u32,
    /// What holds now.
    pub soft: u64,
    /// How far the process may raise it.
    pub hard: u64,
    /// Its name in config.json, for messages.
    pub name: &'static str,
}

/// The configured limits, each named once.
pub fn plan(process: &Process) -> Result<Vec<Limit>, Error> {
    let limit = |limit: &oci_spec::runtime::PosixRlimit| {
        let (resource, name) = number(limit.typ());
        Limit {
            resource,
            soft: limit.soft(),
            hard: limit.hard(),
            name,
        }
    };
    let limits: Vec<Limit> = process.rlimits().iter().flatten().map(limit).collect();
    let mut seen = HashSet::new();
    match limits.iter().find(|limit| !seen.insert(limit.resource)) {
        Some(twice) => Err(Error::Field {
            field: "process.rlimits".to_owned(),
            reason: format!("'{}' is named twice", twice.name),
        }),
        None => Ok(limits),
    }
}

fn number(kind: PosixRlimitType) -> (u32, &'static str) {
    use PosixRlimitType as T;
    match kind {
        T::RlimitCpu => (libc::RLIMIT_CPU, "RLIMIT_CPU"),
        T::RlimitFsize => (libc::RLIMIT_FSIZE, "RLIMIT_FSIZE"),
        T::RlimitData => (libc::RLIMIT_DATA, "RLIMIT_DATA"),
        T::RlimitStack => (libc::RLIMIT_STACK, "RLIMIT_STACK"),
        T::RlimitCore => (libc::RLIMIT_CORE, "RLIMIT_CORE"),
        T::RlimitRss => (libc::RLIMIT_RSS, "RLIMIT_RSS"),
        T::RlimitNproc => (libc::RLIMIT_NPROC, "RLIMIT_NPROC"),
        T::RlimitNofile => (libc::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
        T::RlimitMemlock => (libc::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"),
        T::RlimitAs => (libc::RLIMIT_AS, "RLIMIT_AS"),
        T::RlimitLocks => (libc::RLIMIT_LOCKS, "RLIMIT_LOCKS"),
        T::RlimitSigpending => (libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"),
        T::RlimitMsgqueue => (libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"),
        T::RlimitNice => (libc::RLIMIT_NICE, "RLIMIT_NICE"),
        T::RlimitRtprio => (libc::RLIMIT_RTPRIO, "RLIMIT_RTPRIO"),
        T::RlimitRttime => (libc::RLIMIT_RTTIME, "RLIMIT_RTTIME"),
    }
}
