//! What a deployment wants to be on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::deployment::Deployment;
use crate::exports;
use crate::image::Digest;
use crate::places::Places;

/// systemd tells every user what is in a unit (`systemctl cat`, and over D-Bus), whatever the
/// file's mode, and warns of files that are closed: a secret does not belong there.
const UNIT_MODE: u32 = 0o644;
/// These lines are read by root alone, and `w` and `f` lines may hold a secret value.
const TMPFILES_MODE: u32 = 0o600;

/// A projection as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub name: String,
    pub serial: u64,
    /// `NAME.service`, where there is one.
    pub unit: Option<String>,
    /// Its `[Install]` section, line by line.
    pub install: Vec<String>,
    /// The unit's and the tmpfiles lines' paths.
    pub own: BTreeSet<PathBuf>,
    /// By path on the host.
    pub files: BTreeMap<PathBuf, Wanted>,
    /// The configuration for systemd-tmpfiles, as installed.
    pub tmpfiles: Option<PathBuf>,
    /// The directories that it creates.
    pub directories: Vec<PathBuf>,
}

/// A file of the host, as the deployment has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    File {
        from: PathBuf,
        mode: u32,
        sha256: String,
    },
    Link {
        target: PathBuf,
        sha256: String,
    },
    Dir,
}

impl Wanted {
    /// What the ledger keeps of it.
    pub fn sha256(&self) -> Option<&String> {
        match self {
            Self::File { sha256, .. } | Self::Link { sha256, .. } => Some(sha256),
            Self::Dir => None,
        }
    }
}

impl Want {
    /// Reads it off `deployment`.
    pub fn of(deployment: &Deployment, places: &Places) -> Result<Self, Error> {
        let name = deployment.info.name.clone();
        let unit = deployment.dir.join(format!("{name}.service"));
        let tmpfiles = deployment.dir.join(format!("tmpfiles-{name}.conf"));
        let mut want = Self {
            unit: unit.exists().then(|| format!("{name}.service")),
            install: Vec::new(),
            own: BTreeSet::new(),
            serial: deployment.info.serial,
            files: BTreeMap::new(),
            tmpfiles: tmpfiles.exists().then(|| places.tmpfile(&name)),
            directories: Vec::new(),
            name,
        };
        if want.unit.is_some() {
            let path = places.unit(&want.name);
            want.install = install_section(&String::from_utf8_lossy(&read(&unit)?));
            want.own.insert(path.clone());
            want.files.insert(path, file(&unit, UNIT_MODE)?);
        }
        if let Some(installed) = want.tmpfiles.clone() {
            let text = read(&tmpfiles)?;
            want.directories = exports::directories(&String::from_utf8_lossy(&text))
                .into_iter()
                .map(PathBuf::from)
                .collect();
            want.own.insert(installed.clone());
            want.files
                .insert(installed, file(&tmpfiles, TMPFILES_MODE)?);
        }
        for path in deployment.info.installed_files_checksum.keys() {
            let from = deployment
                .dir
                .join("host")
                .join(path.trim_start_matches('/'));
            want.files.insert(PathBuf::from(path), host_file(&from)?);
        }
        Ok(want)
    }
}

fn install_section(unit: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in unit.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if inside && !line.is_empty() && !line.starts_with(['#', ';']) {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn host_file(from: &Path) -> Result<Wanted, Error> {
    let failed = |source| Error::io("read", from, source);
    let metadata = from.symlink_metadata().map_err(failed)?;
    if metadata.is_symlink() {
        let target = std::fs::read_link(from).map_err(failed)?;
        let sha256 = link_sha256(&target);
        Ok(Wanted::Link { target, sha256 })
    } else if metadata.is_dir() {
        Ok(Wanted::Dir)
    } else {
        file(from, metadata.permissions().mode() & 0o7777)
    }
}

fn file(from: &Path, mode: u32) -> Result<Wanted, Error> {
    let sha256 = Digest::of(&read(from)?).hex().to_owned();
    Ok(Wanted::File {
        from: from.to_owned(),
        mode,
        sha256,
    })
}

pub(super) fn link_sha256(target: &Path) -> String {
    Digest::of(target.as_os_str().as_encoded_bytes())
        .hex()
        .to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::io("read", path, source))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_install_sections_are_compared() {
        let unit = "[Service]\nExecStart=/a\n[Install]\n# no\nWantedBy=a.target\n\n[Unit]\nX=y\n\
                    [Install]\n RequiredBy=b.service\n";
        assert_eq!(
            super::install_section(unit),
            ["WantedBy=a.target", "RequiredBy=b.service"]
        );
    }
}
