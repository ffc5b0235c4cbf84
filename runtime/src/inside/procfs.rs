//! Writing to /proc, through a handle that is known to be one (CVE-2019-16884, CVE-2019-19921): what
//! an image has put in its place or over its files is not written to.

use std::io::Write;
use std::path::Path;

use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandleBuilder};

/// Writes `text` at once to a file of a /proc of our own making, where we may make one.
pub fn write(base: ProcfsBase, path: impl AsRef<Path>, text: &str) -> Result<(), String> {
    let proc = ProcfsHandleBuilder::new()
        .unmasked()
        .build()
        .map_err(|error| error.to_string())?;
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_CLOEXEC;
    proc.open(base, path.as_ref(), flags)
        .map_err(|error| error.to_string())?
        .write_all(text.as_bytes())
        .map_err(|error| error.to_string())
}
