//! Which entry of an image index is for a host (image-spec image-index.md, GOARCH names).

use std::fmt;

/// Operating system and processor, in Go's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64` …
    pub architecture: String,
    /// `v7`, `v8` …
    pub variant: Option<String>,
}

impl Platform {
    /// What sysc was built for.
    pub fn of_this_host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// The variants that run here, the best first; none is what an entry without one has.
    pub(super) fn variants(&self) -> Vec<Option<&str>> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("amd64", None) => vec![None, Some("v1")],
            ("arm64", Some("v8") | None) => vec![Some("v8"), None],
            ("arm", Some("v7")) => vec![Some("v7"), Some("v6"), Some("v5"), None],
            ("arm", Some("v6")) => vec![Some("v6"), Some("v5"), None],
            (_, Some(variant)) => vec![Some(variant), None],
            (_, None) => vec![None],
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}
