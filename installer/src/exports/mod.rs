//! The contract between an image and its host: the files that the image carries in `/exports`.
//!
//! In: the image's file tree, its OCI configuration and the host's and user's values. Out: the
//! rendered OCI `config.json`, the unit, the tmpfiles lines and the host files. Pure but for
//! [`read`], which takes files out of the tree: nothing here looks at the host or writes to it.
//!
//! ```text
//! ImageFiles ─read─▶ Exports ─┐
//! Request ────────────────────┴─render─▶ Rendered
//! ```
//!
//! Image content is hostile: whatever it says ends as text that was checked, or as an error.

mod about;
mod config;
mod default_config;
mod early;
mod error;
mod exec;
mod hostfs;
mod image_config;
mod limits;
pub mod lint;
mod local;
mod manifest;
mod mounts;
mod old_config;
mod quote;
mod read;
mod root;
mod seccomp;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod tmpfiles;
mod unit;
mod unit_file;
mod user;
mod values;

use std::collections::BTreeMap;

pub use about::About;
pub use error::{Error, FilesError, UnknownVariables, Unreplaced};
pub use hostfs::{HostFile, HostFileKind};
pub use local::{LocalExports, Overlaid};
pub use mounts::{MountPoint, MountPointKind};
pub use read::{Entry, EntryKind, Exports, ImageFiles, Xattrs};
pub use root::LocalRoot;
pub use syntax::SyntaxError;
pub use template::Place;
pub use tmpfiles::directories;
pub use values::{FORCED, Host, Origin, Variable, parse_set, variables};

use exec::ExecForm;
use image_config::ImageConfig;
use read::Config;
use template::{Filled, Template, Values};

/// What one install asks for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The container's name, already checked.
    pub name: &'a str,
    /// The generation's serial number.
    pub serial: u64,
    /// The deployment's folder as the running host will see it, `NAME.N`.
    pub destdir: &'a str,
    /// The image's name, with tag.
    pub image_name: &'a str,
    /// The image's id.
    pub image_id: &'a str,
    /// The image's OCI configuration, verbatim.
    pub image_config: &'a [u8],
    /// It is run in the foreground, on a root that it may write to and that is thrown away.
    pub once: bool,
    /// It is to be up before D-Bus and the network; an image can say so, too.
    pub early: bool,
    /// Of an ordinary image; one that brings a configuration says this itself.
    pub network: Network,
    /// From `--set`, together with those kept from earlier generations.
    pub user_values: &'a BTreeMap<String, String>,
    /// What the host contributes.
    pub host: &'a Host,
    /// [`directories`] of the former generation's tmpfiles lines.
    pub carried: &'a [String],
    /// What is at a path of the host (or of the tree that an image build prepares); links are
    /// followed.
    pub source: &'a dyn Fn(&str) -> SourceKind,
    /// Whose a folder of the image is; `None` where the image has no folder.
    pub folder: &'a dyn Fn(&str) -> Option<Owner>,
}

/// The network that an ordinary image's service is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The host's, as a service has it.
    #[default]
    Host,
    /// A new one with nothing but a loopback device.
    Private,
}

/// Whose a folder is, and what others may do in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Owner {
    /// Of a folder that nobody else may look into.
    fn alone(uid: u32, gid: u32) -> Self {
        let mode = 0o700;
        Self { uid, gid, mode }
    }
}

/// What a bind mount finds at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Nothing.
    Missing,
    /// A folder.
    Dir,
    /// A file, a socket, a device: anything that is no folder.
    File,
}

