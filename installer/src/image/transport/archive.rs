//! A tar file as a folder: where each member begins and ends, found once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{Blob, Files};
use crate::image::{Compression, Error};

/// Links followed from one member to the next, at most.
const MAX_LINKS: usize = 10;

/// The members of a tar file, by name.
pub(in crate::image) struct Archive {
    file: Arc<File>,
    members: HashMap<String, Member>,
}

enum Member {
    File { offset: u64, size: u64 },
    Link(String),
}

impl Archive {
    /// Indexes the tar file at `path`. One that is compressed with gzip or zstd is unpacked to a
    /// file without a name in `scratch` first.
    pub(in crate::image) fn open(path: &Path, scratch: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let compression = sniff(&file).map_err(failed)?;
        let file = plain(file, compression, scratch).map_err(|source| Error::Unpack {
            path: path.to_owned(),
            scratch: scratch.to_owned(),
            source,
        })?;
        let members = index(&file).map_err(|error| Error::Layout {
            path: path.to_owned(),
            kind: "an image archive",
            reason: format!("it is not a whole tar file: {error}"),
        })?;
        Ok(Self {
            file: Arc::new(file),
            members,
        })
    }
}

impl Files for Archive {
    fn open(&self, name: &str) -> io::Result<Option<(Blob, u64)>> {
        let mut name = normal(name);
        for _ in 0..MAX_LINKS {
            match self.members.get(&name) {
                Some(Member::File { offset, size }) => {
                    let part = Part {
                        file: self.file.clone(),
                        at: *offset,
                        end: offset.saturating_add(*size),
                    };
                    return Ok(Some((Box::new(part), *size)));
                }
                Some(Member::Link(target)) => name.clone_from(target),
                None => break,
            }
        }
        Ok(None)
    }
}

/// A member's bytes; each reader has a position of its own.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn sniff(file: &File) -> io::Result<Compression> {
    let mut magic = [0; 4];
    let count = file.read_at(&mut magic, 0)?;
    Ok(super::compression(&magic[..count]))
}

fn plain(file: File, compression: Compression, scratch: &Path) -> io::Result<File> {
    let mut decoder: Box<dyn Read> = match compression {
        Compression::None => return Ok(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::Decoder::new(file)?),
    };
    let mut unpacked = tempfile::tempfile_in(scratch)?;
    io::copy(&mut decoder, &mut unpacked)?;
    unpacked.seek(SeekFrom::Start(0))?;
    Ok(unpacked)
}

fn index(file: &File) -> io::Result<HashMap<String, Member>> {
    let mut members = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = normal(&String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        let member = if kind.is_file() {
            Member::File {
                offset: entry.raw_file_position(),
                size: entry.size(),
            }
        } else if let Some(target) = entry.link_name_bytes() {
            let target = String::from_utf8_lossy(&target).into_owned();
            // A symbolic link counts from its folder, a hard link from the archive's root.
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let hard = kind.is_hard_link();
            Member::Link(normal(&if hard {
                target
            } else {
                format!("{folder}/{target}")
            }))
        } else {
            continue;
        };
        members.insert(name, member);
    }
    Ok(members)
}

/// The name without `.`, `..` and doubled slashes. It is only ever looked up in the index.
fn normal(name: &str) -> String {
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_nothing_else() {
        assert_eq!(normal("./a//b/../c"), "a/c");
        assert_eq!(normal("../../etc/passwd"), "etc/passwd");
    }

    #[test]
    fn members_and_links_are_found() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        tar.append_data(&mut header, "x/layer.tar", &b"hello"[..])
            .unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, "y/layer.tar", "../x/layer.tar")
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
        let archive = Archive::open(&path, dir.path()).unwrap();
        let (mut blob, size) = archive.open("y/layer.tar").unwrap().unwrap();
        let mut text = String::new();
        blob.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), size), ("hello", 5));
        assert!(archive.open("z").unwrap().is_none());
    }
}
