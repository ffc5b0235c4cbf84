//! A bundle's config.json, read and understood.
//!
//! In: a directory with config.json. Out: a [`Bundle`], whose mandatory parts are there, whose old
//! forms are made new and which holds nothing that we cannot honour. This room reads one file and
//! touches nothing else; the root file system of the bundle is looked at by name only.

mod compat;
mod default;
mod refuse;
mod visitor;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hooks, Linux, Mount, Process, Spec};
use serde_json::Value;

pub use default::{default_config, rootless_config};
pub use visitor::{Changes, changed, merged, read_process};

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or its config.json cannot be read.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no JSON, or a value has the wrong type.
    #[error("'{path}' is not a valid OCI configuration: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why, as the parser has it.
        reason: String,
    },
    /// A field is missing, contradicts another, or asks for something that we do not do.
    #[error("'{path}': {field}: {reason}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field's name in config.json.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The same for the process of an exec, wherever its parts come from.
    #[error("{field}: {reason}")]
    Visitor {
        /// The field's name, as in config.json.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a container is to be, free of contradictions.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The bundle's directory, absolute.
    pub dir: PathBuf,
    /// config.json as it was read.
    pub text: Vec<u8>,
    /// The root file system, absolute, links resolved.
    pub rootfs: PathBuf,
    /// Whether the root file system is to be read-only.
    pub readonly: bool,
    /// The program and what it may.
    pub process: Process,
    /// Everything Linux; empty when the configuration has no such section.
    pub linux: Linux,
    /// In the order in which they are made.
    pub mounts: Vec<Mount>,
    /// Programs to run along the way.
    pub hooks: Hooks,
    /// Host and domain name.
    pub names: Names,
    /// What was asked for and will not be, because nobody here could give it.
    pub warnings: Vec<String>,
    /// Free-form facts that are handed on in the state.
    pub annotations: std::collections::HashMap<String, String>,
}

/// The names of a container's UTS namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `hostname`
    pub host: Option<String>,
    /// `domainname`
    pub domain: Option<String>,
}

/// A field's name, and what is wrong with it.
type Complaint = (String, String);

/// Reads and checks the bundle in `dir`.
pub fn read(dir: &Path) -> Result<Bundle, Error> {
    let mut bundle = look(dir)?;
    bundle.rootfs = find_rootfs(&bundle.rootfs).map_err(|complaint| {
        let path = bundle.dir.join("config.json");
        field(&path, complaint)
    })?;
    Ok(bundle)
}

/// The same for a container that is there: its root is what it runs on, not what the path may mean
/// by now.
pub fn look(dir: &Path) -> Result<Bundle, Error> {
    let dir = dir.canonicalize().map_err(|source| Error::Read {
        path: dir.to_owned(),
        source,
    })?;
    let path = dir.join("config.json");
    let text = std::fs::read(&path).map_err(|source| Error::Read {
        path: path.clone(),
        source,
    })?;
    understand(&dir, text)
}

/// The same from the text that was in config.json when the container was made.
pub fn understand(dir: &Path, text: Vec<u8>) -> Result<Bundle, Error> {
    let path = dir.join("config.json");
    let (spec, unknown) = parse(&text).map_err(|reason| Error::Parse {
        path: path.clone(),
        reason,
    })?;
    let mut bundle = bundle(dir, text, spec).map_err(|complaint| field(&path, complaint))?;
    if !unknown.is_empty() {
        let names = unknown.join(" ");
        let warning = format!("ignoring unknown or unavailable capabilities: [{names}]");
        bundle.warnings.push(warning);
    }
    Ok(bundle)
}

/// Text to specification: old forms are translated before the types are checked.
fn parse(text: &[u8]) -> Result<(Spec, Vec<String>), String> {
    let mut config: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if !config.is_object() {
        return Err("it is not a JSON object".to_owned());
    }
    let unknown = compat::modernise(&mut config);
    let spec = serde_json::from_value(config).map_err(|error| error.to_string())?;
    Ok((spec, unknown))
}

