//! A folder of this host in the place of an image's `/exports`: while an image is being written,
//! and to configure one that brings nothing of its own.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::FilesError;
use super::read::{CONFIG, CONFIG_TEMPLATE};
use super::{Entry, EntryKind, ImageFiles};

const EXPORTS: &str = "/exports";

/// The folder; it holds what an image has in `/exports`. Links are the host's own and followed.
#[derive(Clone, Debug)]
pub struct LocalExports {
    dir: PathBuf,
}

impl LocalExports {
    /// The folder `dir`, which must be one.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        match dir.metadata()?.is_dir() {
            true => Ok(Self {
                dir: dir.to_owned(),
            }),
            false => Err(Error::from(ErrorKind::NotADirectory)),
        }
    }

    fn at(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(EXPORTS)?;
        Some(self.dir.join(below.trim_start_matches('/')))
    }
}

impl ImageFiles for LocalExports {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        let Some(path) = self.at(path).filter(|path| path.is_file()) else {
            return Ok(None);
        };
        Ok(Some(std::fs::read(path)?))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FilesError> {
        let Some(path) = self.at(path).filter(|path| path.is_dir()) else {
            return Ok(None);
        };
        std::fs::read_dir(path)?
            .map(|entry| entry_of(&entry?))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

fn entry_of(entry: &std::fs::DirEntry) -> Result<Entry, FilesError> {
    let name = entry.file_name().into_string().map_err(|name| {
        let problem = format!("the name {} is not UTF-8", name.display());
        Error::new(ErrorKind::InvalidData, problem)
    })?;
    let kind = entry.file_type()?;
    let kind = if kind.is_dir() {
        EntryKind::Dir
    } else if kind.is_file() {
        EntryKind::File
    } else if kind.is_symlink() {
        EntryKind::Link(
            std::fs::read_link(entry.path())?
                .to_string_lossy()
                .into_owned(),
        )
    } else if kind.is_fifo() {
        EntryKind::Special("fifo")
    } else if kind.is_socket() {
        EntryKind::Special("socket")
    } else {
        EntryKind::Special("device")
    };
    let mode = entry.metadata()?.permissions().mode();
    Ok(Entry {
        name,
        mode,
        kind,
        xattrs: Vec::new(),
    })
}

/// An image's files with those of another place on top, file by file.
#[expect(missing_debug_implementations, reason = "the image's files have none")]
pub struct Overlaid<'a> {
    /// Where a file is looked for first.
    pub over: &'a dyn ImageFiles,
    /// The image.
    pub under: &'a dyn ImageFiles,
}

impl Overlaid<'_> {
    /// A template that stands in for the configuration does so for a finished one, too.
    fn hides(&self, path: &str) -> Result<bool, FilesError> {
        Ok(path == CONFIG && self.over.file(CONFIG_TEMPLATE)?.is_some())
    }
}

impl ImageFiles for Overlaid<'_> {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, FilesError> {
        match self.over.file(path)? {
            Some(content) => Ok(Some(content)),
            None if self.hides(path)? => Ok(None),
            None => self.under.file(path),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, FilesError> {
        let (over, under) = (self.over.list(path)?, self.under.list(path)?);
        if over.is_none() && under.is_none() {
            return Ok(None);
        }
        let mut entries = over.unwrap_or_default();
        for entry in under.unwrap_or_default() {
            if !entries.iter().any(|other| other.name == entry.name) {
                entries.push(entry);
            }
        }
        Ok(Some(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Exports;
    use super::super::tests::{Ask, Files};
    use super::*;

    #[test]
    fn a_folder_stands_in_file_by_file() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("config.json.template", "{\"mine\": true}");
        write("hostfs/etc/a", "mine");
        let image = Files::default()
            .file(CONFIG, "{\"theirs\": true}")
            .file(
                "/exports/service.template",
                "[Service]\nExecStart=$EXEC_START\n",
            )
            .file("/exports/hostfs/etc/a", "theirs")
            .file("/exports/hostfs/etc/b", "theirs");
        let over = LocalExports::open(dir.path()).unwrap();
        let both = Overlaid {
            over: &over,
            under: &image,
        };
        let exports = Exports::read(&both).unwrap();
        let read = |path| both.file(path).unwrap().unwrap();
        assert_eq!(read("/exports/hostfs/etc/a"), b"mine");
        assert_eq!(read("/exports/hostfs/etc/b"), b"theirs");
        assert!(exports.service.is_some());
        let paths: Vec<_> = exports
            .host_files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(paths, ["/etc/a", "/etc/b"]);
        let error = super::super::render(&exports, &Ask::new("box").request()).unwrap_err();
        assert!(error.to_string().contains(CONFIG_TEMPLATE), "{error}");
        assert!(LocalExports::open(&dir.path().join("hostfs/etc/a")).is_err());
    }
}
