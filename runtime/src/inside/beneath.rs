//! Paths beneath the new root, looked up by descriptor while `/` is still the host's.
//!
//! No link of the image leads out: the kernel resolves each path as if the root were `/`
//! (`openat2` with RESOLVE_IN_ROOT, Linux 5.6), in one call and without a name that could be exchanged
//! between a look and a use. `pathrs` does the same and more; its checks of what the kernel already
//! guarantees are some thirty calls for each path.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, readlinkat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;

use crate::sys::open::open_resolved;

/// A directory that stands for `/`.
#[derive(Debug)]
pub struct Beneath(OwnedFd);

/// What becomes of links on the way to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are followed, beneath the root.
    Follow,
    /// They are an error.
    Refuse,
}

impl Beneath {
    /// The directory behind `root` becomes the root of all paths.
    pub fn new(root: OwnedFd) -> Beneath {
        Beneath(root)
    }

    /// The directory that stands for `/`.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// What `path` leads to, as a descriptor that only names it (O_PATH).
    pub fn resolve(&self, path: &Path) -> nix::Result<OwnedFd> {
        self.open(path, OFlag::O_PATH)
    }

    /// What `path` itself is, should it be a link.
    pub fn resolve_nofollow(&self, path: &Path) -> nix::Result<OwnedFd> {
        self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)
    }

    /// Where the link `path` points.
    pub fn readlink(&self, path: &Path) -> nix::Result<PathBuf> {
        let link = self.resolve_nofollow(path)?;
        readlinkat(Some(link.as_raw_fd()), "").map(PathBuf::from)
    }

    /// The directory `path`, made with those above it where it is missing.
    pub fn make_dirs(&self, path: &Path, links: Links) -> nix::Result<OwnedFd> {
        let strict = match links {
            Links::Follow => ResolveFlag::empty(),
            Links::Refuse => ResolveFlag::RESOLVE_NO_SYMLINKS,
        };
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let mut missing = Vec::new();
        let mut place = path;
        let mut found = loop {
            match self.open_with(place, directory, strict) {
                Err(Errno::ENOENT) => {}
                other => break other?,
            }
            let (Some(above), Some(name)) = (place.parent(), last_name(place)?) else {
                return Err(Errno::ENOENT);
            };
            missing.push(name);
            place = above;
        };
        for name in missing.into_iter().rev() {
            match mkdirat(
                Some(found.as_raw_fd()),
                name,
                Mode::from_bits_truncate(0o755),
            ) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
            let alone = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
            found = open_resolved(found.as_fd(), Path::new(name), directory, alone)?;
        }
        Ok(found)
    }

    /// The directory that holds `path`, made where it is missing, and `path`'s name in it.
    pub fn parent<'a>(&self, path: &'a Path) -> nix::Result<(OwnedFd, &'a OsStr)> {
        let name = last_name(path)?.ok_or(Errno::EINVAL)?;
        let above = path.parent().unwrap_or(Path::new("/"));
        Ok((self.make_dirs(above, Links::Follow)?, name))
    }

    /// A new, empty file with mode 0644; EEXIST when anything is there, a link included.
    pub fn create_file(&self, path: &Path) -> nix::Result<OwnedFd> {
        let (parent, name) = self.parent(path)?;
        let how = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDONLY;
        open_resolved(
            parent.as_fd(),
            Path::new(name),
            how,
            ResolveFlag::RESOLVE_BENEATH,
        )
    }

    /// A new link; EEXIST when anything is there.
    pub fn symlink(&self, path: &Path, leads_to: &Path) -> nix::Result<()> {
        let (parent, name) = self.parent(path)?;
        symlinkat(leads_to, Some(parent.as_raw_fd()), name)
    }

    fn open(&self, path: &Path, how: OFlag) -> nix::Result<OwnedFd> {
        self.open_with(path, how, ResolveFlag::empty())
    }

    fn open_with(&self, path: &Path, how: OFlag, more: ResolveFlag) -> nix::Result<OwnedFd> {
        // The parent of a relative name is empty, which the kernel does not take for "here".
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let inside = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        open_resolved(self.as_fd(), path, how, inside | more)
    }
}

/// The name at the end; `None` for the root itself. A path that ends in `..` has none to make.
fn last_name(path: &Path) -> nix::Result<Option<&OsStr>> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Ok(Some(name)),
        Some(Component::ParentDir) => Err(Errno::ENOENT),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn place() -> (tempfile::TempDir, Beneath) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        fs::write(dir.path().join("secret"), "host").unwrap();
        let root = fs::File::open(dir.path().join("root")).unwrap();
        (dir, Beneath::new(root.into()))
    }

    #[test]
    fn directories_are_made_beneath() {
        let (dir, beneath) = place();
        let root = dir.path().join("root");
        symlink("/etc/../../../srv", root.join("up")).unwrap();
        fs::create_dir(root.join("srv")).unwrap();
        beneath
            .make_dirs(Path::new("/up/a/b"), Links::Follow)
            .unwrap();
        assert!(root.join("srv/a/b").is_dir());
        beneath
            .make_dirs(Path::new("up/a/b"), Links::Follow)
            .unwrap();
        beneath.make_dirs(Path::new("/"), Links::Refuse).unwrap();
        assert_eq!(
            beneath
                .make_dirs(Path::new("/up/a/b"), Links::Refuse)
                .unwrap_err(),
            Errno::ELOOP
        );
    }

    #[test]
    fn a_link_to_nowhere_is_not_made_a_directory() {
        let (dir, beneath) = place();
        symlink("/elsewhere", dir.path().join("root/gone")).unwrap();
        let made = beneath.make_dirs(Path::new("/gone/x"), Links::Follow);
        assert!(
            matches!(made, Err(Errno::ENOTDIR | Errno::ELOOP)),
            "{made:?}"
        );
        assert!(!dir.path().join("root/elsewhere").exists());
        let up = beneath.make_dirs(Path::new("/no/.."), Links::Follow);
        assert_eq!(up.unwrap_err(), Errno::ENOENT);
    }

    #[test]
    fn links_stay_inside() {
        let (dir, beneath) = place();
        let root = dir.path().join("root");
        symlink("../secret", root.join("near")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        assert_eq!(
            beneath.resolve(Path::new("near")).unwrap_err(),
            Errno::ENOENT
        );
        assert_eq!(
            beneath.resolve(Path::new("magic")).unwrap_err(),
            Errno::ENOENT
        );
        assert_eq!(
            beneath.readlink(Path::new("near")).unwrap(),
            Path::new("../secret")
        );
        assert_eq!(
            beneath.create_file(Path::new("near")).unwrap_err(),
            Errno::EEXIST
        );
        beneath
            .symlink(Path::new("/etc/new/link"), Path::new("to"))
            .unwrap();
        assert_eq!(
            fs::read_link(root.join("etc/new/link")).unwrap(),
            Path::new("to")
        );
        beneath.create_file(Path::new("/etc/new/file")).unwrap();
        assert!(root.join("etc/new/file").is_file());
    }
}
