//! Whether what is stored is still what was stored.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ostree::{ObjectType, gio};

use super::tree::Node;
use super::write::object_path;
use super::{Error, Store};

/// Objects that were looked at, and whether each is whole.
#[derive(Debug, Default)]
pub struct Verified(BTreeMap<String, bool>);

/// Something is not as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The path in the image.
    pub path: String,
    /// The object's checksum.
    pub object: String,
    /// What is wrong.
    pub problem: &'static str,
}

impl Store {
    /// Reads every object of the tree of `commit`, unless `seen` has it, and compares `rootfs` with
    /// it, the folder that was made from it.
    pub fn verify_tree(
        &self,
        commit: &str,
        rootfs: Option<&Path>,
        seen: &mut Verified,
    ) -> Result<Vec<Damage>, Error> {
        let tree = self.tree_of_commit(commit)?;
        let repo = self.handle()?;
        let _lock = self.lock(&repo)?;
        let mut damages = Vec::new();
        for (path, node) in tree.iter() {
            let Node::Object(object) = node else {
                continue;
            };
            let whole = *seen.0.entry(object.checksum.clone()).or_insert_with(|| {
                let checked =
                    repo.fsck_object(ObjectType::File, &object.checksum, gio::Cancellable::NONE);
                checked.is_ok()
            });
            let stored = object_path(&self.path, &object.checksum, "file");
            let problem = if whole {
                rootfs.and_then(|rootfs| compare(&rootfs.join(&path), &stored))
            } else if stored.symlink_metadata().is_ok() {
                Some("its object is damaged")
            } else {
                Some("its object is missing")
            };
            damages.extend(problem.map(|problem| Damage {
                path: format!("/{path}"),
                object: object.checksum.clone(),
                problem,
            }));
        }
        Ok(damages)
    }
}

/// What is wrong with the file at `placed`, which was linked from `stored`, or copied where there
/// was no link to be had, or made anew where it is empty.
fn compare(placed: &Path, stored: &Path) -> Option<&'static str> {
    let (Ok(placed_is), Ok(stored_is)) = (placed.symlink_metadata(), stored.symlink_metadata())
    else {
        return Some("it is missing in the deployment");
    };
    let same_inode = (placed_is.dev(), placed_is.ino()) == (stored_is.dev(), stored_is.ino());
    let same = same_inode
        || (placed_is.len() == stored_is.len()
            && std::fs::read(placed).ok() == std::fs::read(stored).ok());
    (!same).then_some("it differs in the deployment")
}
