//! What an image carries in `/exports`, taken out of its file tree.

use super::error::FilesError;
use super::hostfs::{HostFile, HostFileKind};
use super::manifest::{self, Manifest};
use super::template::Template;
use super::{Error, hostfs};

/// Used when the image brings no unit; for people to read, and rendered like an image's own.
const DEFAULT_UNIT: &str = include_str!("../../../unit-templates/service.template");

/// Where the contract's files stand in the image; what errors call them.
pub(super) const CONFIG: &str = "/exports/config.json";
pub(super) const CONFIG_TEMPLATE: &str = "/exports/config.json.template";
pub(super) const SERVICE: &str = "/exports/service.template";
const TMPFILES: &str = "/exports/tmpfiles.template";

/// The files of an image, seen as its merged tree.
///
/// Paths are absolute within the image. Links are resolved within the image and never lead out
/// of it: an absolute target starts at the image's root, `..` stops there, a loop is "not there".
pub trait ImageFiles {
    /// The content of a regular file; `None` where there is none (or something else).
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError>;

    /// What is in a folder, in any order; `None` where there is no folder.
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FilesError>;
}

/// One entry of a folder of the image; links are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without a slash.
    pub name: String,
    /// Permission bits; file type bits are passed over.
    pub mode: u32,
    /// What it is.
    pub kind: EntryKind,
    /// Extended attributes that go with it to the host.
    pub xattrs: Xattrs,
}

/// Names and values of extended attributes.
pub type Xattrs = Vec<(String, Vec<u8>)>;

/// The kinds of entries that are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link and its text.
    Link(String),
    /// Anything else, by the word that an error uses for it (`fifo`, `device`, `socket`).
    Special(&'static str),
}

/// The contract's files as the image has them, nothing rendered yet.
#[derive(Clone, Debug)]
pub struct Exports {
    pub(super) manifest: Manifest,
    pub(super) config: Config,
    pub(super) service: Option<String>,
    pub(super) tmpfiles: Option<String>,
    pub(super) host_files: Vec<HostFile>,
    /// `/etc/passwd` and `/etc/group`, for images whose user is a name.
    pub(super) passwd: String,
    pub(super) group: String,
}

/// Where the container's OCI configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Config {
    /// `/exports/config.json`
    Verbatim(String),
    /// `/exports/config.json.template`
    Template(String),
    /// Neither: an ordinary image, configured from its own OCI configuration.
    Ordinary,
}

impl Exports {
    /// Takes the contract's files out of the image. An image without `/exports` is an ordinary
    /// one, and no error.
    pub fn read(files: &dyn ImageFiles) -> Result<Self, Error> {
        let manifest = match text(files, manifest::FILE)? {
            Some(text) => Manifest::parse(&text)?,
            None => Manifest::default(),
        };
        let config = match text(files, CONFIG)? {
            Some(text) => Config::Verbatim(text),
            None => text(files, CONFIG_TEMPLATE)?.map_or(Config::Ordinary, Config::Template),
        };
        Ok(Self {
            manifest,
            config,
            service: text(files, SERVICE)?,
            tmpfiles: text(files, TMPFILES)?,
            host_files: host_files(files)?,
            passwd: lossy(files, "/etc/passwd")?,
            group: lossy(files, "/etc/group")?,
        })
    }

    /// The template of the unit: the image's, or ours.
    pub(super) fn unit_template(&self) -> Result<Template, Error> {
        match &self.service {
            Some(text) => Template::parse(SERVICE, text),
            None => Template::parse("the default unit", DEFAULT_UNIT),
        }
    }

    pub(super) fn config_template(&self) -> Result<Option<Template>, Error> {
        match &self.config {
            Config::Template(text) => Template::parse(CONFIG_TEMPLATE, text).map(Some),
            Config::Verbatim(_) | Config::Ordinary => Ok(None),
        }
    }

    pub(super) fn tmpfiles_template(&self) -> Result<Option<Template>, Error> {
        self.tmpfiles
            .as_deref()
            .map(|text| Template::parse(TMPFILES, text))
            .transpose()
    }

    /// Every template whose variables an image's user may have to set.
    pub(super) fn templates(&self) -> Result<Vec<Template>, Error> {
        let mut templates = vec![self.unit_template()?];
        templates.extend(self.config_template()?);
        templates.extend(self.tmpfiles_template()?);
        templates.extend(hostfs::rename_templates(&self.manifest)?);
        templates.extend(hostfs::known_templates(&self.host_files, &self.manifest)?);
        Ok(templates)
    }
}

fn bytes(files: &dyn ImageFiles, path: &str) -> Result<Option<Vec<u8>>, Error> {
    files.file(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })
}

