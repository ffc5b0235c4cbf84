//! Images in an OSTree repository, and file trees made from them by hard links.
//!
//! In: verified images and the tar streams of their layers. Out: merged [`Tree`]s in memory, and
//! the same trees as folders of hard links. This room alone touches libostree; it never lets
//! libostree union layers, never asks the host's file system about a path of an image, and
//! publishes nothing before the last byte of a layer has been verified.
//!
//! ```text
//! refs/heads/ociimage/SHA256HEX            a layer: the unpacked tar, whiteouts as plain files
//! refs/heads/ociimage/ENCODED              an image: no files; manifest, digest and
//!                                          configuration in the commit's metadata
//! refs/heads/sysc/deployment/NAME/SERIAL   the merged tree of a deployment, for as long as the
//!                                          deployment exists; whose, its metadata say
//!
//! tar ─archive─▶ entries ─import─▶ objects + layer commit ─read─▶ LayerTree
//!                                   LayerTrees ─merge─▶ Tree ─▶ deployment commit
//!                                                            └▶ materialise: folder of links
//! ```
//!
//! Each call opens its own handle, so a [`Store`] may be used from several threads at once.

use std::path::PathBuf;

mod archive;
mod attributes;
mod content;
mod deployments;
mod error;
#[expect(
    unsafe_code,
    reason = "calls of libostree and GIO that have no safe binding"
)]
mod ffi;
mod images;
mod import;
mod layer;
mod materialise;
mod merge;
mod name;
mod object;
mod pax;
mod prune;
mod publish;
mod read;
mod record;
mod refs;
mod repo;
mod sparse;
pub mod tree;
mod verify;
mod walk;
mod write;

pub use archive::BadArchive;
pub use deployments::{DeploymentRef, Owner};
pub use error::{BadEntry, Error};
pub use images::{StoredImage, StoredLayer};
pub use import::Imported;
pub use materialise::Materialised;
pub use name::BadName;
pub use prune::{Objects, Pruned, objects};
pub use tree::Tree;
pub use verify::{Damage, Verified};

/// An OSTree repository in which files can be hard-linked. Holds no open handle.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    /// It was made by this very call.
    fresh: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers are imported by several threads, and errors handed from one to another.
    #[test]
    fn stores_and_errors_go_from_thread_to_thread() {
        fn carried<T: Send + Sync + 'static>(value: T) -> T {
            std::thread::spawn(move || value).join().unwrap()
        }
        let store = carried(Store {
            path: PathBuf::from("/r"),
            fresh: false,
        });
        let error = carried(Error::NotARepo {
            path: store.path().to_owned(),
        });
        assert!(
            error
                .to_string()
                .starts_with("'/r' is not an OSTree repository")
        );
    }
}
