//! Deployments that came with the host's own files, in /usr: one of each name, without links and
//! generations. One in /var with the same name stands in for it.

use std::path::Path;

use super::list::Deployment;
use super::{ContainerName, Error, Info};

/// Number of a generation that came with the host.
pub const PREINSTALLED: u64 = 0;

/// The preinstalled deployment of `name` in `dir`, if there is one.
pub fn preinstalled(dir: &Path, name: &ContainerName) -> Result<Option<Deployment>, Error> {
    let dir = dir.join(name.as_str());
    let info = Info::read(&dir)?.filter(|info| info.name == name.as_str());
    Ok(info.map(|info| Deployment { dir, info }))
}

/// The names of all preinstalled deployments in `dir`, sorted.
pub fn preinstalled_names(dir: &Path) -> Vec<ContainerName> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<ContainerName> = entries
        .filter_map(|entry| ContainerName::parse(entry.file_name().to_str()?).ok())
        .collect();
    names.sort();
    names
}
