//! OCI images, made in memory, and the forms that they are shipped in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An image: its blobs, and manifests with the one that a tag names last.
#[derive(Clone, Debug)]
pub struct Image {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: Vec<Manifest>,
    config: Vec<u8>,
    layers: Vec<Layer>,
}

/// A manifest or index, as pushed.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `sha256:…`
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether a tag names it.
    pub top: bool,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

#[derive(Clone, Debug)]
struct Layer {
    tar: Vec<u8>,
    blob: Vec<u8>,
    compression: Compression,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// `sha256:…` of `bytes`.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Puts layers together, lowest first.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    layers: Vec<Layer>,
    config: Value,
}

impl Builder {
    /// An image whose runtime configuration (image-spec's `config` object) is `config`.
    pub fn new(config: Value) -> Self {
        Self {
            layers: Vec::new(),
            config,
        }
    }

    /// Adds a gzip layer.
    pub fn layer(self, tar: Vec<u8>) -> Self {
        self.layer_as(tar, Compression::Gzip)
    }

    /// Adds a layer.
    pub fn layer_as(mut self, tar: Vec<u8>, compression: Compression) -> Self {
        let blob = match compression {
            Compression::None => tar.clone(),
            Compression::Gzip => gzip(&tar),
            Compression::Zstd => zstd::encode_all(Cursor::new(&tar), 1).unwrap_or_default(),
        };
        self.layers.push(Layer {
            tar,
            blob,
            compression,
        });
        self
    }

    /// The image, for this machine's platform.
    pub fn build(self) -> Image {
        self.build_for(architecture())
    }

    /// The image, for `architecture` in Go's spelling.
    pub fn build_for(self, architecture: &str) -> Image {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| digest(&layer.tar)).collect();
        // Builders that go on from this image want one entry a layer.
        let history: Vec<_> = diff_ids
            .iter()
            .map(|_| json!({"created_by": "a test"}))
            .collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": self.config,
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let layers: Vec<_> = self.layers.iter().map(layer_descriptor).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(&config),
                "size": config.len(),
            },
            "layers": layers,
        });
        let mut blobs = BTreeMap::from([(digest(&config), config.clone())]);
        for layer in &self.layers {
            blobs.insert(digest(&layer.blob), layer.blob.clone());
        }
        let manifests = vec![Manifest::new(MANIFEST, &manifest)];
        Image {
            blobs,
            manifests,
            config,
            layers: self.layers,
        }
    }
}

impl Manifest {
    fn new(media_type: &str, value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        let media_type = media_type.to_owned();
        Self {
            digest: digest(&bytes),
            media_type,
            bytes,
            top: true,
        }
    }
}

impl Image {
    /// An index of `images`, each with its architecture.
    pub fn index(images: &[(&str, &Self)]) -> Self {
        let entries: Vec<_> = images
            .iter()
            .map(|(architecture, image)| {
                let manifest = image.top();
                json!({
                    "mediaType": MANIFEST,
                    "digest": manifest.digest,
                    "size": manifest.bytes.len(),
                    "platform": {"os": "linux", "architecture": architecture},
                })
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        let mut whole = images[0].1.clone();
        whole.manifests.clear();
        for (_, image) in images {
            whole.blobs.extend(image.blobs.clone());
            whole.manifests.extend(image.manifests.iter().cloned());
        }
        whole
            .manifests
            .iter_mut()
            .for_each(|manifest| manifest.top = false);
        whole.manifests.push(Manifest::new(INDEX, &index));
        whole
    }

    /// Digest and bytes of the configuration and of each layer.
    pub fn blobs(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.blobs.iter()
    }

    /// What is to be pushed, in this order.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The digest that a tag stands for.
    pub fn digest(&self) -> &str {
        &self.top().digest
    }

    /// Writes an OCI image layout in which the image is called `name`.
    pub fn write_layout(&self, dir: &Path, name: &str) -> Result<()> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for (path, bytes) in self.layout(name) {
            fs::write(dir.join(path), bytes)?;
        }
        Ok(())
    }

    /// Writes the same layout as a tar file.
    pub fn write_oci_archive(&self, file: &Path, name: &str) -> Result<()> {
        let mut tar = Tar::new();
        for (path, bytes) in self.layout(name) {
            tar = tar.file(&path, 0o644, &bytes);
        }
        Ok(fs::write(file, tar.finish())?)
    }

    /// Writes what `docker save` would.
    pub fn write_docker_archive(&self, file: &Path, name: &str) -> Result<()> {
        let config = format!("{}.json", &digest(&self.config)["sha256:".len()..]);
        let names: Vec<_> = (0..self.layers.len())
            .map(|at| format!("{at}/layer.tar"))
            .collect();
        let manifest = json!([{"Config": config, "RepoTags": [name], "Layers": names}]);
        let mut tar = Tar::new().file(&config, 0o644, &self.config);
        for (path, layer) in names.iter().zip(&self.layers) {
            tar = tar.file(path, 0o644, &layer.tar);
        }
        let tar = tar.file("manifest.json", 0o644, manifest.to_string().as_bytes());
        Ok(fs::write(file, tar.finish())?)
    }

    fn layout(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let path = |digest: &str| format!("blobs/sha256/{}", &digest["sha256:".len()..]);
        let top = self.top();
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": top.media_type,
                "digest": top.digest,
                "size": top.bytes.len(),
                "annotations": {"org.opencontainers.image.ref.name": name},
            }],
        });
        let version = json!({"imageLayoutVersion": "1.0.0"})
            .to_string()
            .into_bytes();
        let mut files = vec![
            ("oci-layout".to_owned(), version),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        files.extend(
            self.blobs
                .iter()
                .map(|(digest, bytes)| (path(digest), bytes.clone())),
        );
        files.extend(
            self.manifests
                .iter()
                .map(|m| (path(&m.digest), m.bytes.clone())),
        );
        files
    }

    fn top(&self) -> &Manifest {
        &self.manifests[self.manifests.len() - 1]
    }
}

