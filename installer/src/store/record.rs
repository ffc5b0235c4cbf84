//! What commits say of their layer or image: the keys in their metadata.
//!
//! `docker.…` are those that containers/image's OSTree transport and atomic wrote, as strings;
//! `sysc.…` are ours.

use std::collections::{BTreeMap, BTreeSet};

use ostree::glib::variant::DictEntry;
use ostree::glib::{Variant, VariantDict};
use ostree::prelude::*;

use super::deployments::Owner;
use super::layer::LayerTree;
use super::tree::{Node, Tree};
use crate::image::{Image, Layer};

const SIZE: &str = "docker.size";
const UNCOMPRESSED_SIZE: &str = "docker.uncompressed_size";
const UNCOMPRESSED_DIGEST: &str = "docker.uncompressed_digest";
const MANIFEST: &str = "docker.manifest";
const DIGEST: &str = "docker.digest";
const CONFIG: &str = "docker.config";
const SOURCE: &str = "sysc.source";
/// Sum of the sizes of all files, by which a cut object is noticed without hashing.
const CONTENT_SIZE: &str = "sysc.content-size";
/// Folders that the layer has no entry for.
const IMPLIED: &str = "sysc.implied";
/// Hard links to lower layers' files: name, target.
const LINKS: &str = "sysc.links";
const INSTALLATION: &str = "sysc.installation";
const NAME: &str = "sysc.name";
const SERIAL: &str = "sysc.serial";

/// Metadata of a layer's commit. `size` is that of the uncompressed tar.
pub(super) fn of_layer(layer: &Layer, content: &LayerTree, size: u64) -> Variant {
    let links: Vec<(&str, &str)> = content
        .links
        .iter()
        .map(|(name, target)| (name.as_str(), target.as_str()))
        .collect();
    let implied: Vec<&str> = content.implied.iter().map(String::as_str).collect();
    dictionary(vec![
        (SIZE, layer.size.to_string().to_variant()),
        (UNCOMPRESSED_DIGEST, layer.diff_id.to_string().to_variant()),
        (UNCOMPRESSED_SIZE, size.to_string().to_variant()),
        (CONTENT_SIZE, content_size(&content.tree).to_variant()),
        (IMPLIED, implied.to_variant()),
        (LINKS, links.to_variant()),
    ])
}

/// Metadata of an image's commit; both texts are JSON and thus UTF-8.
pub(super) fn of_image(image: &Image, manifest: &str, config: &str) -> Variant {
    dictionary(vec![
        (CONFIG, config.to_variant()),
        (DIGEST, image.digest.hex().to_variant()),
        (MANIFEST, manifest.to_variant()),
        (SOURCE, image.source.to_variant()),
    ])
}

/// Metadata of a deployment's commit.
pub(super) fn of_deployment(owner: Owner) -> Variant {
    dictionary(vec![
        (INSTALLATION, owner.installation.to_variant()),
        (NAME, owner.name.to_variant()),
        (SERIAL, owner.serial.to_variant()),
    ])
}

/// The metadata of a commit, to be asked.
pub(super) struct Record(VariantDict);

impl Record {
    pub(super) fn new(metadata: &Variant) -> Self {
        Self(VariantDict::new(Some(metadata)))
    }

    pub(super) fn manifest(&self) -> Option<String> {
        self.text(MANIFEST)
    }

    pub(super) fn digest(&self) -> Option<String> {
        self.text(DIGEST)
    }

    pub(super) fn config(&self) -> Option<String> {
        self.text(CONFIG)
    }

    pub(super) fn source(&self) -> Option<String> {
        self.text(SOURCE)
    }

    /// The installation that a deployment's tree belongs to.
    pub(super) fn installation(&self) -> Option<String> {
        self.text(INSTALLATION)
    }

    /// Size of the layer's uncompressed tar.
    pub(super) fn tar_size(&self) -> Option<u64> {
        self.text(UNCOMPRESSED_SIZE)?.parse().ok()
    }

    /// `None` for a layer that another program wrote.
    pub(super) fn content_size(&self) -> Option<u64> {
        self.0.lookup(CONTENT_SIZE).ok().flatten()
    }

    pub(super) fn implied(&self) -> BTreeSet<String> {
        let list: Option<Vec<String>> = self.0.lookup(IMPLIED).ok().flatten();
        list.unwrap_or_default().into_iter().collect()
    }

    pub(super) fn links(&self) -> BTreeMap<String, String> {
        let list: Option<Vec<(String, String)>> = self.0.lookup(LINKS).ok().flatten();
        list.unwrap_or_default().into_iter().collect()
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0.lookup(key).ok().flatten()
    }
}

/// Sum of the sizes of all files under all their names.
pub(super) fn content_size(tree: &Tree) -> u64 {
    let sizes = tree.iter().map(|(_, node)| match node {
        Node::Object(object) => object.size,
        Node::Dir(_) | Node::EmptyFile => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

/// `a{sv}` in the order given, so that the same record is the same bytes.
fn dictionary(entries: Vec<(&str, Variant)>) -> Variant {
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(key, value)| DictEntry::new(key, value))
        .collect();
    entries.to_variant()
}
