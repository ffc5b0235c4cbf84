//! The last step.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use libcontainer::seccomp;
use nix::unistd::execve;

use super::identity::{Ready, chain};
use super::{Error, failed};
use crate::plan::Payload;

/// Loads the filter, unless it had to be earlier, and becomes the program.
pub fn execute(payload: &Payload, program: &Ready) -> Result<Infallible, Error> {
    let what = || format!("execute '{}'", program.path.display());
    let text = |texts: &[String]| -> Result<Vec<CString>, Error> {
        texts
            .iter()
            .map(|text| CString::new(text.as_bytes()).map_err(|error| failed(what(), error)))
            .collect()
    };
    let path =
        CString::new(program.path.as_os_str().as_bytes()).map_err(|error| failed(what(), error))?;
    let (args, env) = (text(&payload.program.args)?, text(&program.env)?);
    // As late as can be, so that the filter need allow nothing but exec.
    if let Some(seccomp) = payload
        .seccomp
        .as_ref()
        .filter(|seccomp| !seccomp.before_identity)
    {
        seccomp::initialize_seccomp(&seccomp.filter)
            .map_err(|error| failed("load the seccomp filter", chain(&error)))?;
    }
    execve(&path, &args, &env).map_err(|errno| failed(what(), errno))
}
