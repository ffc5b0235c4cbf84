//! Images out of layouts and archives that are built here: what comes out is the same from each,
//! and what is wrong with one is told (W07, P06, P10).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sysc::image::{Access, Digest, Error, Reference, Resolved, resolve};
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layout in a folder of its own.
struct Layout {
    root: TempDir,
    entries: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("Etcd/blobs/sha256")).unwrap();
        let layout = Self {
            root,
            entries: Vec::new(),
        };
        fs::write(
            layout.dir().join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
        layout
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("Etcd")
    }

    fn blob(&self, bytes: &[u8]) -> (String, PathBuf) {
        let digest = Digest::of(bytes);
        let path = self.dir().join("blobs/sha256").join(digest.hex());
        fs::write(&path, bytes).unwrap();
        (digest.to_string(), path)
    }

    /// Writes an image of one layer; returns its manifest's descriptor.
    fn image(&self, tar: &[u8], blob: &[u8], kind: &str) -> Value {
        let config = config(&[tar]);
        let (config_digest, _) = self.blob(config.as_bytes());
        let (layer, _) = self.blob(blob);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": [{"mediaType": format!("{LAYER}{kind}"), "digest": layer, "size": blob.len()}],
        })
        .to_string();
        let (digest, _) = self.blob(manifest.as_bytes());
        json!({"mediaType": MANIFEST, "digest": digest, "size": manifest.len()})
    }

    fn add(&mut self, mut descriptor: Value, annotation: &str, name: &str) {
        descriptor["annotations"] = json!({ annotation: name });
        self.entries.push(descriptor);
    }

    fn finish(&self) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries});
        fs::write(self.dir().join("index.json"), index.to_string()).unwrap();
    }
}

const REF: &str = "org.opencontainers.image.ref.name";