/// This machine's architecture in Go's spelling.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn layer_descriptor(layer: &Layer) -> Value {
    let suffix = match layer.compression {
        Compression::None => "",
        Compression::Gzip => "+gzip",
        Compression::Zstd => "+zstd",
    };
    json!({
        "mediaType": format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
        "digest": digest(&layer.blob),
        "size": layer.blob.len(),
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A tar file under construction; what does not say otherwise is root's.
#[expect(missing_debug_implementations, reason = "tar's builder has none")]
pub struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "a tar is begun, not defaulted")]
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds a regular file.
    pub fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.0
            .append_data(&mut header, path, content)
            .expect("in memory");
        self
    }

    /// Adds a regular file with an extended attribute.
    pub fn file_with(mut self, path: &str, content: &[u8], (name, value): (&str, &[u8])) -> Self {
        let key = format!("SCHILY.xattr.{name}");
        self.0
            .append_pax_extensions([(key.as_str(), value)])
            .expect("in memory");
        self.file(path, 0o755, content)
    }

    /// Adds a directory.
    pub fn dir(mut self, path: &str, mode: u32) -> Self {
        let mut header = header(tar::EntryType::Directory, mode);
        self.0
            .append_data(&mut header, path, &[][..])
            .expect("in memory");
        self
    }

    /// Adds a directory that belongs to `owner` and to the group of that number.
    pub fn dir_of(mut self, path: &str, mode: u32, owner: u64) -> Self {
        let mut header = header(tar::EntryType::Directory, mode);
        header.set_uid(owner);
        header.set_gid(owner);
        self.0
            .append_data(&mut header, path, &[][..])
            .expect("in memory");
        self
    }

    /// Adds a symbolic link.
    pub fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        self.0
            .append_link(&mut header, path, target)
            .expect("in memory");
        self
    }

    /// Adds an entry whose name is written as it is, however bad; of a hard link, `content` is
    /// the target.
    pub fn raw(mut self, path: &str, kind: tar::EntryType, content: &[u8]) -> Self {
        let mut header = header(kind, 0o644);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if matches!(kind, tar::EntryType::Link | tar::EntryType::Symlink) {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
            header.set_cksum();
            self.0.append(&header, &[][..]).expect("in memory");
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            self.0.append(&header, content).expect("in memory");
        }
        self
    }

    /// Adds the directory `part` of `root` and all below it, with owners and modes as they are
    /// there; a `part` that is a link is added as that, one that is absent not at all.
    pub fn part(mut self, root: &Path, part: &str) -> Result<Self> {
        self.0.follow_symlinks(false);
        let path = root.join(part);
        if path.is_symlink() {
            let target = fs::read_link(&path)?;
            return Ok(self.link(part, &target.to_string_lossy()));
        }
        if path.is_dir() {
            self.0.append_dir_all(part, &path)?;
        }
        Ok(self)
    }

    /// The finished archive.
    pub fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("in memory")
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}
