//! Names of refs: what in the repository keeps what alive.

use std::fs::File;
use std::io;
use std::path::Path;

use ostree::{RepoListRefsExtFlags, gio};

use super::{Error, Store};
use crate::failpoint::{Point, pass};

/// Ref of an image. `name` is the image's name as the user knows it.
pub(super) fn image(name: &str) -> String {
    format!("{IMAGES}/{}", encode(name))
}

/// Ref of a layer, by the digits of its blob's digest.
pub(super) fn layer(digest: &crate::image::Digest) -> String {
    format!("{IMAGES}/{}", digest.hex())
}

/// Ref of a deployment's tree.
pub(super) fn deployment(name: &str, serial: u64) -> String {
    format!("{DEPLOYMENTS}/{}/{serial}", encode(name))
}

/// Where images and layers are.
pub(super) const IMAGES: &str = "ociimage";
/// Where the trees of deployments are.
pub(super) const DEPLOYMENTS: &str = "sysc/deployment";

/// Writes every byte that is not alphanumeric ASCII, `.` or `-` as `_XX`. A first `.` or `-` is
/// written so too: OSTree allows neither at the beginning of a ref's component.
pub(super) fn encode(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len() + 8);
    for (at, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || (at > 0 && matches!(byte, b'.' | b'-')) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "_{byte:02X}");
        }
    }
    out
}

/// The reverse of [`encode`]; `None` for what it never writes.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'_' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            out.push(first);
        }
    }
    let name = String::from_utf8(out).ok()?;
    (encode(&name) == text).then_some(name)
}

impl Store {
    /// The commit that `reference` names.
    pub(super) fn resolve(
        &self,
        repo: &ostree::Repo,
        reference: &str,
    ) -> Result<Option<String>, Error> {
        let found = repo.resolve_rev(reference, true);
        let found = found.map_err(|source| Error::Refs {
            path: self.path.clone(),
            source,
        })?;
        Ok(found.map(Into::into))
    }

    /// All refs below `prefix`, whole, with their commits, sorted.
    pub(super) fn list(
        &self,
        repo: &ostree::Repo,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let flags = RepoListRefsExtFlags::NONE;
        let found = repo.list_refs_ext(Some(prefix), flags, gio::Cancellable::NONE);
        let found = found.map_err(|source| Error::Refs {
            path: self.path.clone(),
            source,
        })?;
        let mut refs: Vec<_> = found.into_iter().collect();
        refs.sort();
        Ok(refs)
    }

    /// Deletes a ref, which need not exist, and its folder, when that becomes empty.
    pub(super) fn delete(&self, repo: &ostree::Repo, reference: &str) -> Result<(), Error> {
        pass(Point::RefDelete).map_err(|source| Error::Folder {
            action: "delete a ref in",
            path: self.path.clone(),
            source,
        })?;
        let deleted = repo.set_ref_immediate(None, reference, None, gio::Cancellable::NONE);
        deleted.map_err(|source| Error::Publish {
            what: reference.to_owned(),
            repo: self.path.clone(),
            source,
        })?;
        let folder = Path::new(reference).parent().unwrap_or(Path::new(""));
        // Fails, as it should, when other refs are left in it.
        match std::fs::remove_dir(self.path.join("refs/heads").join(folder)) {
            Ok(()) => self.sync_refs(folder.parent().unwrap_or(Path::new(""))),
            Err(_) => self.sync_refs(folder),
        }
    }

    /// libostree writes a ref's file durably, but never syncs the folders that it stands in, so
    /// after a power cut the ref could be missing.
    pub(super) fn sync_refs(&self, below: &Path) -> Result<(), Error> {
        let heads = self.path.join("refs/heads");
        for folder in below.ancestors() {
            let path = heads.join(folder);
            let opened = pass(Point::RefSync).and_then(|()| File::open(&path));
            match opened.and_then(|folder| folder.sync_all()) {
                // A folder that is gone has nothing to lose; its parent is next.
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Folder {
                        action: "sync",
                        path,
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_the_container_tools_do_it() {
        let table = [
            ("docker.io/library/etcd:3", "docker.io_2Flibrary_2Fetcd_3A3"),
            ("busybox:latest", "busybox_3Alatest"),
            (
                "localhost:5000/a_b@sha256:0",
                "localhost_3A5000_2Fa_5Fb_40sha256_3A0",
            ),
            ("c++", "c_2B_2B"),
            (".x-.y", "_2Ex-.y"),
            ("-x", "_2Dx"),
            ("é", "_C3_A9"),
        ];
        for (name, encoded) in table {
            assert_eq!(encode(name), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_encode_never_writes_is_no_name() {
        for text in ["a_", "a_4", "a_zz", "a_2f", "a/b", "_41", "_FF", "x_+1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
