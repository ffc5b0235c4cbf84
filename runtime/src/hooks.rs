//! Hooks: the only programs that the runtime starts besides the payload.
//!
//! In: a list of hooks and the state that each reads on its standard input. A hook that fails stops
//! the list, unless all are to run, and the error names its kind and its number, counted from 0, and ends with what the
//! hook itself had to say. What one that succeeds says is not kept.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use nix::unistd::Pid;
use oci_spec::runtime::Hook;

use crate::sys::process::{await_end, pidfd_open};

/// Only that many bytes of what a hook said are told, the last ones.
const LONGEST_SAYING: u64 = 2048;

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
#[error("error running {kind} hook #{number}: '{path}': {reason}")]
pub struct Error {
    kind: &'static str,
    number: usize,
    path: String,
    reason: String,
}

/// Where hooks find themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Their working directory; ours without.
    pub dir: Option<&'a Path>,
    /// The environment of those that name none; ours without.
    pub env: Option<&'a [String]>,
}

/// Runs hooks one after the other, wherever we are ourselves.
pub fn run(kind: &'static str, hooks: Option<&[Hook]>, state: &str) -> Result<(), Error> {
    run_at(Place::default(), kind, hooks, state)
}

/// Runs hooks one after the other.
pub fn run_at(
    place: Place,
    kind: &'static str,
    hooks: Option<&[Hook]>,
    state: &str,
) -> Result<(), Error> {
    let mut each = outcomes(place, kind, hooks, state);
    each.try_for_each(|outcome| outcome)
}

/// Runs all hooks, also after one that has failed.
pub fn run_all(kind: &'static str, hooks: Option<&[Hook]>, state: &str) -> Vec<Error> {
    let each = outcomes(Place::default(), kind, hooks, state);
    each.filter_map(Result::err).collect()
}

/// A hook is run when its outcome is asked for.
fn outcomes(
    place: Place,
    kind: &'static str,
    hooks: Option<&[Hook]>,
    state: &str,
) -> impl Iterator<Item = Result<(), Error>> {
    let numbered = hooks.unwrap_or_default().iter().enumerate();
    numbered.map(move |(number, hook)| {
        run_one(hook, state, place).map_err(|reason| Error {
            kind,
            number,
            path: hook.path().display().to_string(),
            reason,
        })
    })
}

fn run_one(hook: &Hook, state: &str, place: Place) -> Result<(), String> {
    let mut said = memory().map_err(|error| error.to_string())?;
    let mut child = command(hook, place, &said)
        .and_then(|mut command| command.spawn())
        .map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its input.
        let _ = stdin.write_all(state.as_bytes());
    }
    let status = match hook.timeout().filter(|seconds| *seconds > 0) {
        Some(seconds) => wait_at_most(&mut child, Duration::from_secs(seconds as u64)),
        None => child.wait().map_err(|error| error.to_string()),
    };
    let reason = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(reason) => reason,
    };
    match last_words(&mut said).as_deref() {
        None | Some("") => Err(reason),
        Some(words) => Err(format!("{reason}: {words}")),
    }
}

fn command(hook: &Hook, place: Place, said: &File) -> std::io::Result<Command> {
    let mut command = Command::new(hook.path());
    if let Some(dir) = place.dir {
        command.current_dir(dir);
    }
    if let [name, args @ ..] = hook.args().as_deref().unwrap_or_default() {
        command.arg0(name).args(args);
    }
    let own = hook.env().as_deref().filter(|own| !own.is_empty());
    if let Some(env) = own.or(place.env) {
        let pairs = env.iter().filter_map(|entry| entry.split_once('='));
        command.env_clear().envs(pairs);
    }
    command
        .stdin(Stdio::piped())
        .stdout(said.try_clone()?)
        .stderr(said.try_clone()?);
    Ok(command)
}

/// A file without a place. A pipe instead would keep us waiting for whatever a hook leaves behind.
fn memory() -> std::io::Result<File> {
    Ok(memfd_create(c"hook", MemFdCreateFlag::MFD_CLOEXEC)?.into())
}

fn last_words(said: &mut File) -> Option<String> {
    let length = said.metadata().ok()?.len();
    let start = length.saturating_sub(LONGEST_SAYING);
    said.seek(SeekFrom::Start(start)).ok()?;
    let mut words = Vec::new();
    said.take(LONGEST_SAYING).read_to_end(&mut words).ok()?;
    Some(String::from_utf8_lossy(&words).trim().to_owned())
}

fn wait_at_most(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let pidfd = pidfd_open(Pid::from_raw(child.id() as i32)).map_err(|errno| errno.to_string())?;
    let ended = await_end(&pidfd, Some(limit)).unwrap_or(false);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
            error.contains("createRuntime hook #1: '/bin/false': exit status: 1"),
            "{error}"
        );
    }

    #[test]
    fn the_last_words_of_a_failing_hook_are_told() {
        let script = "echo out; echo err >&2; exit 3";
        let list = hooks(json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]));
        let error = run("poststart", Some(&list), "{}").unwrap_err().to_string();
        assert!(error.ends_with("exit status: 3: out\nerr"), "{error}");
    }

    #[test]
    fn a_hook_may_leave_a_process_behind() {
        let list = hooks(json!([{"path": "/bin/sh", "args": ["sh", "-c", "sleep 3 & exit 4"]}]));
        let begun = Instant::now();
        run("prestart", Some(&list), "{}").unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn an_environment_is_the_hooks_own_or_the_one_that_is_lent() {
        let lent = ["A=lent".to_owned()];
        let script = |wanted: &str| json!(["sh", "-c", format!("test \"$A\" = '{wanted}'")]);
        let list = hooks(json!([
            {"path": "/bin/sh", "args": script("lent")},
            {"path": "/bin/sh", "args": script("own"), "env": ["A=own"]},
            {"path": "/bin/sh", "args": script(""), "env": ["B=own"]},
        ]));
        let place = Place {
            env: Some(&lent),
            ..Place::default()
        };
        run_at(place, "startContainer", Some(&list), "{}").unwrap();
    }

    #[test]
    fn a_slow_hook_is_ended() {
        let list = hooks(json!([{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]));
        let error = run("poststop", Some(&list), "{}").unwrap_err().to_string();
        assert!(error.contains("did not end within 1 s"), "{error}");
    }
}
