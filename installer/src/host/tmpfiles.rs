//! systemd-tmpfiles.

use std::path::Path;

use super::{Error, change};

/// Creates what the configuration file `configuration` asks for.
pub fn create(configuration: &Path) -> Result<(), Error> {
    change(
        "systemd-tmpfiles",
        &["--create", &configuration.to_string_lossy()],
    )
}
