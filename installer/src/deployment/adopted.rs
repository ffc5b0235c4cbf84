//! Deployments that atomic made, and what becomes of them: the same directory, with our records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::draft::write_host_file;
use super::{ContainerName, Deployment, Deployments, Error, Info};
use crate::durable;
use crate::exports::HostFile;

/// The record that atomic left in a deployment; keys that mean nothing here are passed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AtomicInfo {
    /// The image's name.
    pub image: String,
    /// The image's id.
    pub revision: Option<String>,
    /// The commit that it was checked out from.
    #[serde(default)]
    pub ostree_commit: Option<String>,
    /// Seconds since 1970.
    #[serde(default)]
    pub created: f64,
    /// Every value that was used, those of the host and the defaults too.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// There is a unit.
    #[serde(default = "yes")]
    pub has_container_service: bool,
    /// SHA-256 of each file on the host.
    #[serde(default)]
    pub installed_files_checksum: BTreeMap<PathBuf, String>,
}

fn yes() -> bool {
    true
}

/// A container of atomic's.
#[derive(Clone, Debug)]
pub struct AtomicContainer {
    /// Its name.
    pub name: ContainerName,
    /// Its current deployment.
    pub dir: PathBuf,
    /// Its record.
    pub info: AtomicInfo,
}

/// The containers of atomic's in `deployments`, by name.
pub fn atomics(deployments: &Deployments) -> Result<Vec<AtomicContainer>, Error> {
    let root = deployments.dir();
    let failed = |source| Error::io("read", root, source);
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let link = entry.map_err(failed)?.path();
        let name = link.file_name().and_then(|name| name.to_str());
        let Some(Ok(name)) = name.map(ContainerName::parse).filter(|_| link.is_symlink()) else {
            continue;
        };
        let Ok(dir) = link.canonicalize() else {
            continue;
        };
        if let Some(info) = atomic_info(&dir)? {
            found.push(AtomicContainer { name, dir, info });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `None` where there is no record, or one of ours.
fn atomic_info(dir: &Path) -> Result<Option<AtomicInfo>, Error> {
    let path = dir.join("info");
    let Ok(text) = std::fs::read(&path) else {
        return Ok(None);
    };
    let broken = |source| Error::Info {
        path: path.clone(),
        source,
    };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(broken)?;
    match value.get("format") {
        Some(_) => Ok(None),
        None => serde_json::from_value(value).map(Some).map_err(broken),
    }
}

/// Gives atomic's deployment in `dir` the files that ours has beside; its tree, configuration and
/// tmpfiles lines stay as they are. With the record, which comes last, it is ours. atomic's own
/// stays beside it, as `info.atomic`.
pub fn take_over(
    dir: &Path,
    unit: Option<&str>,
    host_files: &[HostFile],
    info: Info,
) -> Result<Deployment, Error> {
    let write = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        durable::replace(&path, content, 0o600).map_err(|source| Error::io("write", &path, source))
    };
    write(&format!("generation.{}", info.serial), b"")?;
    if let Some(unit) = unit {
        write(&format!("{}.service", info.name), unit.as_bytes())?;
    }
    let host = dir.join("host");
    if host.exists() {
        // Of an adoption that was cut off.
        std::fs::remove_dir_all(&host).map_err(|source| Error::io("remove", &host, source))?;
    }
    host_files
        .iter()
        .try_for_each(|file| write_host_file(dir, file))?;
    let old = dir.join("info");
    let text = std::fs::read(&old).map_err(|source| Error::io("read", &old, source))?;
    write("info.atomic", &text)?;
    durable::sync_file_system(dir).map_err(|source| Error::io("sync", dir, source))?;
    write("info", &info.to_json()?)?;
    Ok(Deployment {
        dir: dir.to_owned(),
        info,
    })
}
