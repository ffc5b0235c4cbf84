//! Manifests and indexes of image-spec and of Docker's image format version 2 schema 2.
//!
//! They are read into types of this file rather than oci-spec's, so that a digest is checked
//! when it is read, and before anything is asked for by it (CVE-2024-3727).

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::ByteCount;
use super::platform::Platform;
use super::{Compression, Digest, Error, Layer};

/// Largest manifest, index or configuration that is taken.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(super) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub(super) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub(super) const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// A manifest or an index as it came, verified against its digest where there was one.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub bytes: Vec<u8>,
    /// What the descriptor or the server called it.
    pub media_type: Option<String>,
}

/// What a [`Document`] turned out to be.
#[derive(Debug)]
pub(super) enum Parsed {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// Points to a blob, by a digest that was checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    #[serde(deserialize_with = "digest")]
    pub digest: Digest,
    pub size: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub manifests: Vec<Entry>,
}

/// An entry of an index; what is not chosen is not checked, for it may be of a kind that
/// does not exist yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(default)]
    pub media_type: String,
    #[serde(default)]
    digest: Value,
    #[serde(default)]
    size: Value,
    platform: Option<EntryPlatform>,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct EntryPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    Digest::parse(&text).map_err(serde::de::Error::custom)
}

/// Whether a media type is a manifest's or an index's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Manifest,
    Index,
}

impl Kind {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_MANIFEST | DOCKER_MANIFEST => Some(Self::Manifest),
            OCI_INDEX | DOCKER_LIST => Some(Self::Index),
            _ => None,
        }
    }
}

impl Document {
    /// Checks the bytes against the descriptor that pointed to them.
    pub(super) fn verify(&self, descriptor: &Descriptor) -> Result<(), Error> {
        verify("manifest", &self.bytes, descriptor)
    }

    /// Decides what the document is. One that can be read in two ways is refused
    /// (CVE-2021-41190).
    pub(super) fn parse(&self, image: &str) -> Result<Parsed, Error> {
        let fault = |reason: String| Error::Manifest {
            image: image.to_owned(),
            reason,
        };
        let value: Value = serde_json::from_slice(&self.bytes)
            .map_err(|error| fault(format!("it is not JSON: {error}")))?;
        let kind = self.kind(&value).map_err(fault)?;
        let parsed = match kind {
            Kind::Manifest => Manifest::deserialize(&value).map(Parsed::Manifest),
            Kind::Index => Index::deserialize(&value).map(Parsed::Index),
        };
        parsed.map_err(|error| fault(error.to_string()))
    }

    fn kind(&self, value: &Value) -> Result<Kind, String> {
        let has = |key: &str| value.get(key).is_some();
        let announced = self.media_type.as_deref().unwrap_or_default();
        if announced.starts_with("application/vnd.docker.distribution.manifest.v1")
            || has("fsLayers")
            || value.get("schemaVersion") == Some(&Value::from(1))
        {
            return Err("it is of Docker's schema 1, which is not supported\nhelp: push the image again with a current tool".to_owned());
        }
        let kind = match (has("manifests"), has("layers") || has("config")) {
            (true, false) => Kind::Index,
            (false, true) => Kind::Manifest,
            (true, true) => return Err("it has both 'manifests' and 'layers'".to_owned()),
            (false, false) => return Err("it has neither 'manifests' nor 'layers'".to_owned()),
        };
        let field = value
            .get("mediaType")
            .map(|v| v.as_str().unwrap_or_default());
        if field.is_some_and(|field| Kind::of(field) != Some(kind))
            || Kind::of(announced).is_some_and(|announced| announced != kind)
        {
            let said = field
                .filter(|field| Kind::of(field) != Some(kind))
                .unwrap_or(announced);
            return Err(format!(
                "its media type is '{}', but its content is another",
                said.escape_debug()
            ));
        }
        Ok(kind)
    }
}

/// A document in memory against its descriptor: the size first, then the digest.
pub(super) fn verify(kind: &str, bytes: &[u8], descriptor: &Descriptor) -> Result<(), Error> {
    let what = || format!("{kind} '{}'", descriptor.digest);
    if bytes.len() as u64 != descriptor.size {
        let got = ByteCount::Exactly(bytes.len() as u64);
        return Err(Error::WrongSize {
            what: what(),
            expected: descriptor.size,
            got,
        });
    }
    let got = Digest::of(bytes);
    if got != descriptor.digest {
        return Err(Error::WrongDigest {
            what: what(),
            expected: descriptor.digest.clone(),
            got,
        });
    }
    Ok(())
}

impl Index {
    /// The entry for `platform`: the first that matches, of the best variant.
    pub(super) fn choose(&self, platform: &Platform, image: &str) -> Result<Descriptor, Error> {
        let usable = || self.manifests.iter().filter(|entry| entry.is_image());
        let of_variant = |variant: &Option<&str>| {
            usable().find(|entry| {
                entry
                    .platform
                    .as_ref()
                    .is_some_and(|p| p.matches(platform, *variant))
            })
        };
        let chosen = platform
            .variants()
            .iter()
            .find_map(of_variant)
            .or_else(|| usable().find(|entry| entry.platform.is_none()));
        match chosen {
            Some(entry) => entry.descriptor(image),
            None => Err(Error::NoPlatform {
                image: image.to_owned(),
                wanted: platform.to_string(),
                found: usable().filter_map(Entry::platform_name).collect(),
            }),
        }
    }
}

