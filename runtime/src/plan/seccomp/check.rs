//! What the specification demands of a filter.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction as Action};

use super::{notifies, refused};
use crate::plan::Error;

/// The first thing that is wrong.
pub fn check(config: &LinuxSeccomp) -> Result<(), Error> {
    if config.default_action() == Action::ScmpActNotify {
        let reason = "SCMP_ACT_NOTIFY cannot be used as default action";
        return Err(refused(".defaultAction", reason));
    }
    let errno = config.default_errno_ret();
    check_errno(".defaultErrnoRet", config.default_action(), errno)?;
    for (index, call) in config.syscalls().iter().flatten().enumerate() {
        let field = format!(".syscalls[{index}]");
        if call.names().is_empty() {
            return Err(refused(&format!("{field}.names"), "is empty"));
        }
        check_errno(
            &format!("{field}.errnoRet"),
            call.action(),
            call.errno_ret(),
        )?;
        // We say so ourselves once the filter is loaded, and before anybody listens.
        let write = call.names().iter().any(|name| name == "write");
        if write && call.action() == Action::ScmpActNotify {
            let reason = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
            return Err(refused(&field, reason));
        }
        if call.args().iter().flatten().any(|arg| arg.index() > 5) {
            let reason = "a system call has six arguments, 0 to 5";
            return Err(refused(&format!("{field}.args"), reason));
        }
    }
    match (config.listener_path(), config.listener_metadata()) {
        (None, _) if notifies(config) => {
            let reason = "is missing; SCMP_ACT_NOTIFY needs it";
            Err(refused(".listenerPath", reason))
        }
        (None, Some(_)) => {
            let reason = "is set, but listenerPath is not";
            Err(refused(".listenerMetadata", reason))
        }
        _ => Ok(()),
    }
}

fn check_errno(field: &str, action: Action, errno: Option<u32>) -> Result<(), Error> {
    match (action, errno) {
        // The kernel keeps no more of the number.
        (Action::ScmpActErrno, Some(4096..)) | (Action::ScmpActTrace, Some(0x1_0000..)) => {
            Err(refused(field, "is too large"))
        }
        (Action::ScmpActErrno | Action::ScmpActTrace, _) | (_, None) => Ok(()),
        _ => Err(refused(field, format!("has no meaning for {action}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::plan_with;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_wrong_is_named() {
        let call = |call: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]});
        let table = [
            (
                json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
                ".defaultAction",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}),
                ".defaultErrnoRet",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
                ".listenerMetadata",
            ),
            (
                call(json!({"names": ["x"], "action": "SCMP_ACT_KILL", "errnoRet": 1})),
                ".syscalls[0].errnoRet",
            ),
            (
                call(json!({"names": [], "action": "SCMP_ACT_ERRNO"})),
                ".syscalls[0].names",
            ),
            (
                call(json!({"names": ["write"], "action": "SCMP_ACT_NOTIFY"})),
                ".syscalls[0]",
            ),
            (
                call(json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"})),
                ".listenerPath",
            ),
            (
                call(json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})),
                ".syscalls[0].args",
            ),
        ];
        for (seccomp, name) in table {
            let result = plan_with(|config| config["linux"]["seccomp"] = seccomp);
            let Err(Error::Field { field, .. }) = result else {
                panic!("{name}")
            };
            assert_eq!(field, format!("linux.seccomp{name}"));
        }
    }
}
