//! A file tree in memory: what a layer holds, what layers merge to, what a deployment's root is.
//!
//! File contents stay in the repository: a regular file is the checksum of its object. Paths are
//! looked up here, in memory, never on the host's file system, so no link of an image can lead
//! out of the image.

use std::collections::BTreeMap;

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
