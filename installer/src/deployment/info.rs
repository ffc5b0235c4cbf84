//! `info`: what a deployment says of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::exports::Network;

/// The format that this version writes. A newer one is not touched.
const FORMAT: u32 = 1;

/// The record in each deployment's directory (JSON). The keys that atomic had keep its spelling;
/// keys that this version does not know are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    /// Version of this format; a reader refuses to change what a newer version wrote.
    pub format: u32,
    /// The container that this is a generation of.
    pub name: String,
    /// Number of the generation, never used twice on a host.
    pub serial: u64,
    /// The image's name.
    pub image: String,
    /// What to ask for the image again: a reference with its transport.
    pub source: String,
    /// The image's id: the 64 hexadecimal digits of its manifest's digest.
    pub revision: String,
    /// The commit of the merged tree.
    #[serde(rename = "ostree-commit")]
    pub ostree_commit: String,
    /// When the deployment was made, in seconds since 1970.
    pub created: u64,
    /// The values that the user gave with `--set`, and nothing else: an update keeps these.
    #[serde(default)]
    pub user_values: BTreeMap<String, String>,
    /// What else the user asked for; an update keeps it, too.
    #[serde(default)]
    pub setup: Setup,
    /// Every value that the templates were rendered with.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// False for an image that only brings host files.
    pub has_container_service: bool,
    /// Host files that are ours: path and the SHA-256 of the content that we wrote.
    #[serde(default)]
    pub installed_files_checksum: BTreeMap<String, String>,
    /// Absolute path of the runtime that the unit calls.
    pub runtime: String,
    /// What the container runs, for lists.
    #[serde(default)]
    pub command: Vec<String>,
    /// What a later version added.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// How a container was asked to be, besides its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Setup {
    /// `--network`
    pub network: Network,
    /// `--exports`: a folder that stands in for the image's `/exports`, file by file.
    pub exports: Option<PathBuf>,
    /// `--rootfs`: a file tree of the host, used in the place of the image's and never written.
    pub rootfs: Option<PathBuf>,
    /// `--runtime`: the OCI runtime that the unit calls.
    pub runtime: Option<PathBuf>,
    /// `--early`: up before D-Bus and the network.
    pub early: bool,
}

impl Info {
    /// The format number for new records.
    pub fn format() -> u32 {
        FORMAT
    }

    /// Reads the record of the deployment in `dir`. `None`: there is none, or one without a format,
    /// as atomic wrote them; so that the directory is not a deployment of ours.
    pub fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join("info");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(Error::io("read", &path, source)),
        };
        let broken = |source| Error::Info {
            path: path.clone(),
            source,
        };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(broken)?;
        // A record of atomic's has no format: its deployment is not ours to touch.
        if value.get("format").is_none() {
            return Ok(None);
        }
        let info: Self = serde_json::from_value(value).map_err(broken)?;
        if info.format > FORMAT {
            return Err(Error::NewerFormat {
                path,
                format: info.format,
            });
        }
        Ok(Some(info))
    }

    /// The record as it is written.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|source| Error::Info {
            path: PathBuf::from("info"),
            source,
        })?;
        text.push(b'\n');
        Ok(text)
    }
}
