//! Whether anybody still uses a deployment: what is mounted in it, and processes that live in it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;

/// Something is mounted in the deployment `dir`, or a process has it as its root.
pub fn is_used(dir: &Path) -> Result<bool, Error> {
    match check_unused(dir) {
        Ok(()) => Ok(false),
        Err(Error::Mounted { .. } | Error::InUse { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Fails, saying by what, where `dir` is used.
pub(super) fn check_unused(dir: &Path) -> Result<(), Error> {
    let path = || dir.to_owned();
    if let Some(mount) = mount_below(dir)? {
        return Err(Error::Mounted {
            path: path(),
            mount,
        });
    }
    match inhabitant(dir) {
        Some(pid) => Err(Error::InUse { path: path(), pid }),
        None => Ok(()),
    }
}

/// A process whose root is the deployment's. A container's root is another mount of it, in another
/// namespace, so it is told by device and inode.
fn inhabitant(dir: &Path) -> Option<u32> {
    let rootfs = dir.join("rootfs").symlink_metadata().ok()?;
    let lives_here = |pid: &u32| {
        let root = Path::new("/proc").join(pid.to_string()).join("root");
        root.metadata()
            .is_ok_and(|root| (root.dev(), root.ino()) == (rootfs.dev(), rootfs.ino()))
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(lives_here)
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
    fn mountinfo_escapes() {
        assert_eq!(unescape("/a\\040b"), "/a b");
    }
}
