//! What deployments there are.

use std::path::{Path, PathBuf};

use super::{ContainerName, Error, Info};

/// One deployment on disk.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its slot, `…/NAME.N`.
    pub dir: PathBuf,
    /// Its record.
    pub info: Info,
}

/// A container, and its current deployment or why that cannot be read.
pub type Container = (ContainerName, Result<Deployment, Error>);

/// What lies in the directory of deployments.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Those that say what they are.
    pub deployments: Vec<Deployment>,
    /// Directories whose record cannot be read. Whose they are, only their name tells.
    pub damaged: Vec<PathBuf>,
}

impl Survey {
    /// A damaged directory may be a deployment of `name`.
    pub fn may_have(&self, name: &str) -> bool {
        self.damaged.iter().any(|dir| is_slot_of(dir, name))
    }
}

/// `dir` has the file by which a unit knows its generation.
fn is_marked(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with("generation."))
}

/// `dir` is called as a slot of `name` is.
pub fn is_slot_of(dir: &Path, name: &str) -> bool {
    let file = dir.file_name().and_then(|file| file.to_str());
    file.and_then(|file| file.rsplit_once('.'))
        .is_some_and(|(of, number)| of == name && number.parse::<u32>().is_ok())
}

/// The directory of all deployments.
#[derive(Clone, Debug)]
pub struct Deployments {
    dir: PathBuf,
}

impl Deployments {
    /// The deployments below `dir`, which need not exist yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The current deployment of `name`. `None`: no such container. Its record cannot be read:
    /// an error, which names it.
    pub fn current(&self, name: &ContainerName) -> Result<Option<Deployment>, Error> {
        let link = self.link(name);
        let target = match std::fs::read_link(&link) {
            Ok(target) => target,
            // EINVAL: not a link, for example a slot of another container.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(Error::io("read", &link, source)),
        };
        let found = Self::at(&self.dir.join(target))?;
        Ok(found.filter(|deployment| deployment.info.name == name.as_str()))
    }

    /// All containers by name, each with its current deployment, or with the reason why that
    /// cannot be told: one that is damaged is no reason not to see the others.
    pub fn containers(&self) -> Result<Vec<Container>, Error> {
        let mut found = Vec::new();
        for entry in self.entries()? {
            let name = entry
                .file_name()
                .and_then(|name| name.to_str())
                .map(ContainerName::parse);
            if let Some(Ok(name)) = name
                && let Some(current) = self.current(&name).transpose()
            {
                found.push((name, current));
            }
        }
        Ok(found)
    }

    /// Every deployment, current or not, by path.
    pub fn survey(&self) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        for entry in self.entries()? {
            let hidden = entry
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            if hidden || entry.is_symlink() {
                continue;
            }
            match Self::at(&entry) {
                Ok(found) => survey.deployments.extend(found),
                Err(_) if is_marked(&entry) => survey.damaged.push(entry),
                // Whatever it is, it was not made here.
                Err(_) => {}
            }
        }
        Ok(survey)
    }

    /// Directories of this room that are being built or removed: left-overs, under the lock.
    pub fn left_over(&self) -> Result<Vec<PathBuf>, Error> {
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let serial = [".tmp-", ".trash-"]
                .iter()
                .find_map(|marker| name.rsplit_once(marker).map(|(_, serial)| serial));
            name.starts_with('.')
                && serial.is_some_and(|serial| serial.parse::<u64>().is_ok())
                && path.is_dir()
                && !path.is_symlink()
        };
        Ok(self.entries()?.into_iter().filter(ours).collect())
    }

    /// The slot that the next deployment of `name` gets: the smallest number whose path is free.
    pub fn free_slot(&self, name: &ContainerName) -> PathBuf {
        (0u32..)
            .map(|number| self.dir.join(format!("{name}.{number}")))
            .find(|path| path.symlink_metadata().is_err())
            .unwrap_or_else(|| self.dir.join(format!("{name}.0")))
    }

    /// Makes sure that the link of a new container `name` would have its path for itself.
    pub fn check_free(&self, name: &ContainerName) -> Result<(), Error> {
        let path = self.link(name);
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        if let Some(other) = Self::at(&path)?.filter(|_| !path.is_symlink()) {
            let owner = other.info.name;
            return Err(Error::NameTaken {
                name: name.to_string(),
                path,
                owner,
            });
        }
        let what = if path.is_symlink() {
            "a link that leads to no deployment of this container"
        } else {
            "neither a link nor a deployment"
        };
        Err(Error::InTheWay { path, what })
    }

    /// The path of the link that names the current deployment of `name`.
    pub fn link(&self, name: &ContainerName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    fn at(dir: &Path) -> Result<Option<Deployment>, Error> {
        Ok(Info::read(dir)?.map(|info| Deployment {
            dir: dir.to_owned(),
            info,
        }))
    }

    fn entries(&self) -> Result<Vec<PathBuf>, Error> {
        let read = match std::fs::read_dir(&self.dir) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::io("read", &self.dir, source)),
        };
        let mut paths = read
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::io("read", &self.dir, source))?;
        paths.sort();
        Ok(paths)
    }
}
