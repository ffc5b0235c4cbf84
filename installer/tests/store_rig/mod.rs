//! What the store's tests stand on: a real repository in a folder of its own, and layers made in
//! memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "the stock ostree tool is asked for its opinion"
)]

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::Sha256;
use sysc::image::{Compression, Digest, Image, Layer};
use sysc::store::{Error, Imported, Materialised, Store, Tree};

/// A store in a temporary folder on the disk.
pub struct Rig {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

impl Rig {
    pub fn new() -> Self {
        Self::within("/tmp")
    }

    pub fn within(parent: &str) -> Self {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("sysc-store-").tempdir_in(parent).unwrap();
        let store = Store::open(&folder.path().join("repo"), &folder.path().join("d")).unwrap();
        Self { folder, store }
    }

    pub fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    pub fn import(&self, layer: &Made) -> Result<Imported, Error> {
        self.store
            .import_layer(&layer.layer, &mut layer.tar.as_slice())
    }

    /// Imports and merges.
    pub fn tree(&self, layers: &[&Made]) -> Result<Tree, Error> {
        for layer in layers {
            self.import(layer)?;
        }
        let layers: Vec<Layer> = layers.iter().map(|made| made.layer.clone()).collect();
        self.store.merged(&layers)
    }

    /// Materialises into the new folder `d/NAME`.
    pub fn place(&self, tree: &Tree, name: &str) -> Result<(PathBuf, Materialised), Error> {
        let path = self.folder.path().join("d").join(name);
        std::fs::create_dir(&path).unwrap();
        let done = self
            .store
            .materialise(tree, std::fs::File::open(&path).unwrap())?;
        Ok((path, done))
    }

    /// Output of the stock tool, which must succeed.
    pub fn ostree(&self, args: &[&str]) -> String {
        let mut command = Command::new("ostree");
        run(command
            .arg(format!("--repo={}", self.repo().display()))
            .args(args))
    }

    pub fn fsck(&self) -> String {
        self.ostree(&["fsck"])
    }

    pub fn refs(&self) -> Vec<String> {
        let mut refs: Vec<String> = self.ostree(&["refs"]).lines().map(str::to_owned).collect();
        refs.sort();
        refs
    }

    /// Path, inode, links, owner, mode, size, mtime and ctime of every object.
    pub fn objects(&self) -> String {
        let format = "%P %i %U %G %m %s %T@ %l\\n";
        let mut find = Command::new("find");
        find.arg(self.repo().join("objects"))
            .args(["-name", "*.file", "-printf", format]);
        let mut lines: Vec<String> = run(&mut find).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }

    /// The `.file` objects of this size.
    pub fn objects_of_size(&self, size: usize) -> Vec<PathBuf> {
        let mut find = Command::new("find");
        find.arg(self.repo().join("objects"));
        run(find.args(["-name", "*.file", "-size", &format!("{size}c")]))
            .lines()
            .map(PathBuf::from)
            .collect()
    }
}

/// A small ext4, since that has a limit of links; /tmp may well be a tmpfs, which has none.
pub struct Ext4(tempfile::TempDir);

impl Ext4 {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(64 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(image.path()));
        // The mount keeps the file, nameless as it then is.
        let mut mount = Command::new("mount");
        run(mount
            .args(["-o", "loop"])
            .arg(image.path())
            .arg(folder.path()));
        Self(folder)
    }

    pub fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.0.path()));
    }
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

/// A layer and its tar.
pub struct Made {
    pub layer: Layer,
    pub tar: Vec<u8>,
}

/// Makes a tar, entry by entry.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Directory, path, (mode, 0), ("", b""))
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, path, (0o644, 0), ("", content))
    }

    pub fn owned(self, path: &str, mode: u32, uid: u64) -> Self {
        self.entry(tar::EntryType::Regular, path, (mode, uid), ("", b"owned"))
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, (0o777, 0), (target, b""))
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, path, (0o644, 0), (target, b""))
    }

    pub fn special(self, kind: tar::EntryType, path: &str) -> Self {
        self.entry(kind, path, (0o644, 0), ("", b""))
    }

    /// Records of a PAX header for the entry that comes next.
    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        self
    }

    /// Writes the name into the header as it is, so that bad ones can be made.
    pub fn entry(
        mut self,
        kind: tar::EntryType,
        path: &str,
        (mode, uid): (u32, u64),
        (target, content): (&str, &[u8]),
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(uid);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        if path.len() > 100 {
            let mut long = tar::Header::new_gnu();
            long.set_entry_type(tar::EntryType::GNULongName);
            long.set_size(path.len() as u64);
            long.set_cksum();
            self.0.append(&long, path.as_bytes()).unwrap();
        } else {
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        }
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn made(self) -> Made {
        made(self.0.into_inner().unwrap())
    }
}

/// A layer of these bytes.
pub fn made(tar: Vec<u8>) -> Made {
    let digest = Digest::of(&tar);
    let size = tar.len() as u64;
    let layer = Layer {
        digest: digest.clone(),
        diff_id: digest,
        size,
        compression: Compression::None,
    };
    Made { layer, tar }
}

/// An image of these layers, with just enough of a manifest and configuration.
pub fn image(name: &str, layers: &[&Made]) -> Image {
    let descriptor = |made: &&Made| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":{}}}"#,
            made.layer.digest, made.layer.size
        )
    };
    let blobs: Vec<String> = layers.iter().map(descriptor).collect();
    let diffs: Vec<String> = layers
        .iter()
        .map(|made| format!("\"{}\"", made.layer.diff_id))
        .collect();
    let config = format!(r#"{{"rootfs":{{"diff_ids":[{}]}}}}"#, diffs.join(","));
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{}]}}"#,
        Digest::of(config.as_bytes()),
        config.len(),
        blobs.join(",")
    );
    let source = format!("docker://{name}");
    let (manifest, config) = (manifest.into_bytes(), config.into_bytes());
    Image::from_documents(name.to_owned(), source, manifest, config).unwrap()
}

/// Reads its bytes and then, instead of the end, fails, as a stream that does not verify.
pub struct Unverified<'a>(pub &'a [u8]);

impl Read for Unverified<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::Error::other("the blob does not match its digest")),
            got => Ok(got),
        }
    }
}

/// An endless tar's worth of bytes that do not compress or repeat.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    use sha2::Digest as _;
    let mut out = Vec::with_capacity(length + 32);
    let mut counter = 0u64;
    while out.len() < length {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update(counter.to_le_bytes());
        out.extend_from_slice(&hasher.finalize());
        counter += 1;
    }
    out.truncate(length);
    out
}

/// The error and its causes, as a user would see them.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

pub fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}
