//! Names in a layer's tar, made into paths below the image's root, or refused.

/// Components of a path inside an image, at most.
pub(super) const DEPTH_LIMIT: usize = 256;
const NAME_LIMIT: usize = 255;
const PATH_LIMIT: usize = 4096;

/// Marks a file of a lower layer as deleted: image-spec layer.md, "Whiteouts".
pub(super) const WHITEOUT: &str = ".wh.";
/// Hides all that lower layers have in its folder: image-spec layer.md, "Opaque Whiteout".
pub(super) const OPAQUE: &str = ".wh..wh..opq";
/// What AUFS kept for itself under such names means nothing in a layer.
const AUFS: &str = ".wh..wh.";

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No bytes at all.
    #[error("its name is empty")]
    Empty,
    /// A `..` component, which could only lead out of the image.
    #[error("its name has a '..'")]
    DotDot,
    /// A NUL byte.
    #[error("its name has a NUL byte")]
    Nul,
    /// Not UTF-8, the only names that OSTree can hold.
    #[error("its name is not UTF-8")]
    NotUtf8,
    /// A component that no file system takes.
    #[error("a part of its name has more than 255 bytes")]
    LongComponent,
    /// A path that no kernel call takes.
    #[error("its name has more than 4096 bytes")]
    LongPath,
    /// More than 256 components.
    #[error("its name has more than 256 parts")]
    Deep,
    /// A whiteout of nothing, `.` or `..`.
    #[error("it is a whiteout without a name")]
    BareWhiteout,
    /// Something inside a whiteout.
    #[error("a part of its path is a whiteout")]
    InWhiteout,
}

/// What an entry's name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The root of the image.
    Root,
    /// A path without leading `/`, `.`, `..` or empty parts.
    Path(String),
    /// A whiteout, plain or opaque; the path of the whiteout file itself.
    Whiteout(String),
    /// To be passed over.
    Aufs,
}

/// Reads an entry's name: absolute names are taken relative to the image's root.
pub(super) fn parse(raw: &[u8]) -> Result<Name, BadName> {
    let path = normalise(raw)?;
    let Some((folder, last)) = path.rsplit_once('/').or(Some(("", &path))) else {
        return Ok(Name::Root);
    };
    match folder.split('/').find(|part| part.starts_with(WHITEOUT)) {
        Some(part) if part.starts_with(AUFS) => return Ok(Name::Aufs),
        Some(_) => return Err(BadName::InWhiteout),
        None => {}
    }
    match last.strip_prefix(WHITEOUT) {
        _ if path.is_empty() => Ok(Name::Root),
        None => Ok(Name::Path(path)),
        Some("" | "." | "..") => Err(BadName::BareWhiteout),
        Some(_) if last != OPAQUE && last.starts_with(AUFS) => Ok(Name::Aufs),
        Some(_) => Ok(Name::Whiteout(path)),
    }
}

/// The path alone, whiteouts not looked at; empty for the root.
pub(super) fn normalise(raw: &[u8]) -> Result<String, BadName> {
    if raw.is_empty() {
        return Err(BadName::Empty);
    }
    if raw.contains(&0) {
        return Err(BadName::Nul);
    }
    if raw.len() > PATH_LIMIT {
        return Err(BadName::LongPath);
    }
    let text = std::str::from_utf8(raw).map_err(|_| BadName::NotUtf8)?;
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err(BadName::DotDot);
    }
    if parts.iter().any(|part| part.len() > NAME_LIMIT) {
        return Err(BadName::LongComponent);
    }
    if parts.len() > DEPTH_LIMIT {
        return Err(BadName::Deep);
    }
    Ok(parts.join("/"))
}

/// Bytes of an image as they may stand in a message: printable, and not too long.
pub(super) fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names() {
        let path = |text: &str| Name::Path(text.to_owned());
        let whiteout = |text: &str| Name::Whiteout(text.to_owned());
        let table = [
            ("./", Name::Root),
            ("/", Name::Root),
            (".", Name::Root),
            ("etc/passwd", path("etc/passwd")),
            ("./etc//./passwd", path("etc/passwd")),
            ("/tmp/p", path("tmp/p")),
            ("etc/", path("etc")),
            ("a..b/..c", path("a..b/..c")),
            ("etc/.wh.x", whiteout("etc/.wh.x")),
            ("etc/.wh..wh..opq", whiteout("etc/.wh..wh..opq")),
            (".wh....", whiteout(".wh....")),
            ("etc/.wh..wh.plnk", Name::Aufs),
            (".wh..wh.plnk/1.2", Name::Aufs),
        ];
        for (raw, name) in table {
            assert_eq!(parse(raw.as_bytes()), Ok(name), "{raw}");
        }
    }

    #[test]
    fn refused_names() {
        let long = format!("a/{}", "x".repeat(256));
        let longer = "x/".repeat(2500);
        let deep = "x/".repeat(257);
        let table: [(&[u8], BadName); 13] = [
            (b"", BadName::Empty),
            (b"..", BadName::DotDot),
            (b"../../tmp/p", BadName::DotDot),
            (b"a/../b", BadName::DotDot),
            (b"a\0b", BadName::Nul),
            (b"a\xffb", BadName::NotUtf8),
            (long.as_bytes(), BadName::LongComponent),
            (longer.as_bytes(), BadName::LongPath),
            (deep.as_bytes(), BadName::Deep),
            (b"a/.wh.", BadName::BareWhiteout),
            (b"a/.wh..", BadName::BareWhiteout),
            (b".wh...", BadName::BareWhiteout),
            (b"a/.wh.x/y", BadName::InWhiteout),
        ];
        for (raw, problem) in table {
            assert_eq!(parse(raw), Err(problem), "{}", shown(raw));
        }
    }
}
