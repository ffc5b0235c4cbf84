//! From the text that a user types to an image and its layers, every byte of them verified.
//!
//! In: a [`Reference`] and the [`Access`] that this host has. Out: an [`Image`] (manifest and
//! configuration, checked against their digests) and, for each layer, a [`LayerStream`] of plain
//! tar bytes that fails rather than end when digest, size or diff id do not match. This room
//! never writes to disk (but for the unpacked form of a compressed archive, in a file without a
//! name) and knows nothing of OSTree.

mod access;
mod auth;
pub mod digest;
mod error;
mod load;
mod manifest;
mod name;
mod platform;
mod policy;
mod reference;
#[cfg(test)]
mod scripted;
mod search;
mod stream;
mod transport;

pub use access::{Access, Patience, Proxies};
pub use auth::Credentials;
pub use digest::Digest;
pub use error::{ByteCount, Error};
pub use load::{Resolved, resolve};
pub use platform::Platform;
pub use reference::{Named, Reference, Stored};
pub use stream::LayerStream;

/// An image whose manifest and configuration were verified. Its layers are fetched apart.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name as the user typed it, without transport, plus `:latest` where no tag was given
    /// (`localhost:5000/etcd:3`); what the image is called in lists and in its OSTree ref.
    pub name: String,
    /// Where it was found, in a form that [`Reference::parse`] takes again: an update asks the same
    /// source. Of a name from the search list, the registry that answered; never a mirror.
    pub source: String,
    /// Digest of the manifest's bytes.
    pub digest: Digest,
    /// The platform's manifest, verbatim.
    pub manifest: Vec<u8>,
    /// The image configuration, verbatim.
    pub config: Vec<u8>,
    /// From the lowest layer to the topmost one.
    pub layers: Vec<Layer>,
}

impl Image {
    /// What a container of it is called unless the user says otherwise: the last part of the
    /// name, plus `-TAG` when the tag is not `latest`.
    pub fn default_container_name(&self) -> String {
        name::container_name(&self.name)
    }
}

/// One layer of an [`Image`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the blob as it is stored and sent.
    pub digest: Digest,
    /// Digest of the uncompressed tar, from the image configuration.
    pub diff_id: Digest,
    /// Size of the blob, in bytes.
    pub size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// The compressions of image-spec's layer media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, possibly of several members.
    Gzip,
    /// zstd, possibly of several frames (zstd:chunked is one such).
    Zstd,
}
