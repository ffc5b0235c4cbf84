//! The contract's view of an image, on a tree of the store.

use crate::exports::{Entry, EntryKind, FilesError, ImageFiles, Xattrs};
use crate::store::tree::{Meta, Node};
use crate::store::{Store, Tree};

/// No file of the contract is larger: they are read into memory and interpreted.
const LIMIT: u64 = 64 << 20;

/// An image's files, where the store has them.
pub(super) struct StoredFiles<'a> {
    pub store: &'a Store,
    pub tree: &'a Tree,
}

impl ImageFiles for StoredFiles<'_> {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        match self.tree.lookup(path) {
            Some(Node::Dir(_)) => Ok(None),
            _ => Ok(self.store.read(self.tree, path, LIMIT)?),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FilesError> {
        let Some(Node::Dir(dir)) = self.tree.lookup(path) else {
            return Ok(None);
        };
        let entry = |(name, node): (&String, &Node)| {
            let mut xattrs = Xattrs::new();
            let (mode, kind) = match node {
                Node::Dir(dir) => (dir.meta.mode, EntryKind::Dir),
                Node::EmptyFile => (0o644, EntryKind::File),
                Node::Object(object) => {
                    let link = object.target.clone().map(EntryKind::Link);
                    xattrs = for_the_host(&object.meta);
                    (object.meta.mode, link.unwrap_or(EntryKind::File))
                }
            };
            Entry {
                name: name.clone(),
                mode: mode & 0o7777,
                kind,
                xattrs,
            }
        };
        Ok(Some(dir.entries.iter().map(entry).collect()))
    }
}

/// A label is the host's policy's to give; all other attributes are the file's own.
fn for_the_host(meta: &Meta) -> Xattrs {
    let own = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let name = String::from_utf8(name.clone()).ok()?;
        (name != "security.selinux").then(|| (name, value.clone()))
    };
    meta.xattrs.iter().filter_map(own).collect()
}
