//! Another root than the running one: the tree of an image build. Every path is resolved below
//! it, links too, so that nothing of the build host is read or written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;

/// What is found at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or a link that leads to nothing.
    Nothing,
    /// A directory.
    Dir,
    /// Anything else.
    File,
}

/// A root.
#[derive(Debug)]
pub struct OtherRoot {
    dir: PathBuf,
    root: OwnedFd,
}

impl OtherRoot {
    /// The tree below the directory `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let dir = dir.canonicalize()?;
        if !dir.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let root = File::open(&dir)?.into();
        Ok(Self { dir, root })
    }

    /// Where it is on the build host.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is at the absolute path `path`; links are followed.
    pub fn find(&self, path: &str) -> Found {
        let Ok(found) = self.open_at(path, OFlags::PATH) else {
            return Found::Nothing;
        };
        match rustix::fs::fstat(&found).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Directory) => Found::Dir,
            Ok(_) => Found::File,
            Err(_) => Found::Nothing,
        }
    }

    /// Makes the directory `path` and those above it; returns where it really is.
    pub fn make_dir(&self, path: &str) -> io::Result<PathBuf> {
        let mut walked = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let parent = self.directory(&walked)?;
            match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            walked = format!("{walked}/{part}");
        }
        let directory = self.directory(&walked)?;
        std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))
    }

    /// Writes a file that is not there yet. `false`: something is there, and stays.
    pub fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let mut file = File::from(file);
        file.write_all(content)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        Ok(true)
    }

    /// Gives the file `path` extended attributes.
    pub fn set_xattrs(&self, path: &str, xattrs: &[(String, Vec<u8>)]) -> io::Result<()> {
        let file = self.open_at(path, OFlags::RDONLY)?;
        for (name, value) in xattrs {
            rustix::fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty())?;
        }
        Ok(())
    }

    /// Makes a symbolic link where nothing is yet. `false`: something is there, and stays.
    pub fn link(&self, path: &str, target: &str) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::symlinkat(target, &parent, name) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a OsStr)> {
        let path = Path::new(path);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().and_then(Path::to_str).unwrap_or("/");
        self.make_dir(parent)?;
        Ok((self.directory(parent)?, name))
    }

    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "/" } else { path };
        Ok(self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            inside,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_tree_stay_in_the_tree() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/usrlocal")).unwrap();
        std::fs::create_dir(dir.path().join("usr")).unwrap();
        let link = |to: &Path, at: &str| {
            std::os::unix::fs::symlink(to, dir.path().join(at)).unwrap();
        };
        link(Path::new("/var/usrlocal"), "usr/local");
        link(outside.path(), "out");
        let root = OtherRoot::open(dir.path()).unwrap();
        assert!(root.write("/usr/local/bin/tool", b"x", 0o755).unwrap());
        assert!(dir.path().join("var/usrlocal/bin/tool").is_file());
        assert!(!root.write("/usr/local/bin/tool", b"y", 0o755).unwrap());
        assert_eq!(
            std::fs::read(dir.path().join("var/usrlocal/bin/tool")).unwrap(),
            b"x"
        );
        assert!(
            root.write("/out/file", b"x", 0o644).is_err(),
            "the link leads to nothing here"
        );
        assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none());
        assert!(root.link("/etc/a", "b").unwrap() && !root.link("/etc/a", "c").unwrap());
        assert_eq!(root.find("/usr/local/bin"), Found::Dir);
        assert_eq!(root.find("/usr/local/bin/tool"), Found::File);
        assert_eq!(root.find("/out"), Found::Nothing);
    }
}
