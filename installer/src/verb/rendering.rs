//! From an image's tree to what is rendered for this host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::image_files::StoredFiles;
use super::session::Session;
use crate::deployment::{ContainerName, Deployment, Setup};
use crate::exports::{
    self, Exports, Host, ImageFiles, LocalExports, LocalRoot, Overlaid, Owner, Rendered, Request,
    SourceKind,
};
use crate::host::{self, Found, OtherRoot};
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
    /// The tree that it is built into, in the place of this host.
    pub root: Option<&'a OtherRoot>,
    /// The generation that it follows, at an update.
    pub former: Option<&'a Deployment>,
}

/// Renders everything that `generation` consists of besides its root file system.
pub(super) fn render(
    generation: &Generation,
    tree: &Tree,
    store: &Store,
    session: &Session,
) -> anyhow::Result<Rendered> {
    let exports = match &generation.setup.rootfs {
        None => read_exports(generation, &StoredFiles { store, tree })?,
        Some(dir) => {
            let root =
                LocalRoot::open(dir).with_context(|| format!("cannot use '{}'", dir.display()))?;
            read_exports(generation, &root)?
        }
    };
    let host = host_values(generation, session)?;
    let carried = carried(generation.former)?;
    let request = Request {
        name: generation.name.as_str(),
        serial: generation.serial,
        destdir: &generation.slot.to_string_lossy(),
        image_name: &generation.image.name,
        image_id: generation.image.digest.hex(),
        image_config: &generation.image.config,
        once: generation.once,
        early: generation.setup.early,
        network: generation.setup.network,
        user_values: &generation.user_values,
        host: &host,
        carried: &carried,
        source: &|path| match generation.root {
            Some(root) => match root.find(path) {
                Found::Nothing => SourceKind::Missing,
                Found::Dir => SourceKind::Dir,
                Found::File => SourceKind::File,
            },
            None => kind_of_source(path),
        },
        folder: &|path| folder(tree, path),
    };
    let mut rendered = exports::render(&exports, &request)
        .with_context(|| format!("cannot render the image '{}'", generation.image.name))?;
    if let (Some(dir), Some(config)) = (&generation.setup.rootfs, &mut rendered.config_json) {
        *config = with_root(config, dir)?;
    }
    Ok(rendered)
}

/// The configuration with a root file system outside of the deployment.
fn with_root(config_json: &str, dir: &Path) -> anyhow::Result<String> {
    let mut config: Value = serde_json::from_str(config_json).context("cannot read config.json")?;
    config["root"]["path"] = dir.to_string_lossy().into();
    Ok(format!("{config:#}\n"))
}

/// The image's `/exports`, and what this host has in its place: the folder that was asked for,
/// or else the one that is meant for a container of this name.
fn read_exports(generation: &Generation, image: &dyn ImageFiles) -> anyhow::Result<Exports> {
    let of_name = Path::new(EXPORTS_OF_HOST)
        .join(generation.name.as_str())
        .join("exports");
    let asked = generation.setup.exports.clone();
    let here = generation.root.is_none();
    let Some(dir) = asked.or_else(|| Some(of_name).filter(|dir| here && dir.is_dir())) else {
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

/// The directories that the former generation had made: they exist now, and yet are still to be
/// made, after each boot.
fn carried(former: Option<&Deployment>) -> anyhow::Result<Vec<String>> {
    let Some(former) = former else {
        return Ok(Vec::new());
    };
    let path = former
        .dir
        .join(format!("tmpfiles-{}.conf", former.info.name));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(exports::directories(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read '{}'", path.display())),
    }
}

/// What this host gives to templates.
fn host_values(generation: &Generation, session: &Session) -> anyhow::Result<Host> {
    let kept = |former: &Deployment| former.info.values.get("UUID").cloned();
    let kept = generation.former.and_then(kept);
    let setup = &generation.setup;
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
        uuid: kept.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        capabilities: match generation.root {
            Some(_) => host::all_capabilities(),
            None => host::capabilities(),
        },
        uid: 0,
        gid: 0,
        // Of another host only what all have to have is assumed.
        systemd: generation.root.map_or_else(host::systemd_version, |_| 0),
        unified_cgroups: generation.root.is_some() || host::has_unified_cgroups(),
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
