//! What can go wrong between a reference and its layers' bytes.

use std::{fmt, io, path::PathBuf};

use super::Digest;
use super::digest::InvalidDigest;

/// A failure in finding, opening or verifying an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no reference.
    #[error("'{text}' is not an image reference: {reason}")]
    ParseReference {
        /// The text with control characters escaped.
        text: String,
        /// The rule that it breaks, and what to write instead.
        reason: String,
    },
    /// A configuration or archive file could not be read.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An image that is to be in the repository is not.
    #[error("the image '{name}' is not in the repository\nhelp: fetch it with 'sysc pull {name}'")]
    NotStored {
        /// The image.
        name: String,
    },
    /// No container engine listens on this machine.
    #[error(
        "no container engine listens on {}\nhelp: start one, or name its socket in $DOCKER_HOST, as \
         unix:///PATH; an image of a registry is named without 'docker:'",
        tried.iter().map(|path| format!("'{}'", path.display())).collect::<Vec<_>>().join(", ")
    )]
    NoEngine {
        /// The sockets that were tried.
        tried: Vec<PathBuf>,
    },
    /// The engine does not give the image.
    #[error("the container engine at '{socket}' does not give the image '{image}'")]
    Engine {
        /// Its socket.
        socket: PathBuf,
        /// The image.
        image: String,
        /// What it answered.
        #[source]
        source: io::Error,
    },
    /// A compressed archive could not be unpacked.
    #[error("cannot unpack '{path}' to a file in '{scratch}'")]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// Where the unpacked form would have been.
        scratch: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A configuration file is not what its manual page says.
    #[error("cannot use '{path}': {reason}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any value that may be secret.
        reason: String,
    },
    /// A name without a registry, and nowhere to look for it.
    #[error(
        "'{name}' names no registry, and '{path}' has no unqualified-search-registries\nhelp: write the registry, such as docker.io/{name}"
    )]
    Unqualified {
        /// The name as typed.
        name: String,
        /// Where a search list would have been.
        path: PathBuf,
    },
    /// `--src-creds` together with a search list of several registries.
    #[error(
        "credentials were given for '{name}', which could be in any of: {registries}\nhelp: write the registry before the name, so that only it sees the credentials"
    )]
    CredentialsForMany {
        /// The name as typed.
        name: String,
        /// The search list.
        registries: String,
    },
    /// registries.conf forbids the registry.
    #[error("'{image}' is blocked by the entry '{prefix}' of registries.conf")]
    Blocked {
        /// The full name.
        image: String,
        /// Prefix of the entry.
        prefix: String,
    },
    /// policy.json does not let the image in.
    #[error("'{image}' is refused by '{path}': {reason}")]
    Policy {
        /// Transport and scope that were looked up.
        image: String,
        /// The policy file.
        path: PathBuf,
        /// The requirement.
        reason: String,
    },
    /// A credential helper would be needed.
    #[error(
        "credentials for '{registry}' are kept by the helper '{helper}' (in '{path}'), which is not supported\nhelp: store them by `podman login` without a helper, or give them by --src-creds"
    )]
    CredentialHelper {
        /// The registry that asked.
        registry: String,
        /// The helper's name.
        helper: String,
        /// The file that names it.
        path: PathBuf,
    },
    /// The request failed below HTTP.
    #[error("cannot reach '{url}'")]
    Connect {
        /// What was asked for, without any query.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The registry refused us.
    #[error("{}", Unauthorized { image, registry, had })]
    Unauthorized {
        /// What was asked for.
        image: String,
        /// Who refused.
        registry: String,
        /// Whether credentials were sent.
        had: bool,
    },
    /// The registry has no such thing.
    #[error("'{what}' does not exist in '{registry}'")]
    NotFound {
        /// Image or blob.
        what: String,
        /// The registry.
        registry: String,
    },
    /// Another status than expected.
    #[error("'{url}' answered with status {status}")]
    Status {
        /// What was asked for, without any query.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A redirect that must not or cannot be followed.
    #[error("'{url}' redirects {reason}")]
    Redirect {
        /// Where the redirect came from, without any query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that breaks the protocol.
    #[error("'{url}' gave an unusable answer: {reason}")]
    Answer {
        /// What was asked for, without any query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection broke too often.
    #[error("blob '{digest}' broke off after {at} of {size} bytes, {attempts} attempts in a row")]
    Interrupted {
        /// The blob.
        digest: Digest,
        /// Bytes that arrived.
        at: u64,
        /// Bytes that were announced.
        size: u64,
        /// Attempts without progress.
        attempts: u32,
        /// The last failure.
        #[source]
        source: io::Error,
    },
    /// No candidate gave the image.
    #[error("cannot find '{name}' in any of its {} sources:{}", .attempts.len(), List(.attempts))]
    AllFailed {
        /// The name as typed.
        name: String,
        /// Each source with its failure.
        attempts: Vec<(String, Error)>,
    },
    /// A manifest or an index that cannot be used.
    #[error("cannot use the manifest of '{image}': {reason}")]
    Manifest {
        /// The image, or the digest of the manifest.
        image: String,
        /// What is wrong.
        reason: String,
    },
    /// No entry of the index is for this host.
    #[error("'{image}' has nothing for {wanted}\nhelp: it is there for {}", Platforms(.found))]
    NoPlatform {
        /// The image.
        image: String,
        /// This host.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// The image configuration cannot be used.
    #[error("cannot use the configuration '{digest}': {reason}")]
    Config {
        /// The configuration blob.
        digest: Digest,
        /// What is wrong.
        reason: String,
    },
    /// Content and digest differ.
    #[error("{what} has the digest '{got}', expected '{expected}'")]
    WrongDigest {
        /// Manifest, blob or layer.
        what: String,
        /// As announced.
        expected: Digest,
        /// As computed.
        got: Digest,
    },
    /// Content and announced size differ.
    #[error("{what} has {got} bytes, expected {expected}")]
    WrongSize {
        /// Manifest or blob.
        what: String,
        /// As announced.
        expected: u64,
        /// As counted: an exact count, or "more than N".
        got: ByteCount,
    },
    /// The blob has its digest, but does not decompress.
    #[error("cannot decompress layer '{digest}'")]
    Decompress {
        /// The layer's blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Reading a blob failed.
    #[error("cannot read blob '{digest}'")]
    ReadBlob {
        /// The blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layout or an archive that is not one, or lacks what was asked for.
    #[error("cannot use '{path}' as {kind}: {reason}")]
    Layout {
        /// Folder or file.
        path: PathBuf,
        /// "an OCI layout", "a docker archive" …
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A layer that the image does not have.
    #[error("'{image}' has no layer {index}")]
    NoSuchLayer {
        /// The image.
        image: String,
        /// Counted from 0.
        index: usize,
    },
}

impl Error {
    pub(super) fn invalid_digest(image: &str, error: &InvalidDigest) -> Self {
        Self::Manifest {
            image: image.to_owned(),
            reason: error.to_string(),
        }
    }

    /// Wraps the error for an interface that knows only `io::Error`; `get_ref` finds it again.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

/// How many bytes there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteCount {
    /// All were counted.
    Exactly(u64),
    /// Counting stopped at the limit.
    MoreThan(u64),
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::MoreThan(count) => write!(f, "more than {count}"),
        }
    }
}

struct Unauthorized<'a> {
    image: &'a str,
    registry: &'a str,
    had: &'a bool,
}

impl fmt::Display for Unauthorized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            registry,
            had,
        } = self;
        if **had {
            write!(
                f,
                "'{registry}' does not accept the credentials for '{image}'"
            )
        } else {
            write!(
                f,
                "'{registry}' asks for credentials for '{image}', or does not have it\nhelp: `podman login {registry}` stores them; or give --src-creds USER:PASSWORD"
            )
        }
    }
}

struct List<'a>(&'a [(String, Error)]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (source, error) in self.0 {
            write!(
                f,
                "\n  {source}: {}",
                with_causes(error).replace('\n', "\n    ")
            )?;
        }
        Ok(())
    }
}

/// The whole chain on one line, for an error that is told inside another one.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

struct Platforms<'a>(&'a [String]);

impl fmt::Display for Platforms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("no platform")
        } else {
            f.write_str(&self.0.join(", "))
        }
    }
}
