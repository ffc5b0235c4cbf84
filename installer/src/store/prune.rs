//! Freeing what nothing needs, and telling what that would be.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use ostree::{RepoPruneFlags, gio};

use super::error::writing;
use super::tree::{Node, Tree};
use super::{Error, Store, refs};
use crate::failpoint::{Point, pass};

/// What was freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Layers that no image has any more.
    pub layers: usize,
    /// Objects.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The objects of a tree, each once, and their sizes.
pub type Objects = BTreeMap<String, u64>;

impl Store {
    /// Drops the layers that no image has, and then every object that no ref leads to. What a
    /// deployment stands on has a ref of its own. Waits for readers and writers of the repository
    /// to end, and they for it.
    pub fn prune(&self) -> Result<Pruned, Error> {
        let repo = self.handle()?;
        let mut layers = 0;
        for layer in self.layers()?.iter().filter(|layer| !layer.used) {
            self.delete(&repo, &refs::layer(&layer.digest))?;
            layers += 1;
        }
        let failed = |source| Error::Prune {
            path: self.path.clone(),
            source,
        };
        pass(Point::RepoPrune).map_err(|source| Error::Folder {
            action: "prune",
            path: self.path.clone(),
            source,
        })?;
        // The history of a host's own branches is not for us to cut.
        const WHOLE_HISTORY: i32 = -1;
        let flags = RepoPruneFlags::REFS_ONLY;
        let pruned = repo.prune(flags, WHOLE_HISTORY, gio::Cancellable::NONE);
        let (_, objects, bytes) = pruned.map_err(|source| writing(&self.path, source, failed))?;
        Ok(Pruned {
            layers,
            objects: usize::try_from(objects).unwrap_or_default(),
            bytes,
        })
    }

    /// Bytes of the layers that only unused layers have: what [`Store::prune`] would free, but for
    /// objects that an interrupted pull left.
    pub fn reclaimable(&self) -> Result<u64, Error> {
        let repo = self.handle()?;
        let (mut needed, mut unused) = (Objects::new(), Objects::new());
        for layer in self.layers()? {
            let found = self.layer(&repo, &layer.digest)?;
            let of = if layer.used { &mut needed } else { &mut unused };
            of.extend(objects(&found.tree));
        }
        for deployment in self.deployment_refs()? {
            needed.extend(objects(&self.tree_of_commit(&deployment.commit)?));
        }
        unused.retain(|checksum, _| !needed.contains_key(checksum));
        Ok(unused.values().sum())
    }

    /// Bytes on disk of all objects.
    pub fn size(&self) -> Result<u64, Error> {
        let failed = |source| Error::Folder {
            action: "read",
            path: self.path.join("objects"),
            source,
        };
        let mut size = 0;
        for folder in std::fs::read_dir(self.path.join("objects")).map_err(failed)? {
            let folder = folder.map_err(failed)?.path();
            for object in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                size += object.metadata().map_or(0, |found| found.blocks() * 512);
            }
        }
        Ok(size)
    }
}

/// The objects that `tree` consists of.
pub fn objects(tree: &Tree) -> Objects {
    let object = |node: &Node| match node {
        Node::Object(object) => Some((object.checksum.clone(), object.size)),
        Node::Dir(_) | Node::EmptyFile => None,
    };
    tree.iter().filter_map(|(_, node)| object(node)).collect()
}
