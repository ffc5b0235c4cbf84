//! Writing to /proc, through a handle that is known to be one (CVE-2019-16884, CVE-2019-19921): what
//! an image has put in its place or over its files is not written to.

use std::io::{Error, Result, Write};
use std::path::Path;

use pathrs::error::ErrorKind;
use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandleBuilder};

/// Writes `text` at once to a file of a /proc of our own making, where we may make one.
pub fn write(base: ProcfsBase, path: impl AsRef<Path>, text: &str) -> Result<()> {
    let proc = ProcfsHandleBuilder::new()
        .unmasked()
        .build()
        .map_err(plain)?;
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_CLOEXEC;
    let mut file = proc.open(base, path.as_ref(), flags).map_err(plain)?;
    file.write_all(text.as_bytes())
}

/// The kernel's own error where there is one.
fn plain(error: pathrs::error::Error) -> Error {
    match error.kind() {
        ErrorKind::OsError(Some(code)) => Error::from_raw_os_error(code),
        _ => Error::other(error),
    }
}
