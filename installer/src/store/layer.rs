//! A layer's tree while its tar is read: later entries win, hard links find their files.

use std::collections::{BTreeMap, BTreeSet};

use super::error::BadEntry;
use super::tree::{Dir, Meta, Node, Object, Tree};
use super::walk::Last;

/// Names followed from one pending hard link to the next, at most.
const CHAIN_LIMIT: usize = 40;

/// What one layer holds, whiteouts as the files they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LayerTree {
    pub tree: Tree,
    /// Folders that no entry describes: they exist only since something is in them, and must
    /// not change a lower layer's folder. The root is the empty path.
    pub implied: BTreeSet<String>,
    /// Hard links to files of lower layers: name and target.
    pub links: BTreeMap<String, String>,
}

/// Builds a [`LayerTree`], entry by entry. Paths have been through `name`.
pub(super) struct Builder {
    layer: LayerTree,
}

impl Builder {
    pub(super) fn new() -> Self {
        let implied = BTreeSet::from([String::new()]);
        Self {
            layer: LayerTree {
                tree: Tree::empty(),
                implied,
                links: BTreeMap::new(),
            },
        }
    }

    /// A folder's own entry.
    pub(super) fn dir(&mut self, path: &str, meta: Meta) {
        if path.is_empty() {
            self.layer.tree.root.meta = meta;
        } else {
            self.layer.links.remove(path);
            let (folder, name) = self.parent(path);
            folder.subdir(name).meta = meta;
        }
        self.layer.implied.remove(path);
    }

    /// A file, symbolic link or whiteout.
    pub(super) fn object(&mut self, path: &str, object: Object) {
        self.clear(path);
        let (folder, name) = self.parent(path);
        folder.entries.insert(name.to_owned(), Node::Object(object));
    }

    /// A further name for the file `target`, which may come later, or from a lower layer.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<(), BadEntry> {
        if path == target {
            return Ok(());
        }
        match self.layer.tree.find(target, Last::Keep) {
            Some(Node::Object(object)) => {
                let object = object.clone();
                self.object(path, object);
            }
            // A folder here may be implied and cover a lower layer's file, but never a good one.
            Some(_) => return Err(BadEntry::TargetIsDir(target.to_owned())),
            None => {
                self.clear(path);
                let (folder, name) = self.parent(path);
                folder.entries.remove(name);
                self.layer.links.insert(path.to_owned(), target.to_owned());
            }
        }
        Ok(())
    }

    /// Gives the links whose target came later their file; the others are left for the merge.
    pub(super) fn finish(mut self) -> LayerTree {
        let pending = std::mem::take(&mut self.layer.links);
        for path in pending.keys() {
            let target = end_of_chain(&pending, path);
            match self.layer.tree.find(target, Last::Keep) {
                Some(Node::Object(object)) => {
                    let object = object.clone();
                    let (folder, name) = self.parent(path);
                    folder.entries.insert(name.to_owned(), Node::Object(object));
                }
                _ => {
                    self.layer.links.insert(path.clone(), target.to_owned());
                }
            }
        }
        self.layer
    }

    /// The folder that `path` is in, and the last part of `path`. Parents that no entry names are
    /// made, 0755 root; a link among them gives way to a folder, so that nothing in a layer is
    /// reached through its own links.
    fn parent<'p>(&mut self, path: &'p str) -> (&mut Dir, &'p str) {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = &mut self.layer.tree.root;
        let mut end = 0;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            end += part.len() + usize::from(end > 0);
            if !matches!(dir.entries.get(part), Some(Node::Dir(_))) {
                self.layer.implied.insert(folders[..end].to_owned());
                self.layer.links.remove(&folders[..end]);
            }
            dir = dir.subdir(part);
        }
        (dir, name)
    }

    /// Forgets what was noted about `path` and below it, since another entry takes its place.
    fn clear(&mut self, path: &str) {
        self.layer.links.remove(path);
        let node = self.layer.tree.find(path, Last::Keep);
        if self.layer.implied.remove(path) || matches!(node, Some(Node::Dir(_))) {
            // '0' is the byte after '/'.
            let below = format!("{path}/")..format!("{path}0");
            self.layer
                .implied
                .extract_if(below.clone(), |_| true)
                .for_each(drop);
            self.layer
                .links
                .extract_if(below, |_, _| true)
                .for_each(drop);
        }
    }
}

/// Follows links to links; a circle ends after some steps, and then finds no file.
fn end_of_chain<'l>(pending: &'l BTreeMap<String, String>, path: &'l str) -> &'l str {
    let mut target = path;
    for _ in 0..CHAIN_LIMIT {
        match pending.get(target) {
            Some(next) => target = next,
            None => break,
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::object;
    use super::*;

    fn checksum<'t>(layer: &'t LayerTree, path: &str) -> Option<&'t str> {
        match layer.tree.find(path, Last::Keep)? {
            Node::Object(object) => Some(&object.checksum),
            _ => None,
        }
    }

    #[test]
    fn the_later_entry_wins() {
        let mut layer = Builder::new();
        layer.object("a", object("1", None));
        layer.object("a", object("2", None));
        layer.object("b/c", object("3", None));
        layer.object("b", object("4", None));
        layer.object("d", object("5", None));
        layer.object("d/e", object("6", None));
        layer.link("d/l", "none").unwrap();
        layer.object("d/l", object("7", None));
        let layer = layer.finish();
        for (path, content) in [("a", "2"), ("b", "4"), ("d/e", "6"), ("d/l", "7")] {
            assert_eq!(checksum(&layer, path), Some(content), "{path}");
        }
        assert!(layer.links.is_empty());
        assert_eq!(
            layer.implied,
            BTreeSet::from([String::new(), "d".to_owned()])
        );
    }

    #[test]
    fn a_path_through_a_link_of_the_same_layer_makes_it_a_folder() {
        let mut layer = Builder::new();
        layer.object("esc", object("", Some("/tmp")));
        layer.object("esc/p", object("p", None));
        let layer = layer.finish();
        assert_eq!(checksum(&layer, "esc/p"), Some("p"));
        assert!(layer.tree.lookup("tmp").is_none());
    }

    #[test]
    fn hard_links_find_files_before_and_after_them() {
        let mut layer = Builder::new();
        layer.link("x/early", "y/file").unwrap();
        layer.link("x/chain", "x/early").unwrap();
        layer.object("y/file", object("f", None));
        layer.link("late", "y/file").unwrap();
        layer.link("lower", "usr/bin/lower").unwrap();
        layer.link("lower2", "lower").unwrap();
        layer.link("self", "self").unwrap();
        layer.link("ring1", "ring2").unwrap();
        layer.link("ring2", "ring1").unwrap();
        let layer = layer.finish();
        for path in ["x/early", "x/chain", "late"] {
            assert_eq!(checksum(&layer, path), Some("f"), "{path}");
        }
        assert_eq!(layer.links["lower"], "usr/bin/lower");
        assert_eq!(layer.links["lower2"], "usr/bin/lower");
        assert!(
            layer.links.contains_key("ring1"),
            "found missing when layers are merged"
        );
        assert!(!layer.links.contains_key("self"));
    }

    #[test]
    fn folders_are_no_targets_and_their_own_entry_ends_being_implied() {
        let mut layer = Builder::new();
        layer.object("a/b/c", object("", None));
        assert!(matches!(
            layer.link("l", "a/b"),
            Err(BadEntry::TargetIsDir(_))
        ));
        layer.dir("a/b", Meta::dir());
        assert_eq!(
            layer.finish().implied,
            BTreeSet::from([String::new(), "a".to_owned()])
        );
    }
}
