//! Opening the repository, and the proof that its files can be linked to where they are needed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ostree::{Repo, RepoMode, gio};

use super::{Error, Store};
use crate::failpoint::{Point, pass};

impl Store {
    /// Opens the bare repository at `repo`, or makes one there (and its parents, 0755) when
    /// nothing or an empty folder is there. `links_to` is the folder that deployments will be
    /// made in; it is created too, and a link from the repository into it is tried.
    ///
    /// The link is tried, not told from device numbers: a bind mount has the same number on
    /// both sides and yet forbids links.
    pub fn open(repo: &Path, links_to: &Path) -> Result<Self, Error> {
        let (store, created) = match Self::open_existing(repo)? {
            Some(store) => (store, false),
            None => (Self::create(repo)?, true),
        };
        let proof = prove_links(repo, links_to);
        if proof.is_err() && created {
            // The error that we return says more than one of tidying up would.
            let _ = fs::remove_dir_all(repo);
        }
        proof.map(|()| store)
    }

    /// Removes the repository again if it was made by this call and nothing was ever put into it.
    pub fn remove_if_unused(&self) {
        let empty = || {
            let repo = self.handle().ok()?;
            let refs = repo.list_refs(None, gio::Cancellable::NONE).ok()?;
            Some(refs.is_empty())
        };
        if self.fresh && empty() == Some(true) {
            // Only tidying.
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    /// Opens the repository for reading, without creating or trying anything. `None` when
    /// nothing or an empty folder is there.
    pub fn open_existing(repo: &Path) -> Result<Option<Self>, Error> {
        if is_vacant(repo)? {
            return Ok(None);
        }
        if !repo.join("config").is_file() || !repo.join("objects").is_dir() {
            return Err(Error::NotARepo {
                path: repo.to_owned(),
            });
        }
        let store = Self {
            path: repo.to_owned(),
            fresh: false,
        };
        match store.handle()?.mode() {
            RepoMode::Bare => Ok(Some(store)),
            other => Err(Error::RepoMode {
                path: repo.to_owned(),
                mode: mode_name(other),
            }),
        }
    }

    /// Where the repository is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle of the calling thread's own: in libostree a transaction belongs to a handle.
    pub(super) fn handle(&self) -> Result<Repo, Error> {
        let repo = Repo::new_for_path(&self.path);
        let opened = repo.open(gio::Cancellable::NONE);
        opened.map_err(|source| Error::OpenRepo {
            path: self.path.clone(),
            source,
        })?;
        Ok(repo)
    }

    fn create(path: &Path) -> Result<Self, Error> {
        let folder = |source| Error::Folder {
            action: "create",
            path: path.to_owned(),
            source,
        };
        pass(Point::RepoCreate)
            .and_then(|()| make_folders(path))
            .map_err(folder)?;
        let repo = Repo::new_for_path(path);
        let created = repo.create(RepoMode::Bare, gio::Cancellable::NONE);
        created.map_err(|source| Error::CreateRepo {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            fresh: true,
        })
    }
}

fn is_vacant(path: &Path) -> Result<bool, Error> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::NotADirectory => Err(Error::NotARepo {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::Folder {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn make_folders(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
}

fn mode_name(mode: RepoMode) -> &'static str {
    match mode {
        RepoMode::Bare => "bare",
        RepoMode::Archive => "archive",
        RepoMode::BareUser => "bare-user",
        RepoMode::BareUserOnly => "bare-user-only",
        RepoMode::BareSplitXattrs => "bare-split-xattrs",
        _ => "unknown",
    }
}

/// Links a file from the repository into `links_to` and removes both names again.
fn prove_links(repo: &Path, links_to: &Path) -> Result<(), Error> {
    let create = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Folder {
            action: "create",
            path,
            source,
        }
    };
    make_folders(links_to).map_err(create(links_to))?;
    let tmp = repo.join("tmp");
    let probe = tempfile::Builder::new()
        .prefix("sysc-link-")
        .tempfile_in(&tmp);
    let probe = probe.map_err(create(&tmp))?;
    let link = target_name(links_to, probe.path());
    let linked = fs::hard_link(probe.path(), &link);
    linked.map_err(|source| Error::Links {
        repo: repo.to_owned(),
        links_to: links_to.to_owned(),
        source,
    })?;
    fs::remove_file(&link).map_err(|source| Error::Folder {
        action: "remove",
        path: link,
        source,
    })
}

fn target_name(folder: &Path, probe: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(probe.file_name().unwrap_or_default());
    folder.join(name)
}
