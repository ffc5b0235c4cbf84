//! From an image's tree to what is rendered for this host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::image_files::StoredFiles;
use super::session::Session;
use crate::deployment::{ContainerName, Setup};
use crate::exports::{
    self, Exports, Host, LocalExports, Overlaid, Owner, Rendered, Request, SourceKind,
};
use crate::host;
use crate::image::Image;
use crate::store::tree::Node;
use crate::store::{Store, Tree};

/// Holds, for a container NAME, the folder NAME/exports.
const EXPORTS_OF_HOST: &str = "/etc/sysc";

/// A generation that is going to be deployed.
pub(super) struct Generation<'a> {
    pub name: &'a ContainerName,
    pub image: &'a Image,
    pub user_values: BTreeMap<String, String>,
    /// Those of them that the image must know.
    pub typed: BTreeSet<String>,
    pub setup: Setup,
    /// Not to be installed, but run and thrown away.
    pub once: bool,
    pub serial: u64,
    pub slot: PathBuf,
}

/// Renders everything that `generation` consists of besides its root file system.
pub(super) fn render(
    generation: &Generation,
    tree: &Tree,
    store: &Store,
    session: &Session,
) -> anyhow::Result<Rendered> {
    let exports = read_exports(generation, &StoredFiles { store, tree })?;
    let host = host_values(&generation.setup, session)?;
    let request = Request {
        name: generation.name.as_str(),
        serial: generation.serial,
        destdir: &generation.slot.to_string_lossy(),
        image_name: &generation.image.name,
        image_id: generation.image.digest.hex(),
        image_config: &generation.image.config,
        once: generation.once,
        network: generation.setup.network,
        user_values: &generation.user_values,
        host: &host,
        carried: &[],
        source: &kind_of_source,
        folder: &|path| folder(tree, path),
    };
    exports::render(&exports, &request)
        .with_context(|| format!("cannot render the image '{}'", generation.image.name))
}

/// The image's `/exports`, and what this host has in its place: the folder that was asked for,
/// or else the one that is meant for a container of this name.
fn read_exports(generation: &Generation, image: &StoredFiles) -> anyhow::Result<Exports> {
    let of_name = Path::new(EXPORTS_OF_HOST)
        .join(generation.name.as_str())
        .join("exports");
    let asked = generation.setup.exports.clone();
    let Some(dir) = asked.or_else(|| Some(of_name).filter(|dir| dir.is_dir())) else {
        return Ok(Exports::read(image)?);
    };
    let over = LocalExports::open(&dir)
        .with_context(|| format!("cannot use '{}' in the place of /exports", dir.display()))?;
    let both = Overlaid {
        over: &over,
        under: image,
    };
    Exports::read(&both).with_context(|| format!("with '{}' on top of /exports", dir.display()))
}

/// What this host gives to templates.
fn host_values(setup: &Setup, session: &Session) -> anyhow::Result<Host> {
    let installer = std::env::current_exe().context("cannot tell where this program is")?;
    let runtime = match &setup.runtime {
        Some(runtime) => runtime.clone(),
        None => session.runtime()?,
    };
    Ok(Host {
        run_directory: "/run".to_owned(),
        state_directory: "/var/lib".to_owned(),
        conf_directory: "/etc".to_owned(),
        runtime: runtime.to_string_lossy().into_owned(),
        installer: installer.to_string_lossy().into_owned(),
        uuid: uuid::Uuid::new_v4().to_string(),
        capabilities: host::capabilities(),
        uid: 0,
        gid: 0,
    })
}

fn kind_of_source(path: &str) -> SourceKind {
    match Path::new(path).metadata() {
        Ok(metadata) if metadata.is_dir() => SourceKind::Dir,
        Ok(_) => SourceKind::File,
        Err(_) => SourceKind::Missing,
    }
}

fn folder(tree: &Tree, path: &str) -> Option<Owner> {
    match tree.lookup(path)? {
        Node::Dir(dir) => Some(Owner {
            uid: dir.meta.uid,
            gid: dir.meta.gid,
            mode: dir.meta.mode & 0o7777,
        }),
        _ => None,
    }
}
