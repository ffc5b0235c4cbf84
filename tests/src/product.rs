//! The programs under test.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// `sysc` and `sysc-runtime`, as `make build` leaves them (`$SYSC_BIN` names another directory).
pub fn programs() -> Result<[PathBuf; 2]> {
    Ok([program("sysc")?, runtime()?])
}

/// `sysc-runtime` alone.
pub fn runtime() -> Result<PathBuf> {
    program("sysc-runtime")
}

/// `sysc` with failpoints, of which tests alone have one.
pub fn failpoints() -> Result<PathBuf> {
    program("sysc-failpoints")
}

fn program(name: &str) -> Result<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist");
    let directory = std::env::var_os("SYSC_BIN").map_or(built, PathBuf::from);
    let program = directory.join(name);
    ensure!(
        program.is_file(),
        "'{}' is missing; call 'make build' first",
        program.display()
    );
    Ok(program)
}