fn text(files: &dyn ImageFiles, path: &str) -> Result<Option<String>, Error> {
    let decode = |bytes| {
        String::from_utf8(bytes).map_err(|_| Error::NotText {
            file: path.to_owned(),
        })
    };
    bytes(files, path)?.map(decode).transpose()
}

/// User databases may hold names in any encoding; only ASCII parts of them matter.
fn lossy(files: &dyn ImageFiles, path: &str) -> Result<String, Error> {
    let content = bytes(files, path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Everything below `/exports/hostfs`, sorted by path. A folder is listed only when it is empty,
/// as it comes to be by itself otherwise.
fn host_files(files: &dyn ImageFiles) -> Result<Vec<HostFile>, Error> {
    let mut found = Vec::new();
    // A stack of our own: how deep the image's folders go is the image's choice.
    let mut folders = vec![(String::new(), 0o755)];
    while let Some((folder, mode)) = folders.pop() {
        let full = format!("{}{folder}", hostfs::ROOT);
        let entries = files
            .list(&full)
            .map_err(|source| Error::ReadFile {
                path: full.clone(),
                source,
            })?
            .unwrap_or_default();
        if entries.is_empty() && !folder.is_empty() {
            found.push(HostFile {
                path: folder,
                mode,
                kind: HostFileKind::Dir,
                template: false,
                xattrs: Xattrs::new(),
            });
            continue;
        }
        for entry in entries {
            let path = format!("{folder}/{}", entry.name);
            let mode = entry.mode & 0o7777;
            let kind = match entry.kind {
                EntryKind::Dir => {
                    folders.push((path, mode));
                    continue;
                }
                EntryKind::File => {
                    let content = bytes(files, &format!("{}{path}", hostfs::ROOT))?;
                    HostFileKind::File(content.unwrap_or_default())
                }
                EntryKind::Link(target) => HostFileKind::Link(target),
                EntryKind::Special(kind) => return Err(Error::HostFileKind { path, kind }),
            };
            found.push(HostFile {
                path,
                mode,
                kind,
                template: false,
                xattrs: entry.xattrs,
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Files;
    use super::*;

    #[test]
    fn an_image_without_exports_is_an_ordinary_one() {
        let exports = Exports::read(&Files::default()).unwrap();
        assert_eq!(exports.config, Config::Ordinary);
        assert_eq!((exports.service, exports.tmpfiles), (None, None));
        assert!(exports.host_files.is_empty());
    }

    #[test]
    fn config_json_wins_over_its_template() {
        let both = Files::default()
            .file(CONFIG, "{}")
            .file(CONFIG_TEMPLATE, "$X");
        assert_eq!(
            Exports::read(&both).unwrap().config,
            Config::Verbatim("{}".to_owned())
        );
        let one = Files::default().file(CONFIG_TEMPLATE, "$X");
        assert_eq!(
            Exports::read(&one).unwrap().config,
            Config::Template("$X".to_owned())
        );
    }

    #[test]
    fn a_template_that_is_no_text_is_named() {
        for path in [manifest::FILE, CONFIG, CONFIG_TEMPLATE, SERVICE, TMPFILES] {
            let error = Exports::read(&Files::default().bytes(path, b"\xff\xfe"));
            assert!(error.unwrap_err().to_string().contains(path), "{path}");
        }
    }

    /// T07: files with their modes, links as text, empty folders.
    #[test]
    fn t07_hostfs_is_listed() {
        let files = Files::default()
            .mode("/exports/hostfs/usr/local/bin/tool", "#!/bin/sh\n", 0o4755)
            .link(
                "/exports/hostfs/opt/cni/bin/bridge",
                "/usr/libexec/cni/bridge",
            )
            .dir("/exports/hostfs/etc/tool.d", 0o700);
        let found = Exports::read(&files).unwrap().host_files;
        let listed: Vec<_> = found
            .iter()
            .map(|f| (f.path.as_str(), f.mode, &f.kind))
            .collect();
        assert_eq!(
            listed,
            [
                ("/etc/tool.d", 0o700, &HostFileKind::Dir),
                (
                    "/opt/cni/bin/bridge",
                    0o777,
                    &HostFileKind::Link("/usr/libexec/cni/bridge".to_owned())
                ),
                (
                    "/usr/local/bin/tool",
                    0o4755,
                    &HostFileKind::File(b"#!/bin/sh\n".to_vec())
                ),
            ]
        );
    }

    #[test]
    fn t07_a_fifo_or_device_is_refused_by_name() {
        for kind in ["fifo", "device", "socket"] {
            let files = Files::default().special("/exports/hostfs/etc/odd", kind);
            let message = Exports::read(&files).unwrap_err().to_string();
            assert!(message.contains("'/exports/hostfs/etc/odd' is a ") && message.contains(kind));
        }
    }
}
