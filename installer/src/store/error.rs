//! What can go wrong between a layer's bytes and a tree on disk.

use std::io;
use std::path::PathBuf;

use ostree::{gio, glib};

use super::archive::BadArchive;
use super::name::BadName;
use crate::image::Digest;

/// A failure of the store. Nothing is published by the call that returns one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libostree could not open the repository.
    #[error("cannot open the OSTree repository '{path}'")]
    OpenRepo {
        /// The repository.
        path: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// The folder holds something else than a repository.
    #[error(
        "'{path}' is not an OSTree repository, and not empty\n\
         help: name another place for the repository, or move the folder away"
    )]
    NotARepo {
        /// The folder.
        path: PathBuf,
    },
    /// Only in a bare repository are objects the very files that a checkout links.
    #[error(
        "the OSTree repository '{path}' has mode '{mode}', which allows no hard links\n\
         help: use another place, or make a new one by 'ostree --repo={path} init --mode=bare'"
    )]
    RepoMode {
        /// The repository.
        path: PathBuf,
        /// Its mode, as its configuration names it.
        mode: &'static str,
    },
    /// A repository could not be made.
    #[error("cannot create the OSTree repository '{path}'")]
    CreateRepo {
        /// The repository.
        path: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// Work on a folder or file beside the objects failed.
    #[error("cannot {action} '{path}'")]
    Folder {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses hard links between the repository and the deployments.
    #[error(
        "cannot make a hard link from the repository '{repo}' into '{links_to}'\n\
         help: both must be on one mount of one file system (a bind mount between them is \
         enough to forbid links)"
    )]
    Links {
        /// The repository.
        repo: PathBuf,
        /// Where deployments go.
        links_to: PathBuf,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The repository's lock was not to be had.
    #[error("cannot lock the repository '{path}'")]
    Lock {
        /// The repository.
        path: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// The stream of a layer failed, most often because it does not verify.
    #[error("cannot read layer '{layer}'")]
    ReadLayer {
        /// The layer.
        layer: Digest,
        /// The stream's reason.
        #[source]
        source: io::Error,
    },
    /// A layer is no tar archive, or a damaged one.
    #[error("layer '{layer}' is not a good tar archive: {problem}")]
    Archive {
        /// The layer.
        layer: Digest,
        /// What is wrong.
        problem: BadArchive,
    },
    /// An entry of a layer cannot be taken.
    #[error("entry '{entry}' of layer '{layer}': {problem}")]
    Entry {
        /// The layer.
        layer: Digest,
        /// Its name as found, made printable and cut at 200 characters.
        entry: String,
        /// What is wrong.
        problem: BadEntry,
    },
    /// An object could not be written.
    #[error("cannot store '{what}' in the repository '{repo}'")]
    WriteObject {
        /// The file, or kind of object.
        what: String,
        /// The repository.
        repo: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// The file system of the repository is full, or nearly so.
    #[error(
        "no space left for the repository '{repo}': {reason}\n\
         help: free some space there; OSTree keeps 3 % free unless its configuration says less"
    )]
    NoSpace {
        /// The repository.
        repo: PathBuf,
        /// libostree's words.
        reason: String,
    },
    /// A transaction or ref could not be completed.
    #[error("cannot publish '{what}' in the repository '{repo}'")]
    Publish {
        /// The ref.
        what: String,
        /// The repository.
        repo: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// What nothing needs could not be removed.
    #[error("cannot prune the repository '{path}'")]
    Prune {
        /// The repository.
        path: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// Refs could not be read.
    #[error("cannot read the refs of the repository '{path}'")]
    Refs {
        /// The repository.
        path: PathBuf,
        /// libostree's reason.
        #[source]
        source: glib::Error,
    },
    /// Something that a ref or tree needs is not there, or not whole.
    #[error(
        "'{what}' in the repository '{repo}' is {state}\n\
         help: pull the image again"
    )]
    Damaged {
        /// Path in the tree, or ref.
        what: String,
        /// The repository.
        repo: PathBuf,
        /// `missing`, or in which way it is not whole.
        state: &'static str,
    },
    /// A folder of a layer lies deeper than sysc follows.
    #[error("'{path}' of layer '{layer}' lies too deep")]
    TooDeep {
        /// The layer.
        layer: Digest,
        /// The path in the image.
        path: String,
    },
    /// A path in the tree cannot be a folder or file, since something else is in its way.
    #[error("cannot make '{path}' in the image: '{obstacle}' is not a folder")]
    Obstacle {
        /// The path.
        path: String,
        /// What is in its way.
        obstacle: String,
    },
    /// A file of an image is larger than its reader accepts.
    #[error("'{path}' in the image has {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The path in the image.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A file of an image was to be read, and is a folder.
    #[error("'{path}' in the image is a folder, not a file")]
    NotAFile {
        /// The path in the image.
        path: String,
    },
    /// A file could not be put in its place.
    #[error("cannot {action} '{path}'")]
    Place {
        /// `link`, `create` …
        action: &'static str,
        /// The path below the deployment's root.
        path: String,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// What an image's commit says of it makes no sense.
    #[error(
        "the record of image '{name}' is damaged: {problem}\n\
         help: pull the image again"
    )]
    Record {
        /// The image.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// Why an entry of a layer is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadEntry {
    /// Its name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The name of what a hard link is of.
    #[error("its target '{target}' is refused: {problem}")]
    TargetName {
        /// The target as found, made printable.
        target: String,
        /// What is wrong with it.
        problem: BadName,
    },
    /// A hard link to what neither this layer nor a lower one has.
    #[error("its target '{0}' does not exist in the image")]
    NoTarget(String),
    /// A hard link to a folder.
    #[error("its target '{0}' is a folder")]
    TargetIsDir(String),
    /// The root of an image is a folder.
    #[error("the root of an image must be a folder")]
    Root,
    /// A whiteout that is a folder.
    #[error("a whiteout cannot be a folder")]
    WhiteoutDir,
    /// A symbolic link's target.
    #[error("a symbolic link must point to 1 to 4095 bytes of UTF-8 without NUL")]
    LinkTarget,
    /// Numbers that no kernel can set.
    #[error("its owner {uid}:{gid} is out of range")]
    Owner {
        /// User.
        uid: u64,
        /// Group.
        gid: u64,
    },
    /// A file capability that the kernel would not take.
    #[error("its 'security.capability' is malformed")]
    Capability,
    /// A device or FIFO among the files for the host.
    #[error("a device or FIFO cannot be in /exports")]
    Device,
    /// A type that neither POSIX nor image-spec knows.
    #[error("it has the unknown type '{0}'")]
    Type(char),
    /// A sparse file whose holes are too large.
    #[error("it is a sparse file of {size} bytes, more than the {limit} allowed")]
    Sparse {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// More entries than sysc holds in memory.
    #[error("the layer has more than {0} entries")]
    TooMany(u64),
}

/// Tells a full disk from everything else that can stop a write.
pub(super) fn writing(
    repo: &std::path::Path,
    source: glib::Error,
    otherwise: impl FnOnce(glib::Error) -> Error,
) -> Error {
    let full = source.matches(gio::IOErrorEnum::NoSpace)
        || source.message().contains("min-free-space")
        || source.message().contains("No space left");
    if full {
        Error::NoSpace {
            repo: repo.to_owned(),
            reason: source.message().to_owned(),
        }
    } else {
        otherwise(source)
    }
}
