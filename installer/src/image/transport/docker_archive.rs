//! What `docker save` writes: a tar file with a `manifest.json`, configurations and layer tars.
//!
//! It has no manifest of a registry's kind, so one is made: of schema 2, the same bytes for the
//! same archive. The digest of an uncompressed layer is what its configuration claims, and the
//! stream verifies it as it does every other; the compressed layers of some writers are read
//! once to know theirs.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::archive::Archive;
use super::{Blob, Files, Source, read_bounded};
use crate::image::manifest::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD, DOCKER_MANIFEST, Descriptor,
    Document, MAX_DOCUMENT,
};
use crate::image::reference::{Named, Stored};
use crate::image::search::wire_name;
use crate::image::{Compression, Digest, Error, name};

/// One image of an archive.
pub(in crate::image) struct DockerArchive {
    archive: Archive,
    path: PathBuf,
    top: Document,
    name: String,
    /// Which member holds which blob.
    members: HashMap<Digest, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl DockerArchive {
    /// Reads `manifest.json` and picks the image that `stored` names, or the only one.
    pub(in crate::image) fn open(stored: &Stored, scratch: &Path) -> Result<Self, Error> {
        let path = &stored.path;
        let archive = Archive::open(path, scratch)?;
        let list = whole(&archive, path, "manifest.json")?;
        let list: Vec<Item> = serde_json::from_slice(&list)
            .map_err(|error| unusable(path, format!("its 'manifest.json': {error}")))?;
        let item = choose(list, stored)?;
        let config = whole(&archive, path, &item.config)?;
        let diff_ids = serde_json::from_slice::<Config>(&config)
            .map_err(|error| unusable(path, format!("its '{}': {error}", item.config)))?
            .rootfs
            .diff_ids;
        if diff_ids.len() != item.layers.len() {
            let reason = format!(
                "{} layers, but {} diff ids",
                item.layers.len(),
                diff_ids.len()
            );
            return Err(unusable(path, reason));
        }
        check_config(path, &item.config, &config)?;
        let mut members = HashMap::from([(Digest::of(&config), item.config.clone())]);
        let mut layers = Vec::new();
        for (member, diff_id) in item.layers.iter().zip(&diff_ids) {
            let layer = layer(&archive, path, member, diff_id)?;
            members.insert(layer.digest.clone(), member.clone());
            layers.push(json!({
                "mediaType": layer.media_type,
                "size": layer.size,
                "digest": layer.digest.to_string(),
            }));
        }
        let top = manifest(&config, &layers);
        let name = image_name(&item, stored);
        Ok(Self {
            archive,
            path: path.clone(),
            top,
            name,
            members,
        })
    }

    /// The tag that was asked for, else the image's first, or a name made from the file's.
    pub(in crate::image) fn name(&self) -> &str {
        &self.name
    }
}

impl Source for DockerArchive {
    fn top(&self) -> Result<Document, Error> {
        Ok(self.top.clone())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Document, Error> {
        Err(missing(&self.path, &descriptor.digest.to_string()))
    }

    fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, Error> {
        let member = self.members.get(digest);
        let member = member.ok_or_else(|| missing(&self.path, &digest.to_string()))?;
        let found = self.archive.open(member);
        let found = found.map_err(|source| Error::ReadBlob {
            digest: digest.clone(),
            source,
        })?;
        found
            .map(|(blob, _)| blob)
            .ok_or_else(|| missing(&self.path, member))
    }
}

fn choose(list: Vec<Item>, stored: &Stored) -> Result<Item, Error> {
    let tags: Vec<String> = list
        .iter()
        .flat_map(|item| item.repo_tags.iter().flatten())
        .cloned()
        .collect();
    let mut wanted: Vec<Item> = match &stored.image {
        Some(image) => {
            let has = |item: &Item| item.repo_tags.iter().flatten().any(|tag| same(tag, image));
            list.into_iter().filter(has).collect()
        }
        None => list,
    };
    match wanted.len() {
        1 => Ok(wanted.remove(0)),
        count => {
            let what = if count == 0 {
                "does not hold that image"
            } else {
                "holds several images"
            };
            let reason = format!(
                "it {what}\nhelp: add a name after a ':'; it holds: {}",
                tags.join(", ")
            );
            Err(unusable(&stored.path, reason))
        }
    }
}

fn image_name(item: &Item, stored: &Stored) -> String {
    let wanted = |tag: &&String| stored.image.as_ref().is_none_or(|image| same(tag, image));
    let mut tags = item.repo_tags.iter().flatten().filter(wanted);
    match tags.find(|tag| super::is_name(tag)) {
        Some(tag) => super::with_tag(tag),
        None => {
            let file = stored.path.file_name().unwrap_or_default();
            format!("{}:latest", name::from_file_name(&file.to_string_lossy()))
        }
    }
}

/// Whether two names mean the same: docker leaves out what it takes for granted.
fn same(one: &str, other: &str) -> bool {
    let full = |text: &str| {
        let named = Named::parse(text).ok()?;
        let registry = named.registry.clone().unwrap_or("docker.io".to_owned());
        let named = named.in_registry(&registry);
        Some((wire_name(&named), named.selector()))
    };
    full(one).is_some_and(|one| full(other) == Some(one))
}

/// Writers name a configuration by its digest; then it has to be that one.
fn check_config(path: &Path, member: &str, config: &[u8]) -> Result<(), Error> {
    let base = member.rsplit('/').next().unwrap_or(member);
    let Ok(expected) = Digest::from_hex(base.strip_suffix(".json").unwrap_or(base)) else {
        return Ok(());
    };
    let got = Digest::of(config);
    if got == expected {
        return Ok(());
    }
    let what = format!("'{member}' of '{}'", path.display());
    Err(Error::WrongDigest {
        what,
        expected,
        got,
    })
}

struct Member {
    media_type: &'static str,
    size: u64,
    digest: Digest,
}

fn layer(archive: &Archive, path: &Path, member: &str, diff_id: &str) -> Result<Member, Error> {
    let open = || {
        let found = archive.open(member).map_err(|source| read(path, source))?;
        found.ok_or_else(|| missing(path, member))
    };
    let (blob, size) = open()?;
    let magic = read_bounded(blob, 3).map_err(|source| read(path, source))?;
    let media_type = match super::compression(&magic) {
        Compression::None => {
            let digest = Digest::parse(diff_id);
            let digest = digest.map_err(|error| unusable(path, error.to_string()))?;
            return Ok(Member {
                media_type: DOCKER_LAYER,
                size,
                digest,
            });
        }
        Compression::Gzip => DOCKER_LAYER_GZIP,
        Compression::Zstd => DOCKER_LAYER_ZSTD,
    };
    let digest = Digest::of_reader(open()?.0).map_err(|source| read(path, source))?;
    Ok(Member {
        media_type,
        size,
        digest,
    })
}

fn manifest(config: &[u8], layers: &[serde_json::Value]) -> Document {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": DOCKER_CONFIG,
            "size": config.len(),
            "digest": Digest::of(config).to_string(),
        },
        "layers": layers,
    });
    Document {
        bytes: manifest.to_string().into_bytes(),
        media_type: Some(DOCKER_MANIFEST.to_owned()),
    }
}

fn whole(archive: &Archive, path: &Path, member: &str) -> Result<Vec<u8>, Error> {
    let found = archive.open(member).map_err(|source| read(path, source))?;
    let (blob, _) = found.ok_or_else(|| missing(path, member))?;
    let bytes = read_bounded(blob, MAX_DOCUMENT).map_err(|source| read(path, source))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(unusable(
            path,
            format!("'{member}' has more than {MAX_DOCUMENT} bytes"),
        ));
    }
    Ok(bytes)
}

fn missing(path: &Path, what: &str) -> Error {
    unusable(path, format!("'{}' is missing", what.escape_debug()))
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::Layout {
        path: path.to_owned(),
        kind: "a docker archive",
        reason,
    }
}

fn read(path: &Path, source: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        source,
    }
}