impl Entry {
    /// Not an attestation, not of an unknown kind, not for an unknown platform.
    fn is_image(&self) -> bool {
        let unknown = self
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "unknown");
        let attestation = self.annotation("vnd.docker.reference.type").is_some();
        Kind::of(&self.media_type).is_some() && !unknown && !attestation
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)?.as_str()
    }

    pub(super) fn has_platform(&self) -> bool {
        self.platform.is_some()
    }

    fn platform_name(&self) -> Option<String> {
        let platform = self.platform.as_ref()?;
        let name = Platform {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
        };
        Some(name.to_string().escape_debug().to_string())
    }

    pub(super) fn descriptor(&self, image: &str) -> Result<Descriptor, Error> {
        let fault = |reason: String| Error::Manifest {
            image: image.to_owned(),
            reason,
        };
        let text = self.digest.as_str().unwrap_or_default();
        let digest = Digest::parse(text).map_err(|error| Error::invalid_digest(image, &error))?;
        let size = self
            .size
            .as_u64()
            .ok_or_else(|| fault(format!("an entry has the size '{}'", self.size)))?;
        Ok(Descriptor {
            media_type: self.media_type.clone(),
            digest,
            size,
        })
    }
}

impl EntryPlatform {
    fn matches(&self, platform: &Platform, variant: Option<&str>) -> bool {
        let own = self
            .variant
            .as_deref()
            .filter(|variant| !variant.is_empty());
        self.os == platform.os && self.architecture == platform.architecture && own == variant
    }
}

/// What sysc reads of an image configuration by itself.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// The layers of an image, and the platform that its configuration names.
#[derive(Debug)]
pub(super) struct Content {
    pub layers: Vec<Layer>,
    pub architecture: String,
}

impl Manifest {
    /// Refuses by name what is not an image's configuration or layer.
    pub(super) fn check(&self, image: &str) -> Result<(), Error> {
        let fault = |reason: String| Error::Manifest {
            image: image.to_owned(),
            reason,
        };
        if !matches!(self.config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
            let media_type = self.config.media_type.escape_debug();
            return Err(fault(format!(
                "its configuration is of the media type '{media_type}', so it is not an image"
            )));
        }
        if self.config.size > MAX_DOCUMENT {
            return Err(fault(format!(
                "its configuration has {} bytes",
                self.config.size
            )));
        }
        self.layers
            .iter()
            .try_for_each(|layer| compression(layer).map(drop))
            .map_err(fault)
    }

    /// Joins the layers with the diff ids of the configuration.
    pub(super) fn content(&self, config: &[u8]) -> Result<Content, Error> {
        let fault = |reason: String| Error::Config {
            digest: self.config.digest.clone(),
            reason,
        };
        let config: Config =
            serde_json::from_slice(config).map_err(|error| fault(error.to_string()))?;
        if !matches!(config.os.as_str(), "linux" | "") {
            return Err(fault(format!("it is for '{}'", config.os.escape_debug())));
        }
        let (layers, diff_ids) = (&self.layers, &config.rootfs.diff_ids);
        if layers.len() != diff_ids.len() {
            return Err(fault(format!(
                "it names {} layers, the manifest {}",
                diff_ids.len(),
                layers.len()
            )));
        }
        let layers = layers
            .iter()
            .zip(diff_ids)
            .map(|(layer, id)| join(layer, id));
        Ok(Content {
            layers: layers.collect::<Result<_, _>>().map_err(fault)?,
            architecture: config.architecture,
        })
    }
}

fn join(descriptor: &Descriptor, diff_id: &str) -> Result<Layer, String> {
    let layer = Layer {
        digest: descriptor.digest.clone(),
        diff_id: Digest::parse(diff_id).map_err(|error| error.to_string())?,
        size: descriptor.size,
        compression: compression(descriptor)?,
    };
    if layer.compression == Compression::None && layer.digest != layer.diff_id {
        return Err(format!(
            "the uncompressed layer '{}' has the diff id '{}'",
            layer.digest, layer.diff_id
        ));
    }
    Ok(layer)
}

fn compression(layer: &Descriptor) -> Result<Compression, String> {
    match layer.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" | DOCKER_LAYER => Ok(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip" | DOCKER_LAYER_GZIP => Ok(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd" | DOCKER_LAYER_ZSTD => Ok(Compression::Zstd),
        other => {
            let foreign = other.contains("foreign") || other.contains("nondistributable");
            let kind = if foreign {
                "a foreign layer"
            } else {
                "a layer of an unknown kind"
            };
            Err(format!(
                "'{}' is {kind} ('{}')",
                layer.digest,
                other.escape_debug()
            ))
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
