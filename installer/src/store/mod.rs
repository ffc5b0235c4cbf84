//! Images in an OSTree repository, and file trees made from them by hard links.
//!
//! Refs: `ociimage/SHA256HEX` is a layer (the unpacked tar, whiteouts as the files they are),
//! `ociimage/ENCODED` an image (an empty commit whose metadata holds manifest, digest and
//! configuration), `sysc/deployment/NAME/SERIAL` the merged tree of a deployment, for as long
//! as that deployment exists. This room alone touches libostree; it never lets libostree union
//! layers.

pub mod tree;

pub use tree::Tree;