/// Everything that a deployment is made of besides the root file system.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The OCI configuration; `None` when the image brings host files only.
    pub config_json: Option<String>,
    /// The unit; `None` when the image has no service (`noContainerService`) or runs once.
    pub unit: Option<String>,
    /// tmpfiles.d lines; `None` when there are none.
    pub tmpfiles: Option<String>,
    /// Host files as they will be written.
    pub host_files: Vec<HostFile>,
    /// What must exist in the root file system to be mounted on.
    pub mount_points: Vec<MountPoint>,
    /// Every variable that had a value.
    pub values: BTreeMap<String, String>,
    /// Whether installing means to run once in the foreground and to remove all again.
    pub run_once: bool,
    /// Values that were given and that nothing looks at. An error for one that was just typed;
    /// one that is kept from an earlier version of the image does no harm.
    pub unknown: Option<UnknownVariables>,
    /// For the user to read.
    pub warnings: Vec<String>,
}

/// The labels of the image.
pub fn labels(image_config: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    Ok(ImageConfig::parse(image_config)?.labels)
}

/// Whether the image is made to be run once and removed (label `atomic.run=once`).
pub fn runs_once(image_config: &[u8]) -> Result<bool, Error> {
    Ok(ImageConfig::parse(image_config)?.run_once())
}

/// Renders the contract of an image for one install, or says everything that stands against it.
pub fn render(exports: &Exports, request: &Request<'_>) -> Result<Rendered, Error> {
    let image = ImageConfig::parse(request.image_config)?;
    let manifest = &exports.manifest;
    let run_once = request.once || image.run_once();
    let service = !manifest.no_container_service;

    let mut templates = Templates::parse(exports, service, run_once)?;
    let form = templates
        .unit
        .as_ref()
        .map_or(ExecForm::Foreground, ExecForm::of);
    let values = values::resolve(request, manifest, form)?;
    let (host_files, warnings) = templates.place(exports, &values)?;
    let unknown = values::unknown(request.user_values, manifest, templates.all());

    let mut rendered = Rendered {
        config_json: None,
        unit: None,
        tmpfiles: templates.tmpfiles(&values)?,
        host_files: hostfs::render(host_files, manifest, &values)?,
        mount_points: Vec::new(),
        values: BTreeMap::new(),
        run_once,
        unknown,
        warnings,
    };
    let mut sources = Vec::new();
    if service {
        let container = container(exports, request, &image, &values, &templates)?;
        rendered.mount_points = mounts::mount_points(&container.checked.value, request.source);
        rendered.warnings.extend(container.checked.warnings);
        if exports.tmpfiles.is_none() {
            let volatile = ["/run", "/var/run", values["RUN_DIRECTORY"].as_str()];
            let (lines, warnings) = tmpfiles::generate(
                &container.sources,
                request.carried,
                &volatile,
                request.source,
            );
            rendered.tmpfiles = lines;
            rendered.warnings.extend(warnings);
        }
        rendered.config_json = Some(container.text);
        sources.extend(container.sources.into_iter().map(|source| source.path));
    }
    if let Some(unit) = &templates.unit {
        let text = unit.fill(&values)?.text;
        let stop_signal = image.stop_signal()?;
        let mut text = unit::complete(&text, request, &values, form, stop_signal)?;
        if let Some(config) = &mut rendered.config_json {
            limits::move_to_unit(&mut text, config, &values, request.host)?;
        }
        if request.early || manifest.early {
            early::add(&mut text, &sources, rendered.tmpfiles.as_deref())?;
        }
        rendered.unit = Some(text);
    }
    rendered.values = values;
    Ok(rendered)
}

/// The templates that this install renders, cut at their variables.
struct Templates {
    config: Option<Template>,
    unit: Option<Template>,
    tmpfiles: Option<Template>,
    renames: Vec<Template>,
    /// Of host files; known when their places are.
    contents: Vec<Template>,
}

impl Templates {
    fn parse(exports: &Exports, service: bool, run_once: bool) -> Result<Self, Error> {
        Ok(Self {
            config: if service {
                exports.config_template()?
            } else {
                None
            },
            unit: if service && !run_once {
                Some(exports.unit_template()?)
            } else {
                None
            },
            tmpfiles: exports.tmpfiles_template()?,
            renames: hostfs::rename_templates(&exports.manifest)?,
            contents: Vec::new(),
        })
    }

