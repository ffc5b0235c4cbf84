//! Reading a file of a tree from its object.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use super::tree::{Node, Object, Tree};
use super::write::object_path;
use super::{Error, Store};

impl Store {
    /// The content of the regular file at `path`, links followed inside the tree; `None` when
    /// there is nothing. At most `limit` bytes: what is read this way is interpreted in memory.
    pub fn read(&self, tree: &Tree, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        match tree.lookup(path) {
            None => Ok(None),
            Some(Node::EmptyFile) => Ok(Some(Vec::new())),
            Some(Node::Dir(_)) => Err(Error::NotAFile {
                path: path.to_owned(),
            }),
            Some(Node::Object(object)) if object.size > limit => Err(Error::TooLarge {
                path: path.to_owned(),
                size: object.size,
                limit,
            }),
            Some(Node::Object(object)) => self.content(path, object).map(Some),
        }
    }

    fn content(&self, path: &str, object: &Object) -> Result<Vec<u8>, Error> {
        let file = object_path(&self.path, &object.checksum, "file");
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&file);
        let opened = opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => self.damaged(path, "missing"),
            _ => Error::Folder {
                action: "open",
                path: file.clone(),
                source,
            },
        })?;
        let mut content = Vec::new();
        let read = opened.take(object.size).read_to_end(&mut content);
        read.map_err(|source| Error::Folder {
            action: "read",
            path: file,
            source,
        })?;
        if content.len() as u64 == object.size {
            Ok(content)
        } else {
            Err(self.damaged(path, "not whole"))
        }
    }
}
