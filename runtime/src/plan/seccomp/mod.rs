//! The system call filter: when it is loaded, and the program that the kernel gets.
//!
//! libseccomp serves as the compiler alone. Its own loading knows fewer flags than the kernel does
//! (how many depends on its version) and cannot put anything before the program.

mod check;
mod compile;
mod kept;
mod newer;

use std::path::PathBuf;

use oci_spec::runtime::{
    Linux, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompBuilder, LinuxSeccompFilterFlag,
    LinuxSyscallBuilder, Process,
};

use super::{Error, Remark};
use crate::sys::seccomp::Instruction;

pub use kept::Filters;

/// A filter and the moment for it.
#[derive(Clone, Debug)]
pub struct Seccomp {
    /// What the kernel runs at each system call.
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_…`
    pub flags: u64,
    /// Loading needs either `no_new_privs` or CAP_SYS_ADMIN. With the former it is the last thing
    /// before exec; without, it must come before the capabilities are dropped.
    pub before_identity: bool,
    /// Who decides about calls that the filter leaves open.
    pub listener: Option<Listener>,
}

/// A process on the host that is told of system calls and answers for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The socket that it listens on.
    pub path: PathBuf,
    /// Handed on to it as it is.
    pub metadata: String,
}

impl Seccomp {
    /// What is said of it with `--debug`.
    pub fn remark(&self) -> Remark {
        Remark::Detail(format!("seccomp filter flags: {}", self.flags))
    }
}

/// A filter that lets all through but another kernel, which who may reboot could start.
pub fn without_kexec() -> Result<Vec<Instruction>, Error> {
    let calls = LinuxSyscallBuilder::default()
        .names(["kexec_load", "kexec_file_load"].map(str::to_owned))
        .action(LinuxSeccompAction::ScmpActErrno)
        .build();
    let config = calls.and_then(|calls| {
        LinuxSeccompBuilder::default()
            .default_action(LinuxSeccompAction::ScmpActAllow)
            .syscalls(vec![calls])
            .build()
    });
    let config = config.map_err(|error| refused("", error.to_string()))?;
    compile::compile(&config).map_err(|reason| refused("", reason))
}

/// The configured filter, if any.
pub fn plan(linux: &Linux, process: &Process, filters: &Filters) -> Result<Option<Seccomp>, Error> {
    let Some(config) = linux.seccomp() else {
        return Ok(None);
    };
    check::check(config)?;
    let program = filters.program(config, || {
        let mut program = newer::unknown_calls(config);
        program.extend(compile::compile(config)?);
        Ok(program)
    });
    Ok(Some(Seccomp {
        program: program.map_err(|reason| refused("", reason))?,
        flags: flags(config),
        before_identity: !process.no_new_privileges().unwrap_or(false),
        listener: listener(config),
    }))
}

/// Without any in the configuration, the payload keeps the processor's speculation, as with runc.
fn flags(config: &LinuxSeccomp) -> u64 {
    use LinuxSeccompFilterFlag as F;
    let notifies = match notifies(config) {
        true => libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
        false => 0,
    };
    let flag = |flag: &F| match flag {
        F::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
        F::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        // About waiting for a listener; the kernel refuses it where there is none.
        F::SeccompFilterFlagWaitKillableRecv if notifies != 0 => {
            libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        }
        F::SeccompFilterFlagWaitKillableRecv => 0,
        // About threads that there are not: the payload starts with one.
        F::SeccompFilterFlagTsync => 0,
    };
    notifies
        | match config.flags() {
            Some(flags) => flags.iter().map(flag).fold(0, |all, flag| all | flag),
            None => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        }
}

fn listener(config: &LinuxSeccomp) -> Option<Listener> {
    let path = config.listener_path().clone();
    path.filter(|_| notifies(config)).map(|path| Listener {
        path,
        metadata: config.listener_metadata().clone().unwrap_or_default(),
    })
}

fn notifies(config: &LinuxSeccomp) -> bool {
    let calls = config.syscalls().iter().flatten();
    let mut actions = calls.map(|call| call.action());
    actions.any(|action| action == LinuxSeccompAction::ScmpActNotify)
}

fn refused(field: &str, reason: impl Into<String>) -> Error {
    Error::Field {
        field: format!("linux.seccomp{field}"),
        reason: reason.into(),
    }
}
