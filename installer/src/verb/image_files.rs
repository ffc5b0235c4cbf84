//! The contract's view of an image, on a tree of the store.

use crate::exports::{Entry, EntryKind, FilesError, ImageFiles};
use crate::store::tree::Node;
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
            let (mode, kind) = match node {
                Node::Dir(dir) => (dir.meta.mode, EntryKind::Dir),
                Node::EmptyFile => (0o644, EntryKind::File),
                Node::Object(object) => {
                    let link = object.target.clone().map(EntryKind::Link);
                    (object.meta.mode, link.unwrap_or(EntryKind::File))
                }
            };
            Entry {
                name: name.clone(),
                mode: mode & 0o7777,
                kind,
            }
        };
        Ok(Some(dir.entries.iter().map(entry).collect()))
    }
}
