//! The text that names an image, and what it means.
//!
//! ```text
//! [docker://]HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]   a registry
//! NAME[:TAG][@sha256:DIGEST]                                a registry of the search list
//! oci:DIR[:REF]   oci-archive:FILE[:REF]                    an OCI image layout, or a tar of one
//! docker-archive:FILE[:REF]   dockertar:/FILE[:REF]         what `docker save` writes
//! docker:NAME[:TAG]   docker-daemon:NAME[:TAG]              an engine on this machine
//! ostree:NAME[:TAG]                                         what the repository holds already
//! ```
//!
//! `oci:` has two meanings by age. It is a layout when its path begins with `/` or `.` or is a
//! folder with an `oci-layout` file; otherwise it is the older spelling for a registry's image,
//! in which `oci:`, `docker://`, `http:` and `https:` say nothing and are dropped.

use std::fmt;
use std::path::{self, Path, PathBuf};

use super::{Digest, Error, name};

/// Where an image is to be taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A registry, possibly still to be found in the search list.
    Registry(Named),
    /// A folder laid out by image-spec's image-layout.md.
    Layout(Stored),
    /// A tar file of such a folder.
    OciArchive(Stored),
    /// A tar file as `docker save` writes it.
    DockerArchive(Stored),
    /// What the repository holds already; nobody is asked.
    Repository(Named),
    /// An engine on this machine: Docker's, or podman's by the same protocol.
    Engine(Named),
}

/// A name in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `host[:port]`, or none when the search list has to tell.
    pub registry: Option<String>,
    /// As typed: Docker Hub's `library/` is added on the wire only.
    pub repository: String,
    /// As typed.
    pub tag: Option<String>,
    /// When there, it alone says which manifest is meant.
    pub digest: Option<Digest>,
}

/// A file or a folder, and which image in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Absolute, so that an update from elsewhere finds it again.
    pub path: PathBuf,
    /// The image's name inside; none takes the only one.
    pub image: Option<String>,
}

/// Transports of other tools, refused by their names rather than taken for registries.
const UNSUPPORTED: [&str; 4] = ["containers-storage", "dir", "sif", "tarball"];

impl Reference {
    /// Understands `text`; relative paths count from the working directory.
    ///
    /// # Errors
    /// [`Error::ParseReference`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, |dir| dir.join("oci-layout").is_file())
    }

    fn parse_with(text: &str, is_layout: impl Fn(&Path) -> bool) -> Result<Self, Error> {
        let fault = |reason: String| Error::ParseReference {
            text: text
                .chars()
                .take(300)
                .flat_map(char::escape_debug)
                .collect(),
            reason,
        };
        if let Some((transport, rest)) = text.split_once(':') {
            match transport {
                "oci" if means_layout(rest, is_layout) => {
                    return Stored::parse(rest).map(Self::Layout).map_err(fault);
                }
                "oci-archive" => return Stored::parse(rest).map(Self::OciArchive).map_err(fault),
                "docker-archive" | "dockertar" => {
                    return Stored::parse(rest).map(Self::DockerArchive).map_err(fault);
                }
                "docker" | "docker-daemon" if !rest.starts_with("//") => {
                    return Named::parse(rest).map(Self::Engine).map_err(fault);
                }
                "ostree" => return Named::parse(rest).map(Self::Repository).map_err(fault),
                other if UNSUPPORTED.contains(&other) => {
                    return Err(fault(format!("the transport '{other}' is not supported")));
                }
                _ => {}
            }
        }
        Named::parse(without_transport(text))
            .map(Self::Registry)
            .map_err(fault)
    }

    /// What the image is called, when the reference tells: the name as typed, without transport,
    /// plus `:latest` where neither tag nor digest was given. An archive or a layout may hold a
    /// name of its own, which [`resolve`](super::resolve) finds out.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Registry(named) | Self::Engine(named) | Self::Repository(named) => {
                Some(named.name())
            }
            Self::Layout(_) | Self::OciArchive(_) | Self::DockerArchive(_) => None,
        }
    }

    /// What a container of this image is called unless the user says otherwise, when the
    /// reference tells; see [`Image::default_container_name`](super::Image::default_container_name).
    pub fn default_container_name(&self) -> Option<String> {
        self.name().map(|name| name::container_name(&name))
    }

    /// The text that [`parse`](Self::parse) takes again.
    pub fn source(&self) -> String {
        match self {
            Self::Registry(named) => named.name(),
            Self::Layout(stored) => format!("oci:{stored}"),
            Self::OciArchive(stored) => format!("oci-archive:{stored}"),
            Self::DockerArchive(stored) => format!("docker-archive:{stored}"),
            Self::Engine(named) => format!("docker:{}", named.name()),
            Self::Repository(named) => format!("ostree:{}", named.name()),
        }
    }
}

fn means_layout(rest: &str, is_layout: impl Fn(&Path) -> bool) -> bool {
    let dir = rest.split(':').next().unwrap_or_default();
    dir.starts_with(['/', '.']) || (!dir.is_empty() && is_layout(Path::new(dir)))
}

fn without_transport(text: &str) -> &str {
    for prefix in ["docker:", "oci:", "http:", "https:"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return rest.strip_prefix("//").unwrap_or(rest);
        }
    }
    text
}

impl Named {
    /// Parses `[host[:port]/]repository[:tag][@digest]`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(Digest::parse(digest).map_err(|error| error.to_string())?),
            ),
            None => (text, None),
        };
        let (registry, path) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host.to_owned()), path)
            }
            _ => (None, rest),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let named = Self {
            registry,
            repository: repository.to_owned(),
            tag,
            digest,
        };
        named.check()?;
        Ok(named)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(registry) = &self.registry {
            name::check_registry(registry)?;
        }
        name::check_repository(&self.repository)?;
        if let Some(tag) = &self.tag {
            name::check_tag(tag)?;
        }
        let hex = self.repository.len() == 64 && Digest::from_hex(&self.repository).is_ok();
        if hex && self.registry.is_none() {
            return Err("64 hexadecimal digits are an image id, not a name".to_owned());
        }
        Ok(())
    }

    /// As typed, plus `:latest` where neither tag nor digest was given.
    pub(super) fn name(&self) -> String {
        if self.tag.is_none() && self.digest.is_none() {
            format!("{self}:latest")
        } else {
            self.to_string()
        }
    }

    /// The same image in `registry`.
    pub(super) fn in_registry(&self, registry: &str) -> Self {
        Self {
            registry: Some(registry.to_owned()),
            ..self.clone()
        }
    }

    /// What stands after `manifests/` in a request: the digest when there is one.
    pub(super) fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Stored {
    fn parse(text: &str) -> Result<Self, String> {
        let (file, image) = match text.split_once(':') {
            Some((file, image)) => (file, Some(image.to_owned())),
            None => (text, None),
        };
        if file.is_empty() {
            return Err("there is no path after the transport".to_owned());
        }
        if text.contains(char::is_control) {
            return Err("control characters are not allowed in it".to_owned());
        }
        if image.as_deref().is_some_and(str::is_empty) {
            return Err("there is nothing after the last ':'".to_owned());
        }
        let path = path::absolute(file).map_err(|error| error.to_string())?;
        Ok(Self { path, image })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.image {
            Some(image) => write!(f, ":{image}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
