//! Directories that are thrown away: by their owner, or, where that was killed, by the next
//! process that needs one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::tree;

/// A new directory `sysc-PID-…` beside the kept trees.
pub fn directory() -> Result<TempDir> {
    crate::require_root()?;
    let cache = tree::cache();
    fs::create_dir_all(&cache).with_context(|| format!("cannot create '{}'", cache.display()))?;
    for abandoned in abandoned(&cache) {
        // Two processes may do this at once; what counts is that it is gone.
        let _ = fs::remove_dir_all(abandoned);
    }
    tempfile::Builder::new()
        .prefix(&format!("sysc-{}-", std::process::id()))
        .tempdir_in(&cache)
        .with_context(|| format!("cannot create a directory in '{}'", cache.display()))
}

/// What lies in `parent` and is named after a process that is gone.
pub fn abandoned(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| owner(path).is_some_and(|pid| !Path::new("/proc").join(pid).exists()))
        .collect()
}

/// The number of the process that a path is named after.
fn owner(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix("sysc-")?;
    let (pid, _) = name.split_once('-')?;
    pid.parse::<u32>().ok().map(|pid| pid.to_string())
}