/// Specification to bundle: what must be there is there, what cannot be done is refused.
fn bundle(dir: &Path, text: Vec<u8>, spec: Spec) -> Result<Bundle, Complaint> {
    refuse::check(&spec)?;
    let missing = |field: &str| (field.to_owned(), "is missing".to_owned());
    let root = spec.root().clone().ok_or_else(|| missing("root"))?;
    let mut linux = spec.linux().clone().ok_or_else(|| missing("linux"))?;
    Ok(Bundle {
        dir: dir.to_owned(),
        text,
        warnings: without_labels(&mut linux).into_iter().collect(),
        rootfs: dir.join(root.path()),
        readonly: root.readonly().unwrap_or(false),
        process: spec.process().clone().unwrap_or_else(nothing_to_run),
        linux,
        mounts: spec.mounts().clone().unwrap_or_default(),
        hooks: spec.hooks().clone().unwrap_or_default(),
        names: Names {
            host: spec.hostname().clone().filter(|name| !name.is_empty()),
            domain: spec.domainname().clone().filter(|name| !name.is_empty()),
        },
        annotations: spec.annotations().clone().unwrap_or_default(),
    })
}

/// The specification lets a container be made that can never be started.
fn nothing_to_run() -> Process {
    let mut process = Process::default();
    process
        .set_args(None)
        .set_env(None)
        .set_capabilities(None)
        .set_rlimits(None);
    process
}

/// Where SELinux is off nobody reads the labels of files, and a label of the process is refused; so
/// nothing is protected less without them.
fn without_labels(linux: &mut Linux) -> Option<String> {
    let label = linux.mount_label().clone().filter(|it| !it.is_empty())?;
    if refuse::has_selinux() {
        return None;
    }
    linux.set_mount_label(None);
    Some(format!(
        "ignoring linux.mountLabel '{label}': SELinux is off on this host"
    ))
}

fn find_rootfs(path: &Path) -> Result<PathBuf, Complaint> {
    let wrong = |reason: String| ("root.path".to_owned(), reason);
    let found = path
        .canonicalize()
        .map_err(|error| wrong(format!("'{}': {error}", path.display())))?;
    if !found.is_dir() {
        return Err(wrong(format!("'{}' is not a directory", path.display())));
    }
    if found == Path::new("/") {
        return Err(wrong(
            "the host's own root cannot be a container's".to_owned(),
        ));
    }
    Ok(found)
}

fn field(path: &Path, (field, reason): Complaint) -> Error {
    Error::Field {
        path: path.to_owned(),
        field,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_with(change: impl FnOnce(&mut Value)) -> Result<Bundle, Complaint> {
        let mut config = default_config();
        change(&mut config);
        let (spec, _) = parse(config.to_string().as_bytes()).unwrap();
        bundle(Path::new("/b"), Vec::new(), spec)
    }

    #[test]
    fn the_default_configuration_is_accepted() {
        let bundle = try_with(|_| {}).unwrap();
        assert_eq!(bundle.rootfs, Path::new("/b/rootfs"));
        assert_eq!(bundle.mounts.len(), 7);
    }

    #[test]
    fn versions_of_all_times_are_accepted() {
        for version in ["0.3.0", "1.0.0-rc5", "1.2.1+x", "1.0.2-dev", "1.3.0"] {
            try_with(|c| c["ociVersion"] = version.into()).unwrap();
        }
    }

    #[test]
    fn what_is_no_configuration_is_told_so() {
        for text in ["", "{", "[]", "\"x\""] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn refusals_name_the_field() {
        type Change = fn(&mut Value);
        let table: &[(Change, &str)] = &[
            (|c| drop(c.as_object_mut().unwrap().remove("root")), "root"),
            (
                |c| c["process"]["args"] = serde_json::json!([]),
                "process.args",
            ),
            (|c| c["process"]["cwd"] = "here".into(), "process.cwd"),
            (|c| c["ociVersion"] = "invalid".into(), "ociVersion"),
            (|c| c["ociVersion"] = "1.2".into(), "ociVersion"),
            (
                |c| c["process"]["env"][0] = "NOEQUALS".into(),
                "process.env[0]",
            ),
            (|c| c["process"]["args"][0] = "a\0b".into(), "process.args"),
            (
                |c| c["linux"]["namespaces"][0] = c["linux"]["namespaces"][1].clone(),
                "linux.namespaces",
            ),
            (
                |c| c["linux"]["namespaces"] = serde_json::json!([]),
                "hostname",
            ),
            (
                |c| c["process"]["selinuxLabel"] = "a:b:c".into(),
                "process.selinuxLabel",
            ),
            (
                |c| c["linux"]["namespaces"][0] = serde_json::json!({"type": "user"}),
                "linux.uidMappings",
            ),
        ];
        for (change, name) in table {
            let (field, reason) = try_with(change).unwrap_err();
            assert_eq!(field, *name, "{reason}");
        }
    }
}
