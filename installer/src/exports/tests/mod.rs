//! The room as a whole, on images shaped like those that people run.

mod bad_input;
mod docs;
mod images;

use std::collections::BTreeMap;

use super::error::FilesError;
use super::*;

pub(super) use images::etcd;

/// An image's files, by path; folders come to be by what is in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(BTreeMap<String, (u32, Kind)>);

#[derive(Clone, Debug)]
enum Kind {
    File(Vec<u8>),
    Link(String),
    Dir,
    Special(&'static str),
}

impl Files {
    pub fn file(self, path: &str, text: &str) -> Self {
        self.mode(path, text, 0o644)
    }

    pub fn mode(self, path: &str, text: &str, mode: u32) -> Self {
        self.put(path, mode, Kind::File(text.as_bytes().to_vec()))
    }

    pub fn bytes(self, path: &str, content: &[u8]) -> Self {
        self.put(path, 0o644, Kind::File(content.to_vec()))
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.put(path, 0o777, Kind::Link(target.to_owned()))
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.put(path, mode, Kind::Dir)
    }

    pub fn special(self, path: &str, kind: &'static str) -> Self {
        self.put(path, 0o644, Kind::Special(kind))
    }

    pub fn exports(&self) -> Exports {
        Exports::read(self).unwrap_or_else(|error| panic!("{error}"))
    }

    fn put(mut self, path: &str, mode: u32, kind: Kind) -> Self {
        self.0.insert(path.to_owned(), (mode, kind));
        self
    }
}

impl ImageFiles for Files {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        match self.0.get(path) {
            Some((_, Kind::File(content))) => Ok(Some(content.clone())),
            Some((_, Kind::Link(target))) => ImageFiles::file(self, target),
            _ => Ok(None),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FilesError> {
        let mut entries: BTreeMap<&str, Entry> = BTreeMap::new();
        let prefix = format!("{path}/");
        for (below, (mode, kind)) in &self.0 {
            let Some(rest) = below.strip_prefix(&prefix) else {
                continue;
            };
            let (name, mode, kind) = match (rest.split_once('/'), kind) {
                (Some((name, _)), _) => (name, 0o755, EntryKind::Dir),
                (None, Kind::Dir) => (rest, *mode, EntryKind::Dir),
                (None, Kind::File(_)) => (rest, *mode, EntryKind::File),
                (None, Kind::Link(target)) => (rest, *mode, EntryKind::Link(target.clone())),
                (None, Kind::Special(kind)) => (rest, *mode, EntryKind::Special(kind)),
            };
            entries.insert(
                name,
                Entry {
                    name: name.to_owned(),
                    mode,
                    kind,
                    xattrs: Vec::new(),
                },
            );
        }
        let there = !entries.is_empty() || matches!(self.0.get(path), Some((_, Kind::Dir)));
        Ok(there.then(|| entries.into_values().collect()))
    }
}

/// A request that owns what it refers to.
pub(super) struct Ask {
    pub name: &'static str,
    pub destdir: String,
    pub image_config: String,
    pub early: bool,
    pub network: Network,
    pub values: BTreeMap<String, String>,
    pub host: Host,
    pub carried: Vec<String>,
    /// Paths that the host has; everything else is missing.
    pub dirs: Vec<&'static str>,
    pub files: Vec<&'static str>,
}

impl Ask {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            destdir: format!("/var/lib/containers/atomic/{name}.0"),
            image_config: r#"{"config": {"Cmd": ["/bin/true"]}}"#.to_owned(),
            early: false,
            network: Network::Host,
            values: BTreeMap::new(),
            host: Host {
                run_directory: "/run".to_owned(),
                state_directory: "/var/lib".to_owned(),
                conf_directory: "/etc".to_owned(),
                runtime: "/usr/bin/sysc-runtime".to_owned(),
                installer: "/usr/bin/sysc".to_owned(),
                uuid: "fresh".to_owned(),
                capabilities: vec!["CAP_CHOWN".to_owned(), "CAP_KILL".to_owned()],
                uid: 0,
                gid: 0,
                systemd: 252,
                unified_cgroups: true,
            },
            carried: Vec::new(),
            dirs: vec!["/", "/etc", "/run", "/dev", "/sys", "/var/lib"],
            files: vec!["/etc/resolv.conf", "/etc/hosts"],
        }
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn config(mut self, config: serde_json::Value) -> Self {
        self.image_config = serde_json::json!({ "config": config }).to_string();
        self
    }

    pub fn request(&self) -> Request<'_> {
        self.request_with(&|_| SourceKind::Missing)
    }

    fn request_with<'a>(&'a self, source: &'a dyn Fn(&str) -> SourceKind) -> Request<'a> {
        Request {
            name: self.name,
            serial: 7,
            destdir: &self.destdir,
            image_name: "localhost:5000/box:1",
            image_id: "0123",
            image_config: self.image_config.as_bytes(),
            once: false,
            early: self.early,
            network: self.network,
            user_values: &self.values,
            host: &self.host,
            carried: &self.carried,
            source,
            folder: &folder,
        }
    }

    pub fn render(&self, files: &Files) -> Result<Rendered, Error> {
        let source = |path: &str| match path {
            path if self.dirs.contains(&path) => SourceKind::Dir,
            path if self.files.contains(&path) => SourceKind::File,
            _ => SourceKind::Missing,
        };
        render(&Exports::read(files)?, &self.request_with(&source))
    }

    /// The message of the error that rendering must end in.
    pub fn refused(&self, files: &Files) -> String {
        match self.render(files) {
            Ok(rendered) => panic!("not refused: {rendered:?}"),
            Err(error) => error.to_string(),
        }
    }
}

/// The folders of these tests' images that are not just there for what is in them.
fn folder(path: &str) -> Option<Owner> {
    let (uid, gid, mode) = match path {
        "/var/lib/chrony" => (999, 998, 0o750),
        "/var/lib/roots" => (0, 0, 0o755),
        _ => return None,
    };
    Some(Owner { uid, gid, mode })
}
