//! File operations that survive a power cut: after each of these returns, the disk holds the
//! old content or the new one, and never a part.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;

use crate::failpoint::{Point, pass};

/// Writes `content` with exactly the permissions `mode` to a file that must not exist yet, and
/// syncs it. Its name is as durable as the caller makes it with [`sync_dir`].
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    pass(Point::FileCreate)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    pass(Point::FileWrite)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    pass(Point::FileSync)?;
    file.sync_all()
}

/// Puts a file with `content` and `mode` at `path`, in place of what is there, in one step.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    switch(path, |temporary| create(temporary, content, mode))
}

/// The same with the extended attributes of the file `like`.
pub fn replace_like(path: &Path, content: &[u8], mode: u32, like: &Path) -> io::Result<()> {
    switch(path, |temporary| {
        create(temporary, content, mode)?;
        for (name, value) in xattrs(like)? {
            set_xattr(temporary, &name, &value)?;
        }
        Ok(())
    })
}

/// Gives a file an extended attribute. It is as durable as the file's name.
pub fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::lsetxattr(
        path,
        name,
        value,
        XattrFlags::empty(),
    )?)
}

/// The attributes of a file that are its own; a label is given by the host.
fn xattrs(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let names = String::from_utf8_lossy(&names[..length]).into_owned();
    let own = names
        .split_terminator('\0')
        .filter(|name| *name != "security.selinux");
    own.map(|name| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value)?;
        value.truncate(length);
        Ok((name.to_owned(), value))
    })
    .collect()
}

/// Makes `path` a symbolic link to `target`, in place of what is there, in one step.
pub fn replace_link(path: &Path, target: &Path) -> io::Result<()> {
    switch(path, |temporary| link(temporary, target))
}

/// Makes the symbolic link `path` to `target`, where nothing is yet.
pub fn link(path: &Path, target: &Path) -> io::Result<()> {
    pass(Point::LinkMake)?;
    symlink(target, path)
}

/// Makes the directory `path`, and those above it, if it is not there, with exactly the
/// permissions `mode`. Its name is as durable as the caller makes it.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    make_dirs(path)?;
    if path.metadata()?.permissions().mode() & 0o7777 != mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Makes the directory `path`, and those above it, where it is not there.
pub fn make_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    pass(Point::DirMake)?;
    std::fs::create_dir_all(path)
}

/// Makes the directory `path`, for root alone, where nothing is yet.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    pass(Point::DirMake)?;
    DirBuilder::new().mode(0o700).create(path)
}

/// Removes the directory `path` if it is empty. `false`: it is not there, or something is in it.
pub fn remove_empty_dir(path: &Path) -> io::Result<bool> {
    use io::ErrorKind;
    if path.is_dir() {
        pass(Point::DirRemove)?;
    }
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
                Ok(false)
            }
            _ => Err(error),
        },
    }
}

/// Removes the directory `path` with all that is in it.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    pass(Point::TreeRemove)?;
    std::fs::remove_dir_all(path)
}

/// Removes the file or link `path` for good. `false`: there was none.
pub fn remove(path: &Path) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        pass(Point::FileRemove)?;
    }
    match std::fs::remove_file(path) {
        Ok(()) => sync_dir(parent(path)).map(|()| true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Renames `from` to `to`, both in the same directory, and syncs that directory.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    pass(Point::Rename)?;
    std::fs::rename(from, to)?;
    sync_dir(parent(to))
}

/// Makes the entries of the directory `path` durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    pass(Point::DirSync)?;
    File::open(path)?.sync_all()
}

/// Makes everything written to the file system of `path` durable.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    pass(Point::FileSystemSync)?;
    let directory = File::open(path)?;
    nix::unistd::syncfs(std::os::fd::AsRawFd::as_raw_fd(&directory)).map_err(io::Error::from)
}

/// Makes everything durable that was written to the file systems that `paths` are on. A path that
/// is gone stands for the directory above it.
pub fn sync_file_systems<'a>(paths: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
    let mut synced = BTreeSet::new();
    for path in paths {
        let there = path
            .ancestors()
            .find_map(|path| path.metadata().ok().map(|found| (path, found.dev())));
        if let Some((path, device)) = there
            && synced.insert(device)
        {
            sync_file_system(path)?;
        }
    }
    Ok(())
}

/// Removes what a crash left beside `path` while its next content was prepared.
pub fn forget_unfinished(path: &Path) -> io::Result<()> {
    let temporary = temporary(path);
    if temporary.symlink_metadata().is_ok() {
        remove(&temporary)?;
    }
    Ok(())
}

/// Removes what a crash left of that kind in the directory `dir`, which need not exist.
pub fn sweep_unfinished(dir: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// How a name ends that is not yet what it is going to be.
const UNFINISHED: &str = ".sysc-tmp";

/// The name beside `path` under which its next content is prepared. One writer at a time (the
/// lock), so one name is enough, and one left by a crash is written over.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{UNFINISHED}"))
}

fn switch(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary(path);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    make(&temporary)
        .and_then(|()| rename(&temporary, path))
        .inspect_err(|_| {
            // The first error is the one to tell; what stays is overwritten the next time.
            let _ = std::fs::remove_file(&temporary);
        })
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_keeps_the_mode_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        replace(&path, b"one", 0o600).unwrap();
        std::fs::write(dir.path().join(".a.sysc-tmp"), "left by a crash").unwrap();
        replace(&path, b"two", 0o640).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_replaces_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("current");
        replace_link(&path, Path::new("x.0")).unwrap();
        replace_link(&path, Path::new("x.1")).unwrap();
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("x.1"));
    }

    #[test]
    fn a_failing_replace_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), "").unwrap();
        assert!(replace(&path, b"x", 0o600).is_err());
        assert!(path.join("inside").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
