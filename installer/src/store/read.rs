//! Commits of the repository as trees in memory. Every object is looked at, none is hashed but
//! the small ones.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ostree::glib::{FileError, Variant};
use ostree::{ObjectType, Repo, gio};

use super::layer::LayerTree;
use super::name::DEPTH_LIMIT;
use super::record::{self, Record};
use super::tree::{Dir, Meta, Node, Object, S_IFLNK, S_IFREG, Tree};
use super::write::object_path;
use super::{Error, Store, object, refs};
use crate::image::{Digest, Layer};

/// Names and values of extended attributes, at most (linux/limits.h).
const XATTR_LIMIT: usize = 65_536;

/// A commit, its own checksum verified.
pub(super) struct Commit {
    pub record: Record,
    /// Seconds since 1970.
    pub time: u64,
    root: (String, String),
}

impl Store {
    /// Whether the layer is there with every object that it needs, none of them missing or cut.
    pub fn has_layer(&self, layer: &Layer) -> Result<bool, Error> {
        let repo = self.handle()?;
        let _lock = self.lock(&repo)?;
        match self.layer(&repo, &layer.digest) {
            Ok(_) => Ok(true),
            Err(Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The files of a commit.
    pub fn tree_of_commit(&self, commit: &str) -> Result<Tree, Error> {
        let repo = self.handle()?;
        let _lock = self.lock(&repo)?;
        let found = self.commit(&repo, commit, commit)?;
        self.tree(&repo, &found, commit)
    }

    /// The repository's shared lock: nothing is pruned away while it is held.
    pub(super) fn lock<'r>(&self, repo: &'r Repo) -> Result<super::ffi::SharedLock<'r>, Error> {
        let lock = super::ffi::SharedLock::take(repo);
        lock.map_err(|source| Error::Lock {
            path: self.path.clone(),
            source,
        })
    }

    /// What a layer holds; [`Error::Damaged`] when it is not there or not whole.
    pub(super) fn layer(&self, repo: &Repo, digest: &Digest) -> Result<LayerTree, Error> {
        let what = format!("layer {digest}");
        let damaged = |state| self.damaged(&what, state);
        let commit = self.resolve(repo, &refs::layer(digest))?;
        let commit = self.commit(repo, &commit.ok_or_else(|| damaged("missing"))?, &what)?;
        let tree = self.tree(repo, &commit, &what)?;
        if commit
            .record
            .content_size()
            .is_some_and(|size| size != record::content_size(&tree))
        {
            return Err(damaged("not whole: a file has not its size"));
        }
        let (implied, links) = (commit.record.implied(), commit.record.links());
        Ok(LayerTree {
            tree,
            implied,
            links,
        })
    }

    pub(super) fn commit(&self, repo: &Repo, sum: &str, what: &str) -> Result<Commit, Error> {
        let reader = Reader::new(self, repo, what);
        let commit = reader.metadata(ObjectType::Commit, sum)?;
        let malformed = || self.damaged(what, "malformed");
        let hex = |at| object::hex(&commit.child_value(at)).ok_or_else(malformed);
        let time = commit.child_value(5).get::<u64>().ok_or_else(malformed)?;
        Ok(Commit {
            record: Record::new(&commit.child_value(0)),
            time: u64::from_be(time),
            root: (hex(6)?, hex(7)?),
        })
    }

    pub(super) fn tree(&self, repo: &Repo, commit: &Commit, what: &str) -> Result<Tree, Error> {
        let mut reader = Reader::new(self, repo, what);
        let root = reader.folder("", &commit.root.0, &commit.root.1)?;
        Ok(Tree { root })
    }

    pub(super) fn damaged(&self, what: &str, state: &'static str) -> Error {
        Error::Damaged {
            what: what.to_owned(),
            repo: self.path.clone(),
            state,
        }
    }
}

struct Reader<'a> {
    store: &'a Store,
    repo: &'a Repo,
    /// Named by errors: the layer or commit.
    what: &'a str,
    metas: HashMap<String, Meta>,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(store: &'a Store, repo: &'a Repo, what: &'a str) -> Self {
        Self {
            store,
            repo,
            what,
            metas: HashMap::new(),
            buffer: vec![0; XATTR_LIMIT],
        }
    }

    fn damaged(&self, path: &str, state: &'static str) -> Error {
        let what = format!("{path} of {}", self.what);
        self.store
            .damaged(if path.is_empty() { self.what } else { &what }, state)
    }

    fn metadata(&self, kind: ObjectType, sum: &str) -> Result<Variant, Error> {
        let found = self.repo.load_variant(kind, sum).map_err(|source| {
            let missing =
                source.matches(gio::IOErrorEnum::NotFound) || source.matches(FileError::Noent);
            self.damaged("", if missing { "missing" } else { "unreadable" })
        })?;
        // libostree takes a metadata object for what its name says; a cut one would read as an
        // empty folder.
        if Digest::of(found.data()).hex() == sum {
            Ok(found)
        } else {
            Err(self.damaged("", "not whole"))
        }
    }

