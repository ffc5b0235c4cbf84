//! Debian trees: the machines' file systems and the contents of images, built once and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::command;

/// The Debian releases that machines are booted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12: systemd 252, libostree 2022.7.
    Bookworm,
    /// Debian 13: systemd 257, libostree 2025.2.
    Trixie,
}

impl Suite {
    /// Its name in the archive.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// What a machine needs: systemd, what sysc links to, and tools for looking around.
const MACHINE: &str = "systemd,systemd-sysv,dbus,libostree-1-1,ostree,procps,iproute2,attr,\
                       libcap2-bin,ca-certificates";

/// The tree of a machine of `suite`; never written to.
pub fn machine(suite: Suite) -> Result<PathBuf> {
    build(
        &format!("machine-{}", suite.name()),
        "essential",
        MACHINE,
        suite,
    )
}

/// The files of `packages` (comma-separated) of Debian 12 and of all that they depend on,
/// unpacked but not configured; never written to.
pub fn packages(name: &str, packages: &str) -> Result<PathBuf> {
    build(
        &format!("packages-{name}"),
        "extract",
        packages,
        Suite::Bookworm,
    )
}

/// Where trees are kept: `$SYSC_TEST_CACHE`, or below the build directory.
pub fn cache() -> PathBuf {
    std::env::var_os("SYSC_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rigs"),
        PathBuf::from,
    )
}

/// Builds under a lock and a temporary name, so that a tree that exists is whole.
fn build(name: &str, variant: &str, packages: &str, suite: Suite) -> Result<PathBuf> {
    crate::require_root()?;
    let cache = cache();
    fs::create_dir_all(&cache).with_context(|| format!("cannot create '{}'", cache.display()))?;
    let tree = cache.join(name);
    let lock = fs::File::create(cache.join(format!(".{name}.lock")))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    if tree.exists() {
        return Ok(tree);
    }
    let building = cache.join(format!(".{name}.building"));
    if building.exists() {
        fs::remove_dir_all(&building)?;
    }
    command::run(
        "mmdebstrap",
        &[
            "--quiet",
            &format!("--variant={variant}"),
            &format!("--include={packages}"),
            suite.name(),
            &building.to_string_lossy(),
        ],
    )?
    .ok()
    .with_context(|| format!("cannot build the Debian tree '{name}'"))?;
    fs::rename(&building, &tree)?;
    Ok(tree)
}
