//! A layer's tar stream becomes objects, a commit and a ref, in one transaction.

use std::io::{self, Read};

use ostree::{ObjectType, Repo};

use super::archive::{Archive, Entry, Failure, Kind};
use super::attributes;
use super::error::BadEntry;
use super::layer::{Builder, LayerTree};
use super::name::{self, Name};
use super::record;
use super::tree::{Meta, Object};
use super::write::{Stop, Writer};
use super::{Error, Store, object, refs};
use crate::image::{Digest, Layer};

/// Holes are written out, so a few bytes of tar could fill a disk.
const SPARSE_LIMIT: u64 = 4 << 30;
/// A tree is held in memory; the largest images have some 500,000 entries.
const ENTRY_LIMIT: u64 = 2_000_000;

/// What became of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Whether it was written; else it was there, whole, and the stream was not read.
    pub fresh: bool,
    /// Devices and FIFOs that were passed over, since OSTree cannot hold them.
    pub skipped: u64,
    /// Bytes of the uncompressed tar; 0 when the stream was not read.
    pub size: u64,
}

impl Store {
    /// Writes the layer whose uncompressed tar is `stream`, unless it is there already. The
    /// stream is read to its end before anything is published, and an error that it gives there
    /// leaves the repository as it was.
    pub fn import_layer(&self, layer: &Layer, stream: &mut dyn Read) -> Result<Imported, Error> {
        if self.has_layer(layer)? {
            return Ok(Imported {
                fresh: false,
                skipped: 0,
                size: 0,
            });
        }
        let repo = self.handle()?;
        let reference = refs::layer(&layer.digest);
        let (_, (size, skipped)) = self.publish(&repo, &reference, || {
            let mut import = Import::new(self, &repo, &layer.digest);
            let size = import.read(stream)?;
            let skipped = import.skipped;
            let tree = import.tree.finish();
            let commit = write_commit(&import.writer, layer, &tree, size)?;
            Ok((commit, (size, skipped)))
        })?;
        Ok(Imported {
            fresh: true,
            skipped,
            size,
        })
    }
}

fn write_commit(
    writer: &Writer<'_>,
    layer: &Layer,
    tree: &LayerTree,
    size: u64,
) -> Result<String, Error> {
    let root = writer.folder(&tree.tree.root)?;
    let metadata = record::of_layer(layer, tree, size);
    // No time: the same layer is the same commit wherever it is imported.
    let commit = object::commit(metadata, (&root.0, &root.1), 0);
    writer.metadata(ObjectType::Commit, commit)
}

/// The reading of one layer.
struct Import<'a> {
    digest: &'a Digest,
    writer: Writer<'a>,
    tree: Builder,
    skipped: u64,
}

/// Why an entry stops the import.
enum Cause {
    Entry(BadEntry),
    Stop(Stop),
}

impl From<BadEntry> for Cause {
    fn from(problem: BadEntry) -> Self {
        Self::Entry(problem)
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Stop(Stop::Store(error))
    }
}

impl<'a> Import<'a> {
    fn new(store: &'a Store, repo: &'a Repo, digest: &'a Digest) -> Self {
        let writer = Writer::new(store, repo);
        Self {
            digest,
            writer,
            tree: Builder::new(),
            skipped: 0,
        }
    }

    /// Reads the whole stream and returns its size. A stream that does not verify can look like a
    /// bad archive before it says so, so the end of the stream is asked before an archive is
    /// blamed.
    fn read(&mut self, stream: &mut dyn Read) -> Result<u64, Error> {
        let mut archive = Archive::new(stream);
        let walked = self.walk(&mut archive);
        let blames_content = matches!(walked, Err(Error::Archive { .. } | Error::Entry { .. }));
        if walked.is_ok() || blames_content {
            let end = archive.finish().map_err(|source| self.unreadable(source))?;
            return walked.map(|()| end);
        }
        walked.map(|()| 0)
    }

    fn walk(&mut self, archive: &mut Archive<'_>) -> Result<(), Error> {
        let mut count = 0;
        while let Some(mut entry) = archive.next().map_err(|failure| self.failure(failure))? {
            count += 1;
            let taken = if count > ENTRY_LIMIT {
                Err(BadEntry::TooMany(ENTRY_LIMIT).into())
            } else {
                self.take(&mut entry, archive)
            };
            taken.map_err(|cause| match cause {
                Cause::Entry(problem) => Error::Entry {
                    layer: self.digest.clone(),
                    entry: name::shown(&entry.path),
                    problem,
                },
                Cause::Stop(Stop::Store(error)) => error,
                Cause::Stop(Stop::Source(failure)) => self.failure(failure),
            })?;
        }
        Ok(())
    }

