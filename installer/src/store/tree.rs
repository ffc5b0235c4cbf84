//! A file tree in memory: what a layer holds, what layers merge to, what a deployment's root is.
//!
//! File contents stay in the repository: a regular file is the checksum of its object. Paths are
//! looked up here, in memory, never on the host's file system, so no link of an image can lead
//! out of the image.

use std::collections::{BTreeMap, btree_map};

use super::Error;
use super::walk::{Last, Walk};

/// Owner, mode and extended attributes of a directory, or of a file without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// File type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Name (without a terminating NUL) and value, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A directory and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    /// Owner, mode, xattrs.
    pub meta: Meta,
    /// By name; OSTree holds names in UTF-8 only.
    pub entries: BTreeMap<String, Node>,
}

/// An entry of a [`Dir`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir(Dir),
    /// A regular file or symbolic link: an object of the repository.
    Object(Object),
    /// A mount point that sysc adds for the deployment: an empty file that is no object.
    EmptyFile,
}

/// A regular file or a symbolic link, as the repository holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// OSTree checksum of the `.file` object, 64 hexadecimal digits.
    pub checksum: String,
    /// Owner, mode, xattrs; part of the checksum.
    pub meta: Meta,
    /// Size of a regular file in bytes; of a link, 0.
    pub size: u64,
    /// Where a symbolic link points.
    pub target: Option<String>,
}

/// The whole tree, from its root folder, and the lookups in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The root folder `/`.
    pub root: Dir,
}

impl Tree {
    /// A root folder, 0755, owned by root, with nothing in it.
    pub fn empty() -> Self {
        Self {
            root: Dir::new(Meta::dir()),
        }
    }

    /// The node at `path`. Symbolic links are followed as in a chroot: `/` and `..` end at the
    /// tree's own root, which itself is [`Tree::root`] and no node.
    pub fn lookup(&self, path: &str) -> Option<&Node> {
        self.find(path, Last::Follow)
    }

    /// Makes a mount point for a folder, with its missing parents. What exists is left as it is.
    pub fn ensure_dir(&mut self, path: &str) -> Result<(), Error> {
        self.ensure(path, || Node::Dir(Dir::new(Meta::dir())))
    }

    /// Makes a mount point for a file, with its missing parents. What exists is left as it is.
    pub fn ensure_file(&mut self, path: &str) -> Result<(), Error> {
        self.ensure(path, || Node::EmptyFile)
    }

    /// All nodes below the root with their paths (without a leading `/`), parents first, in the
    /// order of their bytes.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            open: vec![(String::new(), self.root.entries.iter())],
        }
    }

    pub(super) fn find(&self, path: &str, last: Last) -> Option<&Node> {
        let Walk::There(path) = self.walk(path, last) else {
            return None;
        };
        self.exact(&path)
    }

    /// The folder at `path`, links followed, and its path without links.
    pub(super) fn dir_mut(&mut self, path: &str) -> Option<(&mut Dir, Vec<String>)> {
        let Walk::There(path) = self.walk(path, Last::Follow) else {
            return None;
        };
        let dir = path
            .iter()
            .try_fold(&mut self.root, |dir, name| dir.dir_mut(name))?;
        Some((dir, path))
    }

    fn ensure(&mut self, path: &str, node: impl FnOnce() -> Node) -> Result<(), Error> {
        let (at, mut missing) = match self.walk(path, Last::Follow) {
            Walk::There(_) => return Ok(()),
            Walk::Missing(at, missing) => (at, missing),
            Walk::Blocked(at) => return Err(obstacle(path, &at.join("/"))),
            Walk::Circle => return Err(obstacle(path, path)),
        };
        let mut dir = &mut self.root;
        for name in &at {
            dir = dir.dir_mut(name).ok_or_else(|| obstacle(path, name))?;
        }
        let Some(last) = missing.pop() else {
            return Ok(());
        };
        for name in missing {
            dir = dir.subdir(&name);
        }
        dir.entries.insert(last, node());
        Ok(())
    }

    /// The node at a path without links.
    fn exact(&self, path: &[String]) -> Option<&Node> {
        let (last, folders) = path.split_last()?;
        let dir = folders
            .iter()
            .try_fold(&self.root, |dir, name| dir.dir(name))?;
        dir.entries.get(last)
    }
}

impl Dir {
    /// An empty folder.
    pub fn new(meta: Meta) -> Self {
        Self {
            meta,
            entries: BTreeMap::new(),
        }
    }

