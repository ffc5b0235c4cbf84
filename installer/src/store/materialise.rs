//! A tree as a folder of hard links to the repository's objects.
//!
//! Everything is made through descriptors of folders that were made here, one name at a time, so
//! no link of an image is ever followed. Nothing that shares an inode with an object is written,
//! chmodded or touched: what is to be different is created.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::tree::{Dir, Meta, Node, Object, Tree};
use super::write::object_path;
use super::{Error, Store};
use crate::failpoint::{Point, pass};

/// How the files of a tree came to their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Materialised {
    /// Files and symbolic links that are names of the repository's objects.
    pub linked: u64,
    /// Files without content, made anew: a shared one would share its locks, and links run out.
    pub created: u64,
    /// Files whose object has as many links as the file system allows.
    pub copied: u64,
}

impl Store {
    /// Makes `tree` in the folder `dest`, which must be empty, and on the same mount as the
    /// repository. The folder itself gets the root's owner, mode and attributes. After an error,
    /// the folder holds a part, which the caller removes. Nothing is synced here: one
    /// `syncfs` after all of a deployment has been written is enough.
    pub fn materialise(&self, tree: &Tree, dest: impl AsFd) -> Result<Materialised, Error> {
        let repo = self.handle()?;
        let _lock = self.lock(&repo)?;
        let path = self.path.join("objects");
        let objects = fs::open(&path, DIRECTORY, Mode::empty());
        let objects = objects.map_err(|e| Error::Folder {
            action: "open",
            path,
            source: e.into(),
        })?;
        let mut work = Work {
            store: self,
            objects,
            done: Materialised::default(),
        };
        let root = dest.as_fd();
        expect_empty(root).map_err(|source| place("fill", "/", source))?;
        work.entries(root, &tree.root, "")?;
        dress(root, &tree.root.meta)
            .map_err(|source| place("set the owner and mode of", "/", source))?;
        Ok(work.done)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

struct Work<'a> {
    store: &'a Store,
    objects: OwnedFd,
    done: Materialised,
}

impl Work<'_> {
    fn entries(&mut self, into: BorrowedFd<'_>, dir: &Dir, path: &str) -> Result<(), Error> {
        for (name, node) in &dir.entries {
            let path = format!("{path}/{name}");
            pass(Point::TreeLink).map_err(|source| place("make", &path, source))?;
            match node {
                Node::Dir(dir) => self.folder(into, name, dir, &path)?,
                Node::EmptyFile => self.create(into, name, &Meta::file(), &path)?,
                Node::Object(object) => self.object(into, name, object, &path)?,
            }
        }
        Ok(())
    }

    /// The mode comes last, so that a folder without write permission can be filled.
    fn folder(
        &mut self,
        into: BorrowedFd<'_>,
        name: &str,
        dir: &Dir,
        path: &str,
    ) -> Result<(), Error> {
        let failed = |action| move |e: Errno| place(action, path, e.into());
        fs::mkdirat(into, name, Mode::RWXU).map_err(failed("create"))?;
        let folder = fs::openat(into, name, DIRECTORY, Mode::empty()).map_err(failed("open"))?;
        self.entries(folder.as_fd(), dir, path)?;
        let dressed = dress(folder.as_fd(), &dir.meta);
        dressed.map_err(|source| place("set the owner and mode of", path, source))
    }

    fn object(
        &mut self,
        into: BorrowedFd<'_>,
        name: &str,
        object: &Object,
        path: &str,
    ) -> Result<(), Error> {
        self.check(object, path)?;
        if object.target.is_none() && object.size == 0 {
            return self.create(into, name, &object.meta, path);
        }
        let from = relative(&object.checksum);
        match fs::linkat(&self.objects, &from, into, name, AtFlags::empty()) {
            Ok(()) => self.done.linked += 1,
            Err(Errno::MLINK) => {
                let copied = self.copy(into, name, object);
                copied.map_err(|source| place("copy", path, source))?;
                self.done.copied += 1;
            }
            Err(e) => return Err(place("link", path, e.into())),
        }
        Ok(())
    }

    /// An object that is gone or was cut after the tree was read must not become a file.
    fn check(&self, object: &Object, path: &str) -> Result<(), Error> {
        let found = fs::statat(
            &self.objects,
            relative(&object.checksum),
            AtFlags::SYMLINK_NOFOLLOW,
        );
        let found = match found {
            Ok(found) => found,
            Err(Errno::NOENT) => return Err(self.store.damaged(path, "missing")),
            Err(e) => return Err(place("look at the object of", path, e.into())),
        };
        let whole = match (&object.target, FileType::from_raw_mode(found.st_mode)) {
            (None, FileType::RegularFile) => found.st_size as u64 == object.size,
            (Some(target), FileType::Symlink) => found.st_size as usize == target.len(),
            _ => false,
        };
        if whole {
            Ok(())
        } else {
            Err(self.store.damaged(path, "not whole"))
        }
    }

    fn create(
        &mut self,
        into: BorrowedFd<'_>,
        name: &str,
        meta: &Meta,
        path: &str,
    ) -> Result<(), Error> {
        let created = new_file(into, name).and_then(|file| dress_file(&file, meta));
        created.map_err(|source| place("create", path, source))?;
        self.done.created += 1;
        Ok(())
    }

    fn copy(&self, into: BorrowedFd<'_>, name: &str, object: &Object) -> io::Result<()> {
        if let Some(target) = &object.target {
            fs::symlinkat(target.as_str(), into, name)?;
            let (uid, gid) = owner(&object.meta);
            return Ok(fs::chownat(
                into,
                name,
                uid,
                gid,
                AtFlags::SYMLINK_NOFOLLOW,
            )?);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = fs::openat(
            &self.objects,
            relative(&object.checksum),
            flags,
            Mode::empty(),
        )?;
        let to = new_file(into, name)?;
        // Shares blocks where the file system can, else copies inside the kernel.
        io::copy(&mut File::from(from), &mut &to)?;
        dress_file(&to, &object.meta)
    }
}

fn new_file(into: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    Ok(fs::openat(into, name, NEW_FILE, Mode::RUSR | Mode::WUSR)?.into())
}

/// Times are 0, as those of the linked files are.
fn dress_file(file: &File, meta: &Meta) -> io::Result<()> {
    dress(file.as_fd(), meta)?;
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Ok(fs::futimens(
        file,
        &Timestamps {
            last_access: zero,
            last_modification: zero,
        },
    )?)
}

/// Owner first: chown(2) takes the setuid bit and file capabilities away.
fn dress(node: BorrowedFd<'_>, meta: &Meta) -> io::Result<()> {
    let (uid, gid) = owner(meta);
    fs::fchown(node, uid, gid)?;
    for (name, value) in &meta.xattrs {
        fs::fsetxattr(node, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(fs::fchmod(node, Mode::from_raw_mode(meta.mode & 0o7777))?)
}

fn owner(meta: &Meta) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
}

fn relative(checksum: &str) -> std::path::PathBuf {
    object_path(std::path::Path::new(""), checksum, "file")
        .iter()
        .skip(1)
        .collect()
}

fn expect_empty(folder: BorrowedFd<'_>) -> io::Result<()> {
    for entry in fs::Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
    }
    Ok(())
}

fn place(action: &'static str, path: &str, source: io::Error) -> Error {
    Error::Place {
        action,
        path: path.to_owned(),
        source,
    }
}
