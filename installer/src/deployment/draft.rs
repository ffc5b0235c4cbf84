//! Building a deployment beside the live ones.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{ContainerName, Deployment, Deployments, Error, Info};
use crate::durable;
use crate::exports::{HostFile, HostFileKind};
use crate::store::{Store, Tree};

/// A deployment under construction, in `.NAME.tmp-SERIAL`. Dropping it removes what was built;
/// after a crash the next command does.
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    slot: PathBuf,
    serial: u64,
    finished: bool,
}

/// What a deployment holds besides its file tree.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The rendered OCI configuration; without one (an image of host files only) there is no
    /// root file system either.
    pub config_json: Option<&'a str>,
    /// The rendered unit.
    pub unit: Option<&'a str>,
    /// The rendered tmpfiles lines.
    pub tmpfiles: Option<&'a str>,
    /// Host files as they will be written.
    pub host_files: &'a [HostFile],
    /// The record.
    pub info: &'a Info,
}

impl Draft {
    /// Starts generation `serial` of `name`, which is going to live in `slot`.
    pub fn begin(
        deployments: &Deployments,
        name: &ContainerName,
        serial: u64,
        slot: &Path,
    ) -> Result<Self, Error> {
        let dir = deployments.dir().join(format!(".{name}.tmp-{serial}"));
        durable::make_private_dir(&dir).map_err(|source| Error::io("create", &dir, source))?;
        Ok(Self {
            dir,
            slot: slot.to_owned(),
            serial,
            finished: false,
        })
    }

    /// Links `tree` out of the repository as the deployment's root file system.
    pub fn link_tree(&self, store: &Store, tree: &Tree) -> Result<(), Error> {
        let rootfs = self.dir.join("rootfs");
        durable::make_dirs(&rootfs).map_err(|source| Error::io("create", &rootfs, source))?;
        let folder = File::open(&rootfs).map_err(|source| Error::io("open", &rootfs, source))?;
        store.materialise(tree, &folder)?;
        Ok(())
    }

    /// Uses a tree of the host as the deployment's root file system.
    pub fn point_at_tree(&self, tree: &Path) -> Result<(), Error> {
        let rootfs = self.dir.join("rootfs");
        durable::link(&rootfs, tree).map_err(|source| Error::io("create", &rootfs, source))
    }

    /// Writes everything else. All of it is readable by root alone: values may be secrets.
    pub fn write(&self, contents: &Contents) -> Result<(), Error> {
        let name = &contents.info.name;
        let info = contents.info.to_json()?;
        let files = [
            (format!("generation.{}", self.serial), Some(&b""[..])),
            (
                "config.json".to_owned(),
                contents.config_json.map(str::as_bytes),
            ),
            (format!("{name}.service"), contents.unit.map(str::as_bytes)),
            (
                format!("tmpfiles-{name}.conf"),
                contents.tmpfiles.map(str::as_bytes),
            ),
            ("info".to_owned(), Some(info.as_slice())),
        ];
        for (file, content) in files {
            let path = self.dir.join(file);
            if let Some(content) = content {
                durable::create(&path, content, 0o600)
                    .map_err(|source| Error::io("write", &path, source))?;
            }
        }
        contents
            .host_files
            .iter()
            .try_for_each(|file| write_host_file(&self.dir, file))
    }

    /// Makes everything durable and gives the deployment its final path. It is complete from
    /// here on, and current only when [`make_current`](super::make_current) says so.
    pub fn complete(mut self, info: Info) -> Result<Deployment, Error> {
        durable::sync_file_system(&self.dir)
            .map_err(|source| Error::io("sync", &self.dir, source))?;
        durable::rename(&self.dir, &self.slot)
            .map_err(|source| Error::io("rename", &self.dir, source))?;
        self.finished = true;
        Ok(Deployment {
            dir: self.slot.clone(),
            info,
        })
    }
}

/// Puts a host file as it will be written into the deployment `dir`.
pub(super) fn write_host_file(dir: &Path, file: &HostFile) -> Result<(), Error> {
    let path = dir.join("host").join(file.path.trim_start_matches('/'));
    let failed = |source| Error::io("write", &path, source);
    if let Some(parent) = path.parent() {
        durable::make_dirs(parent).map_err(failed)?;
    }
    match &file.kind {
        HostFileKind::File(content) => durable::create(&path, content, file.mode),
        HostFileKind::Link(target) => durable::link(&path, Path::new(target)),
        HostFileKind::Dir => durable::make_dirs(&path),
    }
    .map_err(failed)?;
    file.xattrs
        .iter()
        .try_for_each(|(name, value)| durable::set_xattr(&path, name, value))
        .map_err(failed)
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // Only tidying: whatever stays is removed by the next command.
            let _ = super::remove(&self.dir, self.serial);
        }
    }
}
