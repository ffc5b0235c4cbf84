//! Objects into the repository, under checksums of our own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use ostree::{ObjectType, Repo, gio, glib};
use sha2::{Digest as _, Sha256};

use super::archive::Failure;
use super::error::writing;
use super::object::{self, Encoded};
use super::tree::{Dir, Meta, Node};
use super::{Error, Store, ffi};
use crate::failpoint::{Point, pass};
use crate::image::Digest;

/// Files up to this size are hashed and handed over in memory; larger ones go through an unnamed
/// file beside the repository's other temporary files, since their name must be known first.
const IN_MEMORY: u64 = 4 << 20;

/// What stops the writing of a file: its source, or the repository.
pub(super) enum Stop {
    Source(Failure),
    Store(Error),
}

/// Writes objects within a transaction of `repo`.
pub(super) struct Writer<'a> {
    path: &'a Path,
    repo: &'a Repo,
    /// Metadata objects of this transaction; most folders share their owner and mode.
    written: RefCell<HashSet<String>>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a Store, repo: &'a Repo) -> Self {
        Self {
            path: &store.path,
            repo,
            written: RefCell::default(),
        }
    }

    /// Stores a regular file of `size` bytes and returns its checksum. `shown` names it.
    pub(super) fn file(
        &self,
        shown: &str,
        meta: &Meta,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<String, Stop> {
        let header = object::file_header(meta, "");
        if size > IN_MEMORY {
            return self.large(shown, &header, size, content);
        }
        let mut object = header;
        object.reserve_exact(size as usize);
        content
            .read_to_end(&mut object)
            .map_err(|source| Stop::Source(source.into()))?;
        self.in_memory(shown, object, Some(size))
            .map_err(Stop::Store)
    }

    /// Stores a symbolic link.
    pub(super) fn symlink(&self, shown: &str, meta: &Meta, to: &str) -> Result<String, Error> {
        self.in_memory(shown, object::file_header(meta, to), None)
    }

    /// Stores a file without content.
    pub(super) fn empty(&self, shown: &str, meta: &Meta) -> Result<String, Error> {
        self.in_memory(shown, object::file_header(meta, ""), Some(0))
    }

    /// Stores the folders of a tree whose files are stored; returns the checksums of the root's
    /// entries and of its own owner and mode.
    pub(super) fn folder(&self, dir: &Dir) -> Result<(String, String), Error> {
        let mut files = Vec::new();
        let mut folders = Vec::new();
        for (name, node) in &dir.entries {
            match node {
                Node::Object(object) => files.push((name.as_str(), object.checksum.clone())),
                Node::EmptyFile => {
                    files.push((name.as_str(), self.empty(name, &Meta::file())?));
                }
                Node::Dir(dir) => {
                    let (tree, meta) = self.folder(dir)?;
                    folders.push((name.as_str(), tree, meta));
                }
            }
        }
        let meta = self.metadata(ObjectType::DirMeta, object::dirmeta(&dir.meta))?;
        let tree = self.metadata(ObjectType::DirTree, object::dirtree(files, folders))?;
        Ok((tree, meta))
    }

    /// Stores a metadata object and returns its checksum.
    pub(super) fn metadata(&self, kind: ObjectType, object: Encoded) -> Result<String, Error> {
        if !self.written.borrow_mut().insert(object.checksum.clone()) {
            return Ok(object.checksum);
        }
        let extension = match kind {
            ObjectType::DirTree => "dirtree",
            ObjectType::DirMeta => "dirmeta",
            _ => "commit",
        };
        self.remove_damaged(&object.checksum, extension, object.variant.size() as u64)?;
        self.pass()?;
        let cancel = gio::Cancellable::NONE;
        let written =
            self.repo
                .write_metadata_trusted(kind, &object.checksum, &object.variant, cancel);
        written.map_err(|source| self.failed(extension, source))?;
        Ok(object.checksum)
    }

    fn in_memory(&self, shown: &str, object: Vec<u8>, size: Option<u64>) -> Result<String, Error> {
        let checksum = object::content_checksum(&object);
        let length = object.len() as u64;
        let stream = gio::MemoryInputStream::from_bytes(&glib::Bytes::from_owned(object));
        self.hand_over(shown, &checksum, (&stream, length), size)?;
        Ok(checksum)
    }

    fn large(
        &self,
        shown: &str,
        header: &[u8],
        size: u64,
        content: &mut dyn Read,
    ) -> Result<String, Stop> {
        let mut hasher = Sha256::new_with_prefix(header);
        let mut spool = self
            .spool(header)
            .map_err(|source| Stop::Store(self.spool_failed(source)))?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let got = content
                .read(&mut buffer)
                .map_err(|source| Stop::Source(source.into()))?;
            if got == 0 {
                break;
            }
            hasher.update(&buffer[..got]);
            let written = spool.write_all(&buffer[..got]);
            written.map_err(|source| Stop::Store(self.spool_failed(source)))?;
        }
        spool
            .rewind()
            .map_err(|source| Stop::Store(self.spool_failed(source)))?;
        let checksum = Digest::finish(hasher).hex().to_owned();
        let stream = ffi::stream(spool.into());
        let length = header.len() as u64 + size;
        let handed = self.hand_over(shown, &checksum, (&stream, length), Some(size));
        handed.map(|()| checksum).map_err(Stop::Store)
    }

    fn spool(&self, header: &[u8]) -> io::Result<std::fs::File> {
        let mut spool = tempfile::tempfile_in(self.path.join("tmp"))?;
        spool.write_all(header)?;
        Ok(spool)
    }

    fn spool_failed(&self, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::StorageFull {
            return Error::NoSpace {
                repo: self.path.to_owned(),
                reason: source.to_string(),
            };
        }
        Error::Folder {
            action: "write a temporary file in",
            path: self.path.join("tmp"),
            source,
        }
    }

    fn hand_over(
        &self,
        shown: &str,
        checksum: &str,
        (stream, length): (&impl glib::object::IsA<gio::InputStream>, u64),
        size: Option<u64>,
    ) -> Result<(), Error> {
        if let Some(size) = size {
            self.remove_damaged(checksum, "file", size)?;
        }
        self.pass()?;
        let cancel = gio::Cancellable::NONE;
        let written = self
            .repo
            .write_content_trusted(checksum, stream, length, cancel);
        written.map_err(|source| self.failed(shown, source))
    }

    /// libostree takes an object that has the right name for the right object. One of the wrong
    /// size, left by a power cut or a bad disk, would stay for ever.
    fn remove_damaged(&self, checksum: &str, kind: &str, size: u64) -> Result<(), Error> {
        let path = object_path(self.path, checksum, kind);
        let damaged = std::fs::symlink_metadata(&path).is_ok_and(|found| found.len() != size);
        if !damaged {
            return Ok(());
        }
        let removed = std::fs::remove_file(&path);
        removed.map_err(|source| Error::Folder {
            action: "remove the damaged",
            path,
            source,
        })
    }

    fn pass(&self) -> Result<(), Error> {
        pass(Point::ObjectWrite).map_err(|source| self.spool_failed(source))
    }

    fn failed(&self, what: &str, source: glib::Error) -> Error {
        writing(self.path, source, |source| Error::WriteObject {
            what: what.to_owned(),
            repo: self.path.to_owned(),
            source,
        })
    }
}

/// Where a bare repository keeps an object.
pub(super) fn object_path(repo: &Path, checksum: &str, kind: &str) -> PathBuf {
    let (first, rest) = checksum.split_at(checksum.len().min(2));
    repo.join(format!("objects/{first}/{rest}.{kind}"))
}
