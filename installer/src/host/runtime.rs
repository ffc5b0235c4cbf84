//! The OCI runtime, called by hand: what systemd does not start.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// Runs `runtime` with `arguments` on this process's own terminal or streams, and returns the
/// status that it ended with; of one that a signal ended, 128 and the signal's number.
pub fn run_runtime(runtime: &Path, arguments: &[&str]) -> Result<u8, Error> {
    use std::os::unix::process::ExitStatusExt;
    let status = Command::new(runtime)
        .args(arguments)
        .status()
        .map_err(|source| Error::Runtime {
            path: runtime.to_owned(),
            source,
        })?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Where the runtime `path` is; a bare name is looked up as a shell would. `None`: it is not
/// there, or does not even tell its version.
pub fn find_runtime(path: &Path) -> Option<PathBuf> {
    let found = match path.components().count() {
        1 if !path.is_absolute() => std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|dir| dir.join(path))
            .find(|candidate| candidate.is_file())?,
        _ => std::path::absolute(path).ok()?,
    };
    let told = Command::new(&found).arg("--version").output().ok()?;
    told.status.success().then_some(found)
}

/// Whether the container `name` of `runtime` runs.
pub fn runs(runtime: &Path, name: &str) -> bool {
    let told = Command::new(runtime).args(["state", name]).output();
    told.is_ok_and(|output| {
        serde_json::from_slice::<serde_json::Value>(&output.stdout)
            .is_ok_and(|state| state["status"] == "running")
    })
}
