//! Images as the repository knows them: a ref each, an empty commit, all else in its metadata.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use ostree::{ObjectType, Repo};

use super::merge::merge;
use super::record::{self, Record};
use super::tree::Tree;
use super::write::Writer;
use super::{Error, Store, object, refs};
use crate::image::{Digest, Image, Layer};

/// An image that was pulled.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// What it is.
    pub image: Image,
    /// When it was recorded, in seconds since 1970.
    pub created: u64,
    /// Bytes of all its layers, uncompressed; those of missing layers not counted.
    pub size: u64,
    /// Whether every layer has its ref and commit. ([`Store::has_layer`] looks at every file.)
    pub complete: bool,
}

/// A layer that was pulled.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// Digest of its blob.
    pub digest: Digest,
    /// When it was imported, in seconds since 1970.
    pub created: u64,
    /// Bytes, uncompressed.
    pub size: u64,
    /// Whether an image that is here has it.
    pub used: bool,
}

impl Store {
    /// Records an image whose layers have been imported, under its name, in place of another
    /// image of that name. The same image under a second name is a second ref and no more data.
    pub fn record_image(&self, image: &Image) -> Result<(), Error> {
        let malformed = |what: &str| self.malformed(&image.name, &format!("{what} is not UTF-8"));
        let manifest = std::str::from_utf8(&image.manifest).map_err(|_| malformed("manifest"))?;
        let config = std::str::from_utf8(&image.config).map_err(|_| malformed("configuration"))?;
        let repo = self.handle()?;
        self.all_there(&repo, &image.layers)?;
        let recorded = self.image(&image.name).ok().flatten();
        if recorded.is_some_and(|known| {
            known.image.digest == image.digest && known.image.source == image.source
        }) {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        self.publish(&repo, &refs::image(&image.name), || {
            let writer = Writer::new(self, &repo);
            let root = writer.folder(&Tree::empty().root)?;
            let metadata = record::of_image(image, manifest, config);
            let commit = object::commit(metadata, (&root.0, &root.1), now);
            Ok((writer.metadata(ObjectType::Commit, commit)?, ()))
        })?;
        Ok(())
    }

    /// The image called `name`.
    pub fn image(&self, name: &str) -> Result<Option<StoredImage>, Error> {
        let repo = self.handle()?;
        match self.resolve(&repo, &refs::image(name))? {
            Some(commit) => self.stored(&repo, name, &commit),
            None => Ok(None),
        }
    }

    /// All images, by name. Those that another program stored without a configuration are not
    /// sysc's and are passed over.
    pub fn images(&self) -> Result<Vec<StoredImage>, Error> {
        let repo = self.handle()?;
        let mut images = Vec::new();
        for (reference, commit) in self.list(&repo, refs::IMAGES)? {
            let text = reference
                .strip_prefix(refs::IMAGES)
                .and_then(|t| t.strip_prefix('/'));
            let Some(text) = text.filter(|text| Digest::from_hex(text).is_err()) else {
                continue;
            };
            let Some(name) = refs::decode(text) else {
                continue;
            };
            images.extend(self.stored(&repo, &name, &commit)?);
        }
        images.sort_by(|a, b| a.image.name.cmp(&b.image.name));
        Ok(images)
    }

    /// Gives up the name of an image, which need not be there. Its layers go when something
    /// prunes the repository.
    pub fn forget_image(&self, name: &str) -> Result<(), Error> {
        self.delete(&self.handle()?, &refs::image(name))
    }

    /// All layers, by digest.
    pub fn layers(&self) -> Result<Vec<StoredLayer>, Error> {
        let repo = self.handle()?;
        let images = self.images()?;
        let of_images = images.iter().flat_map(|stored| &stored.image.layers);
        let used: BTreeSet<&str> = of_images.map(|layer| layer.digest.hex()).collect();
        let mut layers = Vec::new();
        for (reference, commit) in self.list(&repo, refs::IMAGES)? {
            let hex = reference.rsplit('/').next().unwrap_or_default();
            let Ok(digest) = Digest::from_hex(hex) else {
                continue;
            };
            let commit = self.commit(&repo, &commit, hex)?;
            layers.push(StoredLayer {
                used: used.contains(digest.hex()),
                digest,
                created: commit.time,
                size: commit.record.tar_size().unwrap_or(0),
            });
        }
        Ok(layers)
    }

    /// The files of `layers`, lowest first, on top of each other.
    pub fn merged(&self, layers: &[Layer]) -> Result<Tree, Error> {
        let repo = self.handle()?;
        let _lock = self.lock(&repo)?;
        let read = |layer: &Layer| Ok((layer.digest.clone(), self.layer(&repo, &layer.digest)?));
        merge(layers.iter().map(read).collect::<Result<_, Error>>()?)
    }

    fn all_there(&self, repo: &Repo, layers: &[Layer]) -> Result<(), Error> {
        for layer in layers {
            if self.layer_record(repo, &layer.digest)?.is_none() {
                return Err(self.damaged(&format!("layer {}", layer.digest), "missing"));
            }
        }
        Ok(())
    }

    fn layer_record(&self, repo: &Repo, digest: &Digest) -> Result<Option<Record>, Error> {
        let Some(commit) = self.resolve(repo, &refs::layer(digest))? else {
            return Ok(None);
        };
        match self.commit(repo, &commit, digest.hex()) {
            Ok(commit) => Ok(Some(commit.record)),
            Err(Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn stored(&self, repo: &Repo, name: &str, commit: &str) -> Result<Option<StoredImage>, Error> {
        let commit = self.commit(repo, commit, &format!("image {name}"))?;
        let record = commit.record;
        let (Some(manifest), Some(config)) = (record.manifest(), record.config()) else {
            return Ok(None);
        };
        let source = record.source().unwrap_or_default();
        let (manifest, config) = (manifest.into_bytes(), config.into_bytes());
        let image = Image::from_documents(name.to_owned(), source, manifest, config)
            .map_err(|error| self.malformed(name, &error.to_string()))?;
        if record.digest().as_deref() != Some(image.digest.hex()) {
            return Err(self.malformed(name, "manifest and digest differ"));
        }
        let (mut size, mut complete) = (0u64, true);
        for layer in &image.layers {
            match self.layer_record(repo, &layer.digest)? {
                Some(layer) => size = size.saturating_add(layer.tar_size().unwrap_or(0)),
                None => complete = false,
            }
        }
        Ok(Some(StoredImage {
            image,
            created: commit.time,
            size,
            complete,
        }))
    }

    fn malformed(&self, name: &str, problem: &str) -> Error {
        Error::Record {
            name: name.to_owned(),
            problem: problem.to_owned(),
        }
    }
}
