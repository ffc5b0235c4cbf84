//! The four kinds of OSTree objects as bytes, and their checksums.
//!
//! libostree hashes with GLib at 130 MB/s; `sha2` uses the processor's SHA instructions. So we
//! make the checksums, by these serialisations (ostree(5) "Core repository metadata"; numbers
//! are big-endian), and hand libostree both.

use ostree::glib::{Variant, VariantTy};
use ostree::prelude::*;
use sha2::{Digest as _, Sha256};

use super::tree::Meta;
use crate::image::Digest;

/// A serialised metadata object and its name.
pub(super) struct Encoded {
    /// 64 hexadecimal digits.
    pub checksum: String,
    /// What is stored.
    pub variant: Variant,
}

impl Encoded {
    fn new(variant: Variant) -> Self {
        Self {
            checksum: Digest::of(variant.data()).hex().to_owned(),
            variant,
        }
    }
}

/// What stands before the content of a `.file` object in its stream, and is hashed with it.
pub(super) fn file_header(meta: &Meta, target: &str) -> Vec<u8> {
    let fields = [
        meta.uid.to_be().to_variant(),
        meta.gid.to_be().to_variant(),
        meta.mode.to_be().to_variant(),
        0u32.to_variant(),
        target.to_variant(),
        xattrs(meta),
    ];
    let header = Variant::tuple_from_iter(fields);
    let data = header.data();
    let mut framed = Vec::with_capacity(8 + data.len());
    // A header is bounded by the tar reader's limits (1 MiB), far below u32::MAX.
    framed.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&[0; 4]);
    framed.extend_from_slice(data);
    framed
}

/// A folder's owner, mode and xattrs.
pub(super) fn dirmeta(meta: &Meta) -> Encoded {
    let fields = [
        meta.uid.to_be().to_variant(),
        meta.gid.to_be().to_variant(),
        meta.mode.to_be().to_variant(),
        xattrs(meta),
    ];
    Encoded::new(Variant::tuple_from_iter(fields))
}

/// A folder's entries; both lists must be in the order of their bytes.
pub(super) fn dirtree(files: Vec<(&str, String)>, dirs: Vec<(&str, String, String)>) -> Encoded {
    let files = files
        .into_iter()
        .map(|(name, sum)| Variant::tuple_from_iter([name.to_variant(), checksum(&sum)]));
    let dirs = dirs.into_iter().map(|(name, tree, meta)| {
        Variant::tuple_from_iter([name.to_variant(), checksum(&tree), checksum(&meta)])
    });
    Encoded::new(Variant::tuple_from_iter([
        Variant::array_from_iter_with_type(ty("(say)"), files),
        Variant::array_from_iter_with_type(ty("(sayay)"), dirs),
    ]))
}

/// A commit without parent or text. `time` is in seconds since 1970.
pub(super) fn commit(metadata: Variant, root: (&str, &str), time: u64) -> Encoded {
    Encoded::new(Variant::tuple_from_iter([
        metadata,
        bytes(&[]),
        Variant::array_from_iter_with_type(ty("(say)"), std::iter::empty::<Variant>()),
        "".to_variant(),
        "".to_variant(),
        time.to_be().to_variant(),
        checksum(root.0),
        checksum(root.1),
    ]))
}

/// The name of a content object whose framed header and content are `stream`.
pub(super) fn content_checksum(stream: &[u8]) -> String {
    Digest::finish(Sha256::new_with_prefix(stream))
        .hex()
        .to_owned()
}

/// Hexadecimal digits as the bytes that objects hold.
pub(super) fn checksum(hex: &str) -> Variant {
    let digit = |b: u8| {
        if b.is_ascii_digit() {
            b - b'0'
        } else {
            (b | 0x20) - b'a' + 10
        }
    };
    let raw: Vec<u8> = hex
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| (digit(pair[0]) << 4) | (digit(pair[1]) & 15))
        .collect();
    bytes(&raw)
}

/// The reverse of [`checksum`]; `None` unless there are 32 bytes.
pub(super) fn hex(variant: &Variant) -> Option<String> {
    use std::fmt::Write as _;
    let raw = variant
        .fixed_array::<u8>()
        .ok()
        .filter(|raw| raw.len() == 32)?;
    Some(raw.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// `a(ayay)`; names end in NUL, as libostree reads them from the kernel.
fn xattrs(meta: &Meta) -> Variant {
    let pairs = meta.xattrs.iter().map(|(name, value)| {
        let mut name = name.clone();
        name.push(0);
        Variant::tuple_from_iter([bytes(&name), bytes(value)])
    });
    Variant::array_from_iter_with_type(ty("(ayay)"), pairs)
}

fn bytes(data: &[u8]) -> Variant {
    Variant::array_from_fixed_array(data)
}

/// Type strings written in this file.
fn ty(text: &'static str) -> &'static VariantTy {
    VariantTy::new(text).unwrap_or(VariantTy::ANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(mode: u32) -> Meta {
        Meta {
            uid: 0,
            gid: 0,
            mode,
            xattrs: Vec::new(),
        }
    }

    /// Pins the serialisation against what the stock tool writes
    /// (`ostree commit --owner-uid=0 --owner-gid=0` of a folder 0755).
    #[test]
    fn a_plain_folder_has_the_checksum_that_ostree_gives_it() {
        assert_eq!(
            dirmeta(&meta(0o040755)).checksum,
            "446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488"
        );
        assert_eq!(
            dirtree(Vec::new(), Vec::new()).checksum,
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn checksums_survive_the_way_through_bytes() {
        let sum = "446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488";
        assert_eq!(hex(&checksum(sum)).as_deref(), Some(sum));
        assert_eq!(hex(&checksum("44")), None);
    }
}
