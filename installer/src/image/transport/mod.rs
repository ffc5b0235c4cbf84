//! The places that images come from. Each gives documents and blobs by their digests, and none
//! is believed: `load` and `stream` verify what they give.

use std::io::Read;

use super::manifest::{Descriptor, Document};
use super::reference::Named;
use super::{Compression, Digest, Error};

pub(super) mod archive;
pub(super) mod docker_archive;
pub(super) mod engine;
pub(super) mod layout;
pub(super) mod registry;

/// The bytes of a blob, as they are stored.
pub(super) type Blob = Box<dyn Read + Send>;

/// One place, one image.
pub(super) trait Source: Send + Sync {
    /// The manifest or index that the reference names.
    fn top(&self) -> Result<Document, Error>;

    /// A manifest or an index that an index points to.
    fn document(&self, descriptor: &Descriptor) -> Result<Document, Error>;

    /// A configuration or a layer.
    fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, Error>;
}

/// A folder, or a tar file of one: members by their names.
pub(super) trait Files: Send + Sync {
    /// The content of a member and its size; `None` where there is none.
    fn open(&self, name: &str) -> std::io::Result<Option<(Blob, u64)>>;
}

/// Whether an archive's own text names an image; such text is not to be trusted.
fn is_name(text: &str) -> bool {
    Named::parse(text).is_ok()
}

/// The name, with `:latest` where it has neither tag nor digest.
fn with_tag(text: &str) -> String {
    Named::parse(text).map_or_else(|_| text.to_owned(), |named| named.name())
}

/// How a file is compressed, by its first four bytes.
fn compression(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Reads a small blob whole, but not more than `limit` and one byte.
pub(super) fn read_bounded(mut blob: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    blob.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
