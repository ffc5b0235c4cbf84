//! Hooks: the only programs that the runtime starts besides the payload.
//!
//! In: a list of hooks and the state that each reads on its standard input. A hook that fails stops
//! the list, and the error names its kind and its number, counted from 0.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use oci_spec::runtime::Hook;

use crate::sys::process::pidfd_open;

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
#[error("hook '{kind}' #{number} ('{path}'): {reason}")]
pub struct Error {
    kind: &'static str,
    number: usize,
    path: String,
    reason: String,
}

/// Runs hooks one after the other.
pub fn run(kind: &'static str, hooks: Option<&[Hook]>, state: &str) -> Result<(), Error> {
    for (number, hook) in hooks.unwrap_or_default().iter().enumerate() {
        run_one(hook, state).map_err(|reason| Error {
            kind,
            number,
            path: hook.path().display().to_string(),
            reason,
        })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &str) -> Result<(), String> {
    let mut command = Command::new(hook.path());
    match hook.args().as_deref().unwrap_or_default() {
        [name, args @ ..] => command.arg0(name).args(args),
        [] => &mut command,
    };
    let env = hook
        .env()
        .iter()
        .flatten()
        .filter_map(|entry| entry.split_once('='));
    let mut child = command
        .env_clear()
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its input.
        let _ = stdin.write_all(state.as_bytes());
    }
    let status = match hook.timeout().filter(|seconds| *seconds > 0) {
        Some(seconds) => wait_at_most(&mut child, Duration::from_secs(seconds as u64))?,
        None => child.wait().map_err(|error| error.to_string())?,
    };
    match status.success() {
        true => Ok(()),
        false => Err(status.to_string()),
    }
}

fn wait_at_most(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let pidfd = pidfd_open(Pid::from_raw(child.id() as i32)).map_err(|errno| errno.to_string())?;
    let ended = ends_within(&pidfd, limit);
    if !ended {
        // It is our child and not reaped yet, so this can hit nobody else.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match ended {
        true => Ok(status),
        false => Err(format!("did not end within {} s", limit.as_secs())),
    }
}

fn ends_within(pidfd: &OwnedFd, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() as i32).unwrap_or(PollTimeout::MAX);
        match poll(
            &mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hooks(json: serde_json::Value) -> Vec<Hook> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_hook_reads_the_state() {
        let scratch = tempfile::tempdir().unwrap();
        let seen = scratch.path().join("seen");
        let script = format!("cat >{}; echo $A >>{0}", seen.display());
        let list =
            hooks(json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=1"]}]));
        run("prestart", Some(&list), "{}").unwrap();
        assert_eq!(std::fs::read_to_string(seen).unwrap(), "{}1\n");
    }

    #[test]
    fn a_failing_hook_is_named() {
        let list = hooks(json!([{"path": "/bin/true"}, {"path": "/bin/false"}]));
        let error = run("createRuntime", Some(&list), "{}")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'createRuntime' #1 ('/bin/false'): exit status: 1"),
            "{error}"
        );
    }

    #[test]
    fn a_slow_hook_is_ended() {
        let list = hooks(json!([{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]));
        let error = run("poststop", Some(&list), "{}").unwrap_err().to_string();
        assert!(error.contains("did not end within 1 s"), "{error}");
    }
}
