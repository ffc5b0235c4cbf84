//! An OCI image layout (image-spec image-layout.md), as a folder or as a tar file of one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Blob, Files, Source, read_bounded};
use crate::image::manifest::{Descriptor, Document, Entry, Index, MAX_DOCUMENT, OCI_INDEX, Parsed};
use crate::image::reference::Stored;
use crate::image::{Digest, Error, name};

/// One image of a layout.
pub(in crate::image) struct Layout {
    files: Box<dyn Files>,
    path: PathBuf,
    top: Document,
    name: String,
}

/// A folder of the host.
pub(in crate::image) struct Folder(pub PathBuf);

impl Files for Folder {
    fn open(&self, name: &str) -> io::Result<Option<(Blob, u64)>> {
        let path = self.0.join(name);
        // Opening a pipe would wait for its other end.
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(Some((Box::new(File::open(path)?), found.len()))),
            Ok(_) => Err(io::Error::other(format!("'{name}' is not a regular file"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

const KIND: &str = "an OCI layout";
const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Layout {
    /// Reads the index and picks the image that `stored` names, or the only one.
    pub(in crate::image) fn open(files: Box<dyn Files>, stored: &Stored) -> Result<Self, Error> {
        let path = &stored.path;
        check_version(files.as_ref(), path)?;
        let bytes = whole(files.as_ref(), path, "index.json")?;
        let document = Document {
            bytes,
            media_type: Some(OCI_INDEX.to_owned()),
        };
        let Parsed::Index(index) = document.parse(&path.display().to_string())? else {
            return Err(unusable(path, "its 'index.json' is no index"));
        };
        let (top, name) = choose(&index, &document, files.as_ref(), stored)?;
        Ok(Self {
            files,
            path: path.clone(),
            top,
            name,
        })
    }

    /// The image's name, from its annotations or from the layout's own file name.
    pub(in crate::image) fn name(&self) -> &str {
        &self.name
    }
}

impl Source for Layout {
    fn top(&self) -> Result<Document, Error> {
        Ok(self.top.clone())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Document, Error> {
        document(self.files.as_ref(), &self.path, descriptor)
    }

    fn blob(&self, digest: &Digest, _size: u64) -> Result<Blob, Error> {
        let found = self.files.open(&blob_path(digest));
        match found.map_err(|source| Error::ReadBlob {
            digest: digest.clone(),
            source,
        })? {
            Some((blob, _)) => Ok(blob),
            None => Err(unusable(
                &self.path,
                &format!("the blob '{digest}' is missing"),
            )),
        }
    }
}

/// Only the marker file tells a layout from any other folder.
fn check_version(files: &dyn Files, path: &Path) -> Result<(), Error> {
    let marker = whole(files, path, "oci-layout")?;
    let marker: serde_json::Value = serde_json::from_slice(&marker).unwrap_or_default();
    match marker["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        version => {
            let version = version.unwrap_or_default().escape_debug();
            Err(unusable(
                path,
                &format!("its version is '{version}', not 1.0.0"),
            ))
        }
    }
}

fn choose(
    index: &Index,
    whole: &Document,
    files: &dyn Files,
    stored: &Stored,
) -> Result<(Document, String), Error> {
    let path = &stored.path;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let base = name::from_file_name(&file);
    let entries = &index.manifests;
    let wanted: Vec<&Entry> = match &stored.image {
        Some(wanted) => entries
            .iter()
            .filter(|entry| names(entry).any(|name| name == wanted))
            .collect(),
        None => entries.iter().collect(),
    };
    match wanted.as_slice() {
        [entry] => {
            let descriptor = entry.descriptor(&path.display().to_string())?;
            Ok((
                document(files, path, &descriptor)?,
                image_name(entry, &base),
            ))
        }
        [] => {
            let what = stored.image.as_deref().unwrap_or("any image");
            Err(unusable(
                path,
                &format!("it does not hold '{what}'; it holds {}", list(entries)),
            ))
        }
        several if several.iter().all(|entry| entry.has_platform()) => {
            // One image for several platforms, without an index of its own.
            Ok((whole.clone(), image_name(several[0], &base)))
        }
        several => {
            let several: Vec<Entry> = several.iter().copied().cloned().collect();
            Err(unusable(
                path,
                &format!(
                    "it holds several images\nhelp: add one of these after a ':': {}",
                    list(&several)
                ),
            ))
        }
    }
}

fn names(entry: &Entry) -> impl Iterator<Item = &str> {
    [CONTAINERD_NAME, REF_NAME]
        .into_iter()
        .filter_map(|key| entry.annotation(key))
}

fn list(entries: &[Entry]) -> String {
    let all: Vec<String> = entries
        .iter()
        .flat_map(names)
        .map(|name| format!("'{}'", name.escape_debug()))
        .collect();
    if all.is_empty() {
        "no named image".to_owned()
    } else {
        all.join(", ")
    }
}

/// A full name if an annotation has one; else the layout's name with the annotation as its tag.
fn image_name(entry: &Entry, base: &str) -> String {
    let full = |text: &&str| text.contains(['/', ':']) && super::is_name(text);
    if let Some(name) = names(entry).find(full) {
        return super::with_tag(name);
    }
    match entry
        .annotation(REF_NAME)
        .filter(|tag| name::check_tag(tag).is_ok())
    {
        Some(tag) => format!("{base}:{tag}"),
        None => format!("{base}:latest"),
    }
}

fn document(files: &dyn Files, path: &Path, descriptor: &Descriptor) -> Result<Document, Error> {
    let bytes = whole(files, path, &blob_path(&descriptor.digest))?;
    let media_type = Some(descriptor.media_type.clone()).filter(|text| !text.is_empty());
    let document = Document { bytes, media_type };
    document.verify(descriptor)?;
    Ok(document)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A small file, whole.
fn whole(files: &dyn Files, path: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let found = files.open(name).map_err(|source| read(path, source))?;
    let (blob, _) = found.ok_or_else(|| unusable(path, &format!("'{name}' is missing")))?;
    let bytes = read_bounded(blob, MAX_DOCUMENT).map_err(|source| read(path, source))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(unusable(
            path,
            &format!("'{name}' has more than {MAX_DOCUMENT} bytes"),
        ));
    }
    Ok(bytes)
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Layout {
        path: path.to_owned(),
        kind: KIND,
        reason: reason.to_owned(),
    }
}

fn read(path: &Path, source: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        source,
    }
}
