//! A file tree of this host in the place of an image's own.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::FilesError;
use super::{Entry, EntryKind, ImageFiles};

/// The tree, seen from its own root: no link leads out of it.
#[derive(Debug)]
pub struct LocalRoot {
    root: OwnedFd,
}

impl LocalRoot {
    /// The tree below the folder `dir`.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        match dir.metadata()?.is_dir() {
            true => Ok(Self {
                root: File::open(dir)?.into(),
            }),
            false => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// What is at `path`; `None` where there is nothing.
    fn at(&self, path: &str) -> Result<Option<OwnedFd>, FilesError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), inside) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl ImageFiles for LocalRoot {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        let Some(found) = self.at(path)?.map(File::from) else {
            return Ok(None);
        };
        if !found.metadata()?.is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        (&found).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FilesError> {
        let Some(found) = self.at(path)? else {
            return Ok(None);
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::Directory {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for entry in Dir::read_from(&found)? {
            let name = entry?.file_name().to_str()?.to_owned();
            if name != "." && name != ".." {
                entries.push(entry_of(found.as_fd(), name)?);
            }
        }
        Ok(Some(entries))
    }
}

fn entry_of(folder: std::os::fd::BorrowedFd, name: String) -> Result<Entry, FilesError> {
    let stat = rustix::fs::statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => EntryKind::Dir,
        FileType::RegularFile => EntryKind::File,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(folder, name.as_str(), Vec::new())?;
            EntryKind::Link(target.to_str()?.to_owned())
        }
        FileType::Fifo => EntryKind::Special("fifo"),
        FileType::Socket => EntryKind::Special("socket"),
        _ => EntryKind::Special("device"),
    };
    Ok(Entry {
        name,
        mode: stat.st_mode & 0o7777,
        kind,
        xattrs: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let exports = dir.path().join("exports");
        std::fs::create_dir(&exports).unwrap();
        std::fs::write(exports.join("a"), "inside").unwrap();
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, exports.join(name)).unwrap();
        };
        link(Path::new("/exports/a"), "absolute");
        link(&outside.path().join("secret"), "out");
        link(Path::new("../../../../etc/passwd"), "up");
        let root = LocalRoot::open(dir.path()).unwrap();
        assert_eq!(root.file("/exports/absolute").unwrap().unwrap(), b"inside");
        assert_eq!(root.file("/exports/out").unwrap(), None);
        assert_eq!(root.file("/exports/up").unwrap(), None);
        assert_eq!(root.file("/exports").unwrap(), None);
        let mut names: Vec<_> = root.list("/exports").unwrap().unwrap();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(names[0].kind, EntryKind::File);
        assert!(matches!(&names[3].kind, EntryKind::Link(to) if to.starts_with("../")));
        assert_eq!(root.list("/none").unwrap(), None);
    }
}
