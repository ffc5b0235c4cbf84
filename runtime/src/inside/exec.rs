//! The last step.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::execve;

use super::identity::Ready;
use super::{Error, failed};
use crate::plan::Payload;

/// Becomes the program.
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
    execve(&path, &args, &env).map_err(|errno| failed(what(), errno))
}
