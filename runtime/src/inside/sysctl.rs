//! Kernel parameters of the container's namespaces.

use std::path::Path;

use super::proc::Proc;
use super::{Error, failed};

/// Writes all of them.
pub fn write_all(sysctls: &[(String, String)]) -> Result<(), Error> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let proc = Proc::open().map_err(|why| failed("set sysctls", why))?;
    sysctls.iter().try_for_each(|(name, value)| {
        let path = Path::new("sys").join(path_of(name));
        proc.write(&path, value)
            .map_err(|error| failed(format!("set sysctl '{name}' to '{value}'"), error))
    })
}

/// A name with slashes may have dots in its parts (`net/ipv4/conf/eth0.5/…`).
fn path_of(name: &str) -> String {
    match name.contains('/') {
        true => name.to_owned(),
        false => name.replace('.', "/"),
    }
}
