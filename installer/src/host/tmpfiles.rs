//! systemd-tmpfiles.

use std::path::Path;

use super::{Error, run};

/// Creates what the configuration file `configuration` asks for.
pub fn create(configuration: &Path) -> Result<(), Error> {
    run(
        "systemd-tmpfiles",
        &["--create", &configuration.to_string_lossy()],
    )
    .map(drop)
}