    fn take(&mut self, entry: &mut Entry, archive: &mut Archive<'_>) -> Result<(), Cause> {
        match name::parse(&entry.path).map_err(BadEntry::Name)? {
            Name::Root => self.take_root(entry),
            Name::Aufs => Ok(()),
            Name::Whiteout(path) => self.take_whiteout(&path, entry),
            Name::Path(path) => self.take_path(&path, entry, archive),
        }
    }

    fn take_root(&mut self, entry: &mut Entry) -> Result<(), Cause> {
        if entry.kind != Kind::Dir {
            return Err(BadEntry::Root.into());
        }
        self.tree.dir("", attributes::meta(entry)?);
        Ok(())
    }

    /// A whiteout says all by its name; its type and content are nobody's concern.
    fn take_whiteout(&mut self, path: &str, entry: &Entry) -> Result<(), Cause> {
        if entry.kind == Kind::Dir {
            return Err(BadEntry::WhiteoutDir.into());
        }
        let meta = Meta::file();
        let checksum = self.writer.empty(path, &meta)?;
        self.tree.object(
            path,
            Object {
                checksum,
                meta,
                size: 0,
                target: None,
            },
        );
        Ok(())
    }

    fn take_path(
        &mut self,
        path: &str,
        entry: &mut Entry,
        archive: &mut Archive<'_>,
    ) -> Result<(), Cause> {
        match entry.kind {
            Kind::Dir => self.tree.dir(path, attributes::meta(entry)?),
            Kind::File => self.take_file(path, entry, archive)?,
            Kind::Symlink => self.take_symlink(path, entry)?,
            Kind::Link => self.take_link(path, entry)?,
            // What is in /exports is for the host, and no image gives a host a device.
            Kind::Special if path.starts_with("exports/") => return Err(BadEntry::Device.into()),
            Kind::Special => self.skipped += 1,
            Kind::Unknown(kind) => return Err(BadEntry::Type(kind).into()),
        }
        Ok(())
    }

    fn take_file(
        &mut self,
        path: &str,
        entry: &mut Entry,
        archive: &mut Archive<'_>,
    ) -> Result<(), Cause> {
        let size = entry.size;
        if entry.is_sparse() && size > SPARSE_LIMIT {
            return Err(BadEntry::Sparse {
                size,
                limit: SPARSE_LIMIT,
            }
            .into());
        }
        let meta = attributes::meta(entry)?;
        let mut content = archive.content(entry);
        let stored = self.writer.file(path, &meta, size, &mut content);
        let checksum = stored.map_err(Cause::Stop)?;
        self.tree.object(
            path,
            Object {
                checksum,
                meta,
                size,
                target: None,
            },
        );
        Ok(())
    }

    fn take_symlink(&mut self, path: &str, entry: &mut Entry) -> Result<(), Cause> {
        let meta = attributes::meta(entry)?;
        let good = |to: &&str| (1..4096).contains(&to.len()) && !to.contains('\0');
        let to = std::str::from_utf8(&entry.link).ok().filter(good);
        let to = to.ok_or(BadEntry::LinkTarget)?;
        let checksum = self.writer.symlink(path, &meta, to)?;
        self.tree.object(
            path,
            Object {
                checksum,
                meta,
                size: 0,
                target: Some(to.to_owned()),
            },
        );
        Ok(())
    }

    fn take_link(&mut self, path: &str, entry: &Entry) -> Result<(), Cause> {
        let target = name::normalise(&entry.link).map_err(|problem| BadEntry::TargetName {
            target: name::shown(&entry.link),
            problem,
        })?;
        Ok(self.tree.link(path, &target)?)
    }

    fn failure(&self, failure: Failure) -> Error {
        match failure {
            Failure::Read(source) => self.unreadable(source),
            Failure::Bad(problem) => Error::Archive {
                layer: self.digest.clone(),
                problem,
            },
        }
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::ReadLayer {
            layer: self.digest.clone(),
            source,
        }
    }
}
