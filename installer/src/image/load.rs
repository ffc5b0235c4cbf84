//! From a reference to a verified image, wherever it is found.

use std::sync::Arc;

use super::error::with_causes;
use super::manifest::{self, Document, MAX_DOCUMENT, Manifest, Parsed};
use super::reference::Named;
use super::search::{Endpoint, Registries};
use super::transport::archive::Archive;
use super::transport::docker_archive::DockerArchive;
use super::transport::engine;
use super::transport::layout::{Folder, Layout};
use super::transport::registry::Registry;
use super::transport::{Source, read_bounded};
use super::{Access, Digest, Error, Image, LayerStream, Reference, policy};

/// An image that was found, and where its layers are to be had.
pub struct Resolved {
    /// What was found.
    pub image: Image,
    source: Arc<dyn Source>,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved")
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

impl Resolved {
    /// Opens the layer at `index`, counted from the lowest. `on_bytes` is told of the blob's
    /// bytes as they come.
    ///
    /// # Errors
    /// When the source does not give the blob. What it gives is judged by the stream.
    pub fn open_layer(
        &self,
        index: usize,
        on_bytes: Box<dyn FnMut(u64) + Send>,
    ) -> Result<LayerStream, Error> {
        let layer = self
            .image
            .layers
            .get(index)
            .ok_or_else(|| Error::NoSuchLayer {
                image: self.image.name.clone(),
                index,
            })?;
        let blob = self.source.blob(&layer.digest, layer.size)?;
        LayerStream::new(blob, layer, on_bytes)
    }
}

/// Finds the image and verifies its manifest and configuration. Of a registry this is some small
/// requests; layers are not fetched.
///
/// # Errors
/// The first failure that does not leave another source to try; where several were tried, all.
pub fn resolve(reference: &Reference, access: &Access) -> Result<Resolved, Error> {
    let stored = match reference {
        Reference::Registry(named) => return from_registries(named, access),
        Reference::Repository(named) => return Err(Error::NotStored { name: named.name() }),
        Reference::Engine(named) => return from_engine(named, reference, access),
        Reference::Layout(stored)
        | Reference::OciArchive(stored)
        | Reference::DockerArchive(stored) => stored,
    };
    policy::check(reference, &access.policy)?;
    let (source, name): (Arc<dyn Source>, String) = match reference {
        Reference::DockerArchive(_) => {
            let archive = DockerArchive::open(stored, &access.scratch)?;
            let name = archive.name().to_owned();
            (Arc::new(archive), name)
        }
        Reference::OciArchive(_) => {
            let archive = Archive::open(&stored.path, &access.scratch)?;
            let layout = Layout::open(Box::new(archive), stored)?;
            let name = layout.name().to_owned();
            (Arc::new(layout), name)
        }
        _ => {
            let layout = Layout::open(Box::new(Folder(stored.path.clone())), stored)?;
            let name = layout.name().to_owned();
            (Arc::new(layout), name)
        }
    };
    load(
        source,
        Wanted {
            name,
            source: reference.source(),
            digest: None,
        },
        access,
    )
}

fn from_engine(named: &Named, reference: &Reference, access: &Access) -> Result<Resolved, Error> {
    policy::check(reference, &access.policy)?;
    load(
        Arc::new(engine::open(named, access)?),
        Wanted {
            name: named.name(),
            source: reference.source(),
            digest: None,
        },
        access,
    )
}

fn from_registries(named: &Named, access: &Access) -> Result<Resolved, Error> {
    let registries = Registries::read(&access.registries_conf, &access.registries_conf_dir)?;
    let candidates = registries.candidates(named)?;
    if access.credentials.is_some() && candidates.len() > 1 {
        let all = candidates.iter().filter_map(|c| c.registry.clone());
        return Err(Error::CredentialsForMany {
            name: named.to_string(),
            registries: all.collect::<Vec<_>>().join(", "),
        });
    }
    let mut attempts = Vec::new();
    for candidate in &candidates {
        let endpoints = match allowed(candidate, &registries, access) {
            Ok(endpoints) => endpoints,
            Err(error) => {
                attempts.push((candidate.to_string(), error));
                continue;
            }
        };
        for endpoint in &endpoints {
            match from_endpoint(named, candidate, endpoint, access) {
                Ok(resolved) => return Ok(resolved),
                Err(error) => {
                    let place = format!("{}/{}", endpoint.registry, endpoint.repository);
                    attempts.push((place, error));
                }
            }
        }
    }
    match attempts.len() {
        1 => Err(attempts.remove(0).1),
        _ => Err(Error::AllFailed {
            name: named.to_string(),
            attempts,
        }),
    }
}

/// The servers that may be asked for a full name: none is asked before all rules were.
fn allowed(
    candidate: &Named,
    registries: &Registries,
    access: &Access,
) -> Result<Vec<Endpoint>, Error> {
    policy::check(&Reference::Registry(candidate.clone()), &access.policy)?;
    registries.endpoints(candidate)
}

fn from_endpoint(
    typed: &Named,
    candidate: &Named,
    endpoint: &Endpoint,
    access: &Access,
) -> Result<Resolved, Error> {
    let registry = Registry::connect(endpoint, &candidate.selector(), access)?;
    let wanted = Wanted {
        name: typed.name(),
        // An update must not end in another registry of the search list.
        source: candidate.name(),
        digest: candidate.digest.clone(),
    };
    load(Arc::new(registry), wanted, access)
}

/// What an image will be called, and what its topmost document must be.
struct Wanted {
    name: String,
    source: String,
    digest: Option<Digest>,
}

fn load(source: Arc<dyn Source>, wanted: Wanted, access: &Access) -> Result<Resolved, Error> {
    let top = source.top()?;
    if let Some(expected) = &wanted.digest {
        let got = Digest::of(&top.bytes);
        if got != *expected {
            let what = format!("the manifest of '{}'", wanted.name);
            return Err(Error::WrongDigest {
                what,
                expected: expected.clone(),
                got,
            });
        }
    }
    let (document, manifest) = descend(source.as_ref(), top, &wanted.name, access)?;
    manifest.check(&wanted.name)?;
    let config = configuration(source.as_ref(), &manifest)?;
    let content = manifest.content(&config)?;
    let platform = &access.platform;
    if !content.architecture.is_empty() && content.architecture != platform.architecture {
        return Err(Error::NoPlatform {
            image: wanted.name,
            wanted: platform.to_string(),
            found: vec![format!("linux/{}", content.architecture.escape_debug())],
        });
    }
    let image = Image::from_documents(wanted.name, wanted.source, document.bytes, config)?;
    Ok(Resolved { image, source })
}

impl Image {
    /// The image that consists of these two documents, which were verified when they were
    /// fetched.
    ///
    /// # Errors
    /// [`Error::Manifest`] and [`Error::Config`], when they are no image's.
    pub fn from_documents(
        name: String,
        source: String,
        manifest: Vec<u8>,
        config: Vec<u8>,
    ) -> Result<Self, Error> {
        let document = Document {
            bytes: manifest,
            media_type: None,
        };
        let Parsed::Manifest(parsed) = document.parse(&name)? else {
            let reason = "it is an index".to_owned();
            return Err(Error::Manifest {
                image: name,
                reason,
            });
        };
        parsed.check(&name)?;
        Ok(Self {
            digest: Digest::of(&document.bytes),
            layers: parsed.content(&config)?.layers,
            manifest: document.bytes,
            name,
            source,
            config,
        })
    }
}

/// Through an index, and one index in it, to the manifest for this platform.
fn descend(
    source: &dyn Source,
    top: Document,
    image: &str,
    access: &Access,
) -> Result<(Document, Manifest), Error> {
    let mut document = top;
    for _ in 0..3 {
        match document.parse(image)? {
            Parsed::Manifest(manifest) => return Ok((document, manifest)),
            Parsed::Index(index) => {
                let descriptor = index.choose(&access.platform, image)?;
                document = source.document(&descriptor)?;
                document.verify(&descriptor)?;
                // What the server calls it must fit, and what the index called it as well.
                document.parse(image)?;
                document.media_type = Some(descriptor.media_type);
            }
        }
    }
    let reason = "it is an index in an index in an index".to_owned();
    Err(Error::Manifest {
        image: image.to_owned(),
        reason,
    })
}

fn configuration(source: &dyn Source, manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let descriptor = &manifest.config;
    let blob = source.blob(&descriptor.digest, descriptor.size)?;
    let bytes = read_bounded(blob, descriptor.size.min(MAX_DOCUMENT)).map_err(|source| {
        // What the transport says in our own words is told as that.
        match source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        {
            Some(inner) => Error::Config {
                digest: descriptor.digest.clone(),
                reason: with_causes(inner),
            },
            None => Error::ReadBlob {
                digest: descriptor.digest.clone(),
                source,
            },
        }
    })?;
    manifest::verify("configuration", &bytes, descriptor)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
