//! What an image says of itself to somebody who thinks of installing it.

use std::collections::BTreeMap;

use super::image_config::ImageConfig;
use super::read::Config;
use super::{Error, Exports, HostFile, Variable, values};

/// An image, before it is installed.
#[derive(Clone, Debug)]
pub struct About {
    /// The labels of the image's configuration.
    pub labels: BTreeMap<String, String>,
    /// What can be set, and what must be.
    pub variables: Vec<Variable>,
    /// Where each file of hostfs stands below it; renames may need values.
    pub host_files: Vec<HostFile>,
    /// Whether it becomes a service, or brings files for the host alone.
    pub service: bool,
    /// Whether it is to be run once and removed.
    pub run_once: bool,
    /// Where the container's configuration comes from.
    pub configured_by: &'static str,
    /// Entry point and command of the image's own configuration.
    pub command: Vec<String>,
    /// Its user, empty for root.
    pub user: String,
    /// The ports that it says it listens on, as `80/tcp`. Nothing is opened or forwarded.
    pub ports: Vec<String>,
    /// The folders that it writes to.
    pub volumes: Vec<String>,
}

impl About {
    /// Reads it off the image's files and its OCI configuration.
    pub fn of(exports: &Exports, image_config: &[u8]) -> Result<Self, Error> {
        let image = ImageConfig::parse(image_config)?;
        Ok(Self {
            variables: values::variables(exports)?,
            host_files: exports.host_files.clone(),
            service: !exports.manifest.no_container_service,
            run_once: image.run_once(),
            configured_by: match exports.config {
                Config::Verbatim(_) => super::read::CONFIG,
                Config::Template(_) => super::read::CONFIG_TEMPLATE,
                Config::Ordinary => "the image's configuration",
            },
            command: [image.entrypoint, image.cmd].concat(),
            user: image.user,
            ports: image.exposed_ports.into_keys().collect(),
            volumes: image.volumes.into_keys().collect(),
            labels: image.labels,
        })
    }
}