    fn dir(&self, name: &str) -> Option<&Self> {
        match self.entries.get(name) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    fn dir_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self.entries.get_mut(name) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    /// The folder `name`, which stands in the place of whatever else had that name.
    pub(super) fn subdir(&mut self, name: &str) -> &mut Self {
        let node = self
            .entries
            .entry(name.to_owned())
            .or_insert(Node::EmptyFile);
        if !matches!(node, Node::Dir(_)) {
            *node = Node::Dir(Self::new(Meta::dir()));
        }
        match node {
            Node::Dir(dir) => dir,
            _ => unreachable!("made a folder two lines above"),
        }
    }
}

impl Meta {
    /// What a folder has that no layer describes: root's, 0755.
    pub fn dir() -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode: S_IFDIR | 0o755,
            xattrs: Vec::new(),
        }
    }

    /// What a mount point's file has: root's, 0644.
    pub fn file() -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode: S_IFREG | 0o644,
            xattrs: Vec::new(),
        }
    }
}

/// File types in [`Meta::mode`].
pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFLNK: u32 = 0o120_000;

fn obstacle(path: &str, obstacle: &str) -> Error {
    Error::Obstacle {
        path: path.to_owned(),
        obstacle: obstacle.to_owned(),
    }
}

/// Made by [`Tree::iter`].
pub struct Iter<'a> {
    open: Vec<(String, btree_map::Iter<'a, String, Node>)>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (String, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (folder, entries) = self.open.last_mut()?;
            let Some((name, node)) = entries.next() else {
                self.open.pop();
                continue;
            };
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if let Node::Dir(dir) = node {
                self.open.push((path.clone(), dir.entries.iter()));
            }
            return Some((path, node));
        }
    }
}

impl<'a> IntoIterator for &'a Tree {
    type Item = (String, &'a Node);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file whose "checksum" is `content`, or a link.
    pub(in super::super) fn object(content: &str, target: Option<&str>) -> Object {
        let mut meta = Meta::file();
        if target.is_some() {
            meta.mode = S_IFLNK | 0o777;
        }
        let target = target.map(str::to_owned);
        Object {
            checksum: content.to_owned(),
            meta,
            size: content.len() as u64,
            target,
        }
    }

    /// `a/b` a file, `a/b -> x` a link, `a/` a folder.
    pub(in super::super) fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::empty();
        for path in paths {
            let (name, target) = path
                .split_once(" -> ")
                .map_or((*path, None), |(n, t)| (n, Some(t)));
            let (folder, last) = name
                .trim_end_matches('/')
                .rsplit_once('/')
                .unwrap_or(("", name));
            let mut dir = &mut tree.root;
            for part in folder.split('/').filter(|part| !part.is_empty()) {
                dir = dir.subdir(part);
            }
            if name.ends_with('/') {
                dir.subdir(last.trim_end_matches('/'));
            } else {
                dir.entries
                    .insert(last.to_owned(), Node::Object(object(last, target)));
            }
        }
        tree
    }

    #[test]
    fn lookup_follows_links_inside_the_tree_alone() {
        let tree = tree(&[
            "usr/bin/sh",
            "bin -> usr/bin",
            "abs -> /usr/bin",
            "up -> ../../../../usr",
            "usr/bin/self -> ./sh",
            "etc/motd -> /run/motd",
            "loop -> loop",
            "esc -> /tmp",
            "file",
        ]);
        let checksum = |path: &str| match tree.lookup(path) {
            Some(Node::Object(object)) => Some(object.checksum.as_str()),
            _ => None,
        };
        for path in [
            "usr/bin/sh",
            "/bin/sh",
            "abs/sh",
            "up/bin/sh",
            "bin/self",
            "../bin/./sh",
        ] {
            assert_eq!(checksum(path), Some("sh"), "{path}");
        }
        for path in ["etc/motd", "loop", "loop/x", "esc/p", "file/x", "none"] {
            assert_eq!(checksum(path), None, "{path}");
        }
        assert!(matches!(tree.lookup("up/bin/.."), Some(Node::Dir(_))));
        assert!(matches!(
            tree.find("loop", Last::Keep),
            Some(Node::Object(_))
        ));
    }

    #[test]
    fn mount_points_are_made_where_links_lead() {
        let mut tree = tree(&["var/run -> /run", "etc/hosts", "dots -> missing/../x"]);
        tree.ensure_dir("/var/run/db/x").unwrap();
        tree.ensure_file("/etc/resolv.conf").unwrap();
        tree.ensure_file("/etc/hosts").unwrap();
        tree.ensure_dir("/").unwrap();
        assert!(matches!(tree.lookup("run/db/x"), Some(Node::Dir(_))));
        assert_eq!(tree.lookup("etc/resolv.conf"), Some(&Node::EmptyFile));
        assert!(
            matches!(tree.lookup("etc/hosts"), Some(Node::Object(_))),
            "left as it was"
        );
        let error = tree.ensure_dir("/etc/hosts/x").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot make '/etc/hosts/x' in the image: 'etc/hosts' is not a folder"
        );
        assert!(tree.ensure_dir("/dots/y").is_err());
    }

    #[test]
    fn iteration_is_in_order_with_parents_first() {
        let tree = tree(&["b/x", "b/y/", "a", "b-"]);
        let paths: Vec<String> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a", "b", "b/x", "b/y", "b-"]);
    }
}
