//! Removing a deployment from disk.

use std::path::{Path, PathBuf};

use super::Error;
use crate::durable;

/// Removes the directory `dir` of a deployment (or a left-over of one). It gets a trash name
/// first, so that a crash half-way leaves nothing that looks like a deployment.
///
/// A directory with a mount below it is left alone: what is mounted there is not ours to delete.
pub fn remove(dir: &Path, serial: u64) -> Result<(), Error> {
    if let Some(mount) = mount_below(dir)? {
        return Err(Error::Mounted {
            path: dir.to_owned(),
            mount,
        });
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let trash = if name.starts_with('.') {
        dir.to_owned()
    } else {
        let trash = dir.with_file_name(format!(".{name}.trash-{serial}"));
        durable::rename(dir, &trash).map_err(|source| Error::io("rename", dir, source))?;
        trash
    };
    std::fs::remove_dir_all(&trash).map_err(|source| Error::io("remove", &trash, source))
}

/// The first mount point at or below `dir` in this mount namespace (proc_pid_mountinfo(5)).
fn mount_below(dir: &Path) -> Result<Option<PathBuf>, Error> {
    let table = Path::new("/proc/self/mountinfo");
    let text = std::fs::read_to_string(table).map_err(|source| Error::io("read", table, source))?;
    let dir = dir
        .canonicalize()
        .map_err(|source| Error::io("resolve", dir, source))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescape(field)))
        .find(|mount| mount.starts_with(&dir)))
}

/// Undoes the octal escapes of mountinfo (space, tab, newline, backslash).
fn unescape(field: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(field.to_owned(), |text, (escape, plain)| {
        text.replace(escape, plain)
    })
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

    #[test]
    fn mountinfo_escapes() {
        assert_eq!(unescape("/a\\040b"), "/a b");
    }
}
