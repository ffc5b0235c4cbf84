//! Kernel parameters of the container's namespaces, written through a /proc that is known to be one.

use std::io::Write;
use std::path::Path;

use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandleBuilder};

use super::{Error, failed};

/// Writes all of them.
pub fn write_all(sysctls: &[(String, String)]) -> Result<(), Error> {
    sysctls.iter().try_for_each(|(name, value)| {
        write(name, value).map_err(|why| failed(format!("set sysctl '{name}' to '{value}'"), why))
    })
}

fn write(name: &str, value: &str) -> Result<(), String> {
    let proc = ProcfsHandleBuilder::new()
        .unmasked()
        .build()
        .map_err(|error| error.to_string())?;
    // A name with slashes may have dots in its parts (`net/ipv4/conf/eth0.5/…`).
    let path = if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    };
    proc.open(
        ProcfsBase::ProcRoot,
        Path::new("sys").join(path),
        OpenFlags::O_WRONLY | OpenFlags::O_CLOEXEC,
    )
    .map_err(|error| error.to_string())?
    .write_all(value.as_bytes())
    .map_err(|error| error.to_string())
}