fn config(tars: &[&[u8]]) -> String {
    let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
    json!({"os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn access(scratch: &Path) -> Access {
    let mut access = Access::from_environment(None);
    access.policy = PathBuf::from("/nonexistent");
    access.scratch = scratch.to_owned();
    access
}

fn open(reference: &str) -> Result<Resolved, Error> {
    let scratch = tempfile::tempdir().unwrap();
    let resolved = resolve(&Reference::parse(reference)?, &access(scratch.path()));
    assert_eq!(
        fs::read_dir(scratch.path()).unwrap().count(),
        0,
        "something is left"
    );
    resolved
}

fn refusal(reference: &str) -> String {
    open(reference).err().unwrap().to_string()
}

fn layer(resolved: &Resolved, index: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut stream = resolved
        .open_layer(index, Box::new(|_| {}))
        .map_err(|e| e.to_string())?;
    stream
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[test]
fn w07_a_layout_and_its_archives_give_the_same() {
    let tar = tar_of(&[("a", b"content")]);
    for (blob, kind) in [
        (tar.clone(), ""),
        (gzip(&tar), "+gzip"),
        (zstd::encode_all(&tar[..], 1).unwrap(), "+zstd"),
    ] {
        let mut layout = Layout::new();
        layout.add(layout.image(&tar, &blob, kind), REF, "3.5");
        layout.finish();
        let archive = archive_of(&layout);
        let (plain, packed) = (
            layout.root.path().join("x.tar"),
            layout.root.path().join("y.tgz"),
        );
        fs::write(&plain, &archive).unwrap();
        fs::write(&packed, gzip(&archive)).unwrap();
        let mut seen = Vec::new();
        for (reference, name) in [
            (format!("oci:{}", layout.dir().display()), "etcd:3.5"),
            (format!("oci:{}:3.5", layout.dir().display()), "etcd:3.5"),
            (format!("oci-archive:{}:3.5", plain.display()), "x:3.5"),
            (format!("oci-archive:{}", packed.display()), "y:3.5"),
        ] {
            let resolved = open(&reference).unwrap();
            assert_eq!(resolved.image.name, name, "{reference}");
            assert_eq!(resolved.image.source, reference);
            assert_eq!(layer(&resolved, 0).unwrap(), tar, "{reference}");
            seen.push(resolved.image.digest);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

fn archive_of(layout: &Layout) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", layout.dir()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn w07_of_several_images_one_is_named() {
    let mut layout = Layout::new();
    for (content, name) in [
        ("one", "r.example/a/one:1"),
        ("two", "two"),
        ("three", "../three"),
    ] {
        let tar = tar_of(&[("f", content.as_bytes())]);
        layout.add(layout.image(&tar, &tar, ""), REF, name);
    }
    layout.finish();
    let dir = layout.dir().display().to_string();
    for (name, called, container) in [
        ("r.example/a/one:1", "r.example/a/one:1", "one-1"),
        ("two", "etcd:two", "etcd-two"),
        // An image's own text that is no name does not become one.
        ("../three", "etcd:latest", "etcd"),
    ] {
        let image = open(&format!("oci:{dir}:{name}")).unwrap().image;
        assert_eq!(
            (image.name.as_str(), image.default_container_name().as_str()),
            (called, container)
        );
    }
    let several = refusal(&format!("oci:{dir}"));
    assert!(
        several.contains("several images") && several.contains("'two'"),
        "{several}"
    );
    let none = refusal(&format!("oci:{dir}:four"));
    assert!(none.contains("does not hold 'four'"), "{none}");
}

#[test]
fn p10_a_layout_of_several_platforms_is_an_index() {
    let mut layout = Layout::new();
    let own = Access::from_environment(None).platform.architecture;
    let platforms = ["other", own.as_str()];
    for architecture in platforms {
        let tar = tar_of(&[("f", architecture.as_bytes())]);
        let mut descriptor = layout.image(&tar, &tar, "");
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        layout.add(descriptor, REF, "1");
    }
    layout.finish();
    let resolved = open(&format!("oci:{}:1", layout.dir().display())).unwrap();
    assert_eq!(
        layer(&resolved, 0).unwrap(),
        tar_of(&[("f", platforms[1].as_bytes())])
    );
}

#[test]
fn p06_a_damaged_layout_is_told_by_its_blob() {
    let tar = tar_of(&[("a", b"content")]);
    let mut layout = Layout::new();
    layout.add(layout.image(&tar, &tar, ""), REF, "1");
    layout.finish();
    let reference = format!("oci:{}", layout.dir().display());
    let (digest, path) = layout.blob(&tar);
    for (damage, reason) in [
        (tar[..tar.len() - 1].to_vec(), "bytes, expected"),
        ([&tar[..], b"x"].concat(), "more than"),
        (tar.iter().map(|byte| byte ^ 1).collect(), "has the digest"),
    ] {
        fs::write(&path, damage).unwrap();
        let error = layer(&open(&reference).unwrap(), 0).unwrap_err();
        assert!(error.contains(&digest) && error.contains(reason), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let missing = layer(&open(&reference).unwrap(), 0).unwrap_err();
    assert!(missing.contains("is missing"), "{missing}");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    layer(&open(&reference).unwrap(), 0).unwrap_err();

    fs::write(
        layout.dir().join("oci-layout"),
        r#"{"imageLayoutVersion":"2.0.0"}"#,
    )
    .unwrap();
    assert!(refusal(&reference).contains("version is '2.0.0'"));
    fs::remove_file(layout.dir().join("oci-layout")).unwrap();
    assert!(refusal(&reference).contains("'oci-layout' is missing"));
}

/// A docker archive with the members that `members` gives beside its manifest and configuration.
fn docker(items: &Value, members: &[(&str, &[u8])]) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved.tar");
    let list = items.to_string();
    let members: Vec<_> = members
        .iter()
        .copied()
        .chain([("manifest.json", list.as_bytes())])
        .collect();
    fs::write(&path, tar_of(&members)).unwrap();
    (dir, format!("docker-archive:{}", path.display()))
}

#[test]
fn w07_docker_archives_hold_plain_and_compressed_layers() {
    let (lower, upper) = (tar_of(&[("a", b"1")]), tar_of(&[("b", b"2")]));
    let config = config(&[&lower, &upper]);
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let tags = json!(["etcd:latest", "docker.io/library/etcd:3"]);
    let items = json!([{"Config": name, "RepoTags": tags, "Layers": ["l/layer.tar", "u.tar.gz"]}]);
    let packed = gzip(&upper);
    let members: [(&str, &[u8]); 3] = [
        (&name, config.as_bytes()),
        ("l/layer.tar", &lower),
        ("u.tar.gz", &packed),
    ];
    let (_dir, reference) = docker(&items, &members);
    let mut digests = Vec::new();
    for (asked, called) in [
        (reference.clone(), "etcd:latest"),
        (format!("{reference}:etcd:3"), "docker.io/library/etcd:3"),
        (format!("{reference}:docker.io/etcd"), "etcd:latest"),
    ] {
        let resolved = open(&asked).unwrap();
        assert_eq!(resolved.image.name, called, "{asked}");
        assert_eq!(layer(&resolved, 0).unwrap(), lower);
        assert_eq!(layer(&resolved, 1).unwrap(), upper);
        assert_eq!(
            resolved.image.layers[0].digest,
            resolved.image.layers[0].diff_id
        );
        assert_eq!(resolved.image.layers[1].digest, Digest::of(&packed));
        digests.push(resolved.image.digest);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(refusal(&format!("{reference}:other")).contains("does not hold that image"));
}

#[test]
fn p06_docker_archives_that_are_not_what_they_say() {
    let tar = tar_of(&[("a", b"1")]);
    let config = config(&[&tar]);
    let other = format!("{}.json", Digest::of(b"other").hex());
    let items = |config: &str, layers: Value| json!([{"Config": config, "RepoTags": null, "Layers": layers}]);
    let text = config.as_bytes();
    for (items, members, reason) in [
        (
            items(&other, json!(["l"])),
            vec![(other.as_str(), text), ("l", &tar[..])],
            "has the digest",
        ),
        (
            items("c", json!(["l"])),
            vec![("c", text)],
            "'l' is missing",
        ),
        (
            items("c", json!([])),
            vec![("c", text)],
            "0 layers, but 1 diff ids",
        ),
        (
            items("c", json!(["l"])),
            vec![("l", &tar[..])],
            "'c' is missing",
        ),
        (json!([]), vec![], "does not hold that image"),
        (json!({}), vec![], "manifest.json"),
    ] {
        let (_dir, reference) = docker(&items, &members);
        let error = refusal(&reference);
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let changed: Vec<u8> = tar.iter().map(|byte| byte ^ 1).collect();
    let (_dir, reference) = docker(&items("c", json!(["l"])), &[("c", text), ("l", &changed)]);
    let resolved = open(&reference).unwrap();
    assert_eq!(resolved.image.name, "saved:latest");
    assert!(layer(&resolved, 0).unwrap_err().contains("has the digest"));
}

#[test]
fn an_archive_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for (content, reason) in [
        (&b"not a tar file, and longer than nothing"[..], "tar file"),
        (&gzip(b"x")[..8], "cannot unpack"),
        (b"", "missing"),
    ] {
        fs::write(&path, content).unwrap();
        for transport in ["oci-archive", "docker-archive"] {
            let error = refusal(&format!("{transport}:{}", path.display()));
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