    fn folder(&mut self, path: &str, tree: &str, meta: &str) -> Result<Dir, Error> {
        if path.split('/').count() > 2 * DEPTH_LIMIT {
            return Err(self.damaged(path, "too deep"));
        }
        let mut dir = Dir::new(self.meta(meta)?);
        let tree = self.metadata(ObjectType::DirTree, tree)?;
        for file in tree.child_value(0).iter() {
            let (name, path) = self.entry(path, &file)?;
            let sum = object::hex(&file.child_value(1));
            let sum = sum.ok_or_else(|| self.damaged(&path, "malformed"))?;
            dir.entries
                .insert(name, Node::Object(self.object(&path, sum)?));
        }
        for folder in tree.child_value(1).iter() {
            let (name, path) = self.entry(path, &folder)?;
            let sums = (
                object::hex(&folder.child_value(1)),
                object::hex(&folder.child_value(2)),
            );
            let (Some(tree), Some(meta)) = sums else {
                return Err(self.damaged(&path, "malformed"));
            };
            dir.entries
                .insert(name, Node::Dir(self.folder(&path, &tree, &meta)?));
        }
        Ok(dir)
    }

    /// An entry's name, which another program may have written, and its path.
    fn entry(&self, folder: &str, entry: &Variant) -> Result<(String, String), Error> {
        let name = entry.child_value(0).get::<String>().unwrap_or_default();
        if matches!(name.as_str(), "" | "." | "..") || name.contains('/') {
            return Err(self.damaged(folder, "malformed"));
        }
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        Ok((name, path))
    }

    fn meta(&mut self, sum: &str) -> Result<Meta, Error> {
        if let Some(meta) = self.metas.get(sum) {
            return Ok(meta.clone());
        }
        let found = self.metadata(ObjectType::DirMeta, sum)?;
        let number = |at| found.child_value(at).get::<u32>().map_or(0, u32::from_be);
        let bytes = |value: Variant| value.fixed_array::<u8>().unwrap_or_default().to_vec();
        let xattrs = found.child_value(3).iter().map(|pair| {
            let mut name = bytes(pair.child_value(0));
            name.truncate(name.len().saturating_sub(1));
            (name, bytes(pair.child_value(1)))
        });
        let meta = Meta {
            uid: number(0),
            gid: number(1),
            mode: number(2),
            xattrs: xattrs.collect(),
        };
        self.metas.insert(sum.to_owned(), meta.clone());
        Ok(meta)
    }

    /// In a bare repository an object is the file itself, with owner, mode and xattrs.
    fn object(&mut self, path: &str, checksum: String) -> Result<Object, Error> {
        let file = object_path(&self.store.path, &checksum, "file");
        let unreadable = |source: &io::Error| match source.kind() {
            io::ErrorKind::NotFound => "missing",
            _ => "unreadable",
        };
        let found = fs::symlink_metadata(&file);
        let found = found.map_err(|source| self.damaged(path, unreadable(&source)))?;
        let xattrs = self.xattrs(&file);
        let xattrs = xattrs.map_err(|source| self.damaged(path, unreadable(&source)))?;
        let meta = Meta {
            uid: found.uid(),
            gid: found.gid(),
            mode: found.mode(),
            xattrs,
        };
        let (size, target) = match meta.mode & 0o170_000 {
            S_IFREG => (found.len(), None),
            S_IFLNK => (0, Some(self.target(path, &file)?)),
            _ => return Err(self.damaged(path, "neither file nor link")),
        };
        let object = Object {
            checksum,
            meta,
            size,
            target,
        };
        if object.size == 0 && object.target.is_none() && !is_empty_file(&object) {
            return Err(self.damaged(path, "empty, and should not be"));
        }
        Ok(object)
    }

    fn target(&self, path: &str, file: &Path) -> Result<String, Error> {
        let target: Result<PathBuf, _> = fs::read_link(file);
        let text = target
            .ok()
            .and_then(|t| String::from_utf8(t.into_os_string().into_vec()).ok());
        text.ok_or_else(|| self.damaged(path, "unreadable"))
    }

    fn xattrs(&mut self, file: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let length = rustix::fs::llistxattr(file, self.buffer.as_mut_slice())?;
        let names = self.buffer[..length]
            .split(|byte| *byte == 0)
            .filter(|n| !n.is_empty());
        let names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
        let mut xattrs = Vec::with_capacity(names.len());
        for name in names {
            let length = rustix::fs::lgetxattr(file, &name[..], self.buffer.as_mut_slice())?;
            xattrs.push((name, self.buffer[..length].to_vec()));
        }
        xattrs.sort();
        Ok(xattrs)
    }
}

/// A power cut leaves files of no size under names that are not an empty file's.
fn is_empty_file(object: &Object) -> bool {
    object::content_checksum(&object::file_header(&object.meta, "")) == object.checksum
}
