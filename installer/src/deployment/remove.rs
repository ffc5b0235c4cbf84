//! Removing a deployment from disk.

use std::path::Path;

use super::Error;
use super::usage::check_unused;
use crate::durable;

/// Removes the directory `dir` of a deployment (or a left-over of one). It gets a trash name
/// first, so that a crash half-way leaves nothing that looks like a deployment.
///
/// A directory with a mount below it, or with a process that has it as its root, is left alone.
pub fn remove(dir: &Path, serial: u64) -> Result<(), Error> {
    check_unused(dir)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let trash = if name.starts_with('.') {
        dir.to_owned()
    } else {
        let trash = dir.with_file_name(format!(".{name}.trash-{serial}"));
        durable::rename(dir, &trash).map_err(|source| Error::io("rename", dir, source))?;
        trash
    };
    durable::remove_tree(&trash).map_err(|source| Error::io("remove", &trash, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_goes_whole() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("web.0");
        std::fs::create_dir_all(dir.join("rootfs/etc")).unwrap();
        std::os::unix::fs::symlink("/", dir.join("rootfs/etc/link")).unwrap();
        remove(&dir, 7).unwrap();
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