    fn all(&self) -> impl Iterator<Item = &Template> + Clone {
        let single = [&self.config, &self.unit, &self.tmpfiles]
            .into_iter()
            .flatten();
        single.chain(&self.renames).chain(&self.contents)
    }

    /// The host files at their places, once it is sure that no template lacks a value.
    fn place(
        &mut self,
        exports: &Exports,
        values: &Values,
    ) -> Result<(Vec<HostFile>, Vec<String>), Error> {
        let manifest = &exports.manifest;
        let settled = template::require(&self.renames, values).is_ok();
        let (files, warnings) = match settled {
            true => hostfs::place(&exports.host_files, manifest, values)?,
            false => (Vec::new(), Vec::new()),
        };
        for file in &files {
            self.contents
                .extend(hostfs::content_template(file, manifest)?);
        }
        template::require(self.all(), values)?;
        Ok((files, warnings))
    }

    /// The image's own lines; a template without any is the image's way to ask for none.
    fn tmpfiles(&self, values: &Values) -> Result<Option<String>, Error> {
        let text = self
            .tmpfiles
            .as_ref()
            .map(|template| template.fill(values))
            .transpose()?;
        Ok(text
            .map(|filled| filled.text)
            .filter(|text| !text.trim().is_empty()))
    }
}

/// The configuration as it will be installed, as it was understood, and what it binds.
struct Container {
    text: String,
    checked: config::Checked,
    sources: Vec<tmpfiles::Source>,
}

fn container(
    exports: &Exports,
    request: &Request<'_>,
    image: &ImageConfig,
    values: &Values,
    templates: &Templates,
) -> Result<Container, Error> {
    let run_once = request.once || image.run_once();
    if request.network != Network::Host && exports.config != Config::Ordinary {
        return Err(Error::NetworkOfImage);
    }
    let mut owned = Vec::new();
    let (filled, file) = match (&exports.config, &templates.config) {
        (_, Some(template)) => (template.fill(values)?, read::CONFIG_TEMPLATE),
        (Config::Verbatim(text), _) => (
            Filled {
                text: text.clone(),
                spans: Vec::new(),
            },
            read::CONFIG,
        ),
        _ => {
            let identity = user::look_up(&image.user, &exports.passwd, &exports.group)?;
            let volumes = default_config::volumes(image, &values["STATE_DIRECTORY"], request.name)?;
            let early = request.early || exports.manifest.early;
            let source = |path: &str| match early && path == early::RESOLVER {
                true => SourceKind::Missing,
                false => (request.source)(path),
            };
            let network = request.network;
            let text = default_config::generate(image, &identity, &volumes, network, &source)?;
            let service = Owner::alone(identity.uid, identity.gid);
            owned.extend(volumes.into_iter().map(|volume| tmpfiles::Source {
                owner: owner(service, (request.folder)(&volume.destination)),
                path: volume.source,
            }));
            (
                Filled {
                    text,
                    spans: Vec::new(),
                },
                "the default config.json",
            )
        }
    };
    let checked = config::check(&filled, file, run_once)?;
    let host = request.host;
    owned.extend(
        mounts::bind_sources(&checked.value)
            .into_iter()
            .map(|path| tmpfiles::Source {
                path: path.to_owned(),
                owner: Owner::alone(host.uid, host.gid),
            }),
    );
    Ok(Container {
        text: filled.text,
        checked,
        sources: owned,
    })
}

/// Of a volume: whoever the image made its folder for (a daemon that starts as root and then
/// becomes another user). A folder of root's would be none that a service of another user could
/// write to, so that one is the service's.
fn owner(service: Owner, folder: Option<Owner>) -> Owner {
    folder
        .filter(|folder| (folder.uid, folder.gid) != (0, 0))
        .unwrap_or(service)
}
