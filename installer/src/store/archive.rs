//! Walks through a tar stream: one entry at a time, never backwards, in bounded memory.
//!
//! Header fields are the `tar` crate's to find; the walk is ours, since that crate (0.4.46)
//! reads extended headers of any size into memory, takes line feeds in their values for ends,
//! and knows no sparse files of PAX. Formats: v7, ustar, GNU, PAX (POSIX.1-2024 pax).

use std::io::{self, Read};

use super::pax::{self, Pax};
use super::sparse::Map;

/// Extended headers and long names, at most. The kernel's own limit for one xattr is 64 KiB.
const EXTENSION_LIMIT: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// Why a stream is no archive.
#[derive(Debug, thiserror::Error)]
pub enum BadArchive {
    /// It ends inside an entry.
    #[error("it ends too early")]
    Ends,
    /// A header's sum does not fit its bytes.
    #[error("a header is damaged")]
    Header,
    /// A number in a header is not one.
    #[error("a header has a malformed {0}")]
    Number(&'static str),
    /// Extended records that are not in pax's form.
    #[error("an extended header is malformed")]
    Pax,
    /// Extended records or a long name of more than 1 MiB.
    #[error("an extended header is larger than 1 MiB")]
    LargeExtension,
    /// An extended header that is followed by nothing.
    #[error("an extended header is followed by no entry")]
    Dangling,
    /// A sparse file's map does not fit the file.
    #[error("a sparse file's map is malformed")]
    Sparse,
}

/// A failure of the walk.
#[derive(Debug)]
pub(super) enum Failure {
    /// The stream itself failed.
    Read(io::Error),
    /// The archive is not one.
    Bad(BadArchive),
}

impl From<BadArchive> for Failure {
    fn from(problem: BadArchive) -> Self {
        Self::Bad(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof if source.get_ref().is_none() => {
                Self::Bad(BadArchive::Ends)
            }
            _ => Self::Read(source),
        }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Dir,
    Symlink,
    /// A further name of another entry's file.
    Link,
    /// A device or FIFO.
    Special,
    Unknown(char),
}

/// One entry, its extended headers applied.
#[derive(Debug)]
pub(super) struct Entry {
    pub path: Vec<u8>,
    /// Target of a symbolic or hard link.
    pub link: Vec<u8>,
    pub kind: Kind,
    pub uid: u64,
    pub gid: u64,
    pub mode: u32,
    /// Size of the content, holes included.
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: Option<Map>,
}

impl Entry {
    /// Whether the stream holds less than the content.
    pub(super) fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }
}

/// The walk.
pub(super) struct Archive<'a> {
    stream: &'a mut dyn Read,
    /// Bytes of the current entry that have not been read, without the padding.
    left: u64,
    padding: u64,
    read: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn new(stream: &'a mut dyn Read) -> Self {
        Self {
            stream,
            left: 0,
            padding: 0,
            read: 0,
        }
    }

    /// The next entry; `None` at the archive's end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let mut pax = None;
        let mut path = None;
        let mut link = None;
        loop {
            let Some(header) = self.header()? else {
                let dangling = pax.is_some() || path.is_some() || link.is_some();
                return if dangling {
                    Err(BadArchive::Dangling.into())
                } else {
                    Ok(None)
                };
            };
            let extension = header.as_old().linkflag[0];
            match extension {
                b'x' => pax = Some(pax::parse(&self.extension()?).ok_or(BadArchive::Pax)?),
                b'L' => path = Some(without_nul(self.extension()?)),
                b'K' => link = Some(without_nul(self.extension()?)),
                // Global records hold comments in practice; none of ours is global.
                b'g' => drop(self.extension()?),
                _ => {
                    let mut pax = pax.unwrap_or_default();
                    pax.path = pax.path.or(path);
                    pax.link = pax.link.or(link);
                    return self.entry(&header, pax).map(Some);
                }
            }
        }
    }

    /// The content of the entry that [`Self::next`] returned last: `size` bytes or an error.
    pub(super) fn content(&mut self, entry: &mut Entry) -> Box<dyn Read + '_> {
        match entry.sparse.take() {
            Some(map) => Box::new(map.expand(Data(self))),
            None => Box::new(Data(self)),
        }
    }

    /// Reads the stream to its end, where it tells whether it verifies, and returns the number of
    /// bytes that it had.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let rest = io::copy(&mut self.stream, &mut io::sink())?;
        Ok(self.read + rest)
    }

    fn header(&mut self) -> Result<Option<tar::Header>, Failure> {
        self.skip()?;
        let mut header = tar::Header::new_old();
        let block = header.as_mut_bytes();
        // Many writers leave the two final blocks out; the stream's digest covers a cut.
        if !self.fill(block)? || block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|b| u64::from(*b))
            .sum::<u64>();
        if field(&block[148..156], "checksum").ok() != Some(sum + 8 * 32) {
            return Err(BadArchive::Header.into());
        }
        self.expect(field(&header.as_old().size, "size")?);
        Ok(Some(header))
    }

    fn entry(&mut self, header: &tar::Header, mut pax: Pax) -> Result<Entry, Failure> {
        let old = header.as_old();
        let kind = kind(old.linkflag[0]);
        match kind {
            Kind::File | Kind::Unknown(_) => self.expect(pax.size.unwrap_or(self.left)),
            // Whatever size some writers give links and folders, no data follows.
            Kind::Dir | Kind::Symlink | Kind::Link | Kind::Special => self.expect(0),
        }
        let name = pax.sparse.name.take().or(pax.path);
        let sparse = match old.linkflag[0] {
            b'S' => Some(self.gnu_map(header)?),
            _ => pax.sparse.map(&mut self.left.clone(), &mut Data(self))?,
        };
        let path = name.unwrap_or_else(|| header.path_bytes().into_owned());
        // In v7 archives a folder is a file whose name ends in a slash.
        let folder = kind == Kind::File && path.ends_with(b"/");
        let link = pax
            .link
            .or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        Ok(Entry {
            path,
            link: link.unwrap_or_default(),
            kind: if folder { Kind::Dir } else { kind },
            uid: pax.uid.map_or_else(|| field(&old.uid, "uid"), Ok)?,
            gid: pax.gid.map_or_else(|| field(&old.gid, "gid"), Ok)?,
            mode: (field(&old.mode, "mode")? & 0o7777) as u32,
            size: sparse.as_ref().map_or(self.left, |map| map.size),
            xattrs: pax.xattrs,
            sparse,
        })
    }

    /// GNU's own sparse entries: the map is in the header and in blocks behind it.
    fn gnu_map(&mut self, header: &tar::Header) -> Result<Map, Failure> {
        let gnu = header.as_gnu().ok_or(BadArchive::Sparse)?;
        let mut segments = Vec::new();
        take_segments(&gnu.sparse, &mut segments)?;
        let mut more = gnu.isextended[0];
        while more != 0 {
            let mut block = tar::GnuExtSparseHeader::new();
            self.stream.read_exact(block.as_mut_bytes())?;
            self.read += BLOCK;
            take_segments(&block.sparse, &mut segments)?;
            more = block.isextended[0];
        }
        let size = field(&gnu.realsize, "size")?;
        Ok(Map::new(size, segments, self.left).ok_or(BadArchive::Sparse)?)
    }

    fn extension(&mut self) -> Result<Vec<u8>, Failure> {
        if self.left > EXTENSION_LIMIT {
            return Err(BadArchive::LargeExtension.into());
        }
        let mut data = Vec::new();
        Data(self).read_to_end(&mut data)?;
        Ok(data)
    }

    /// Sets how much data follows the header that was just read.
    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    /// Passes over what was not read of the current entry.
    fn skip(&mut self) -> Result<(), Failure> {
        io::copy(&mut Data(self), &mut io::sink())?;
        let mut padding = [0; BLOCK as usize];
        let length = std::mem::take(&mut self.padding) as usize;
        self.stream.read_exact(&mut padding[..length])?;
        self.read += length as u64;
        Ok(())
    }

    /// Fills a block; `false` when the stream had ended before it.
    fn fill(&mut self, block: &mut [u8]) -> Result<bool, Failure> {
        let mut filled = 0;
        while filled < block.len() {
            match self.stream.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(BadArchive::Ends.into()),
                got => filled += got,
            }
        }
        self.read += BLOCK;
        Ok(true)
    }
}

/// The stored bytes of the current entry. Unlike `Take`, it fails when the stream ends early.
struct Data<'w, 'a>(&'w mut Archive<'a>);

impl Read for Data<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = buf
            .len()
            .min(usize::try_from(self.0.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let got = self.0.stream.read(&mut buf[..want])?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.left -= got as u64;
        self.0.read += got as u64;
        Ok(got)
    }
}

fn kind(flag: u8) -> Kind {
    match flag {
        // '7' is a contiguous file, for which POSIX allows an ordinary one; 'S' is GNU's sparse.
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::Link,
        b'2' => Kind::Symlink,
        b'3' | b'4' | b'6' => Kind::Special,
        b'5' => Kind::Dir,
        other => Kind::Unknown(char::from(other).escape_default().next().unwrap_or('?')),
    }
}

fn take_segments(
    headers: &[tar::GnuSparseHeader],
    segments: &mut Vec<(u64, u64)>,
) -> Result<(), Failure> {
    for header in headers.iter().filter(|header| !header.is_empty()) {
        segments.push((
            field(&header.offset, "offset")?,
            field(&header.numbytes, "size")?,
        ));
    }
    if segments.len() > super::sparse::SEGMENT_LIMIT {
        return Err(BadArchive::Sparse.into());
    }
    Ok(())
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// A number in a header: octal text, or base 256 when the first bit is set (GNU). An empty field
/// is 0.
fn field(bytes: &[u8], what: &'static str) -> Result<u64, BadArchive> {
    let bad = BadArchive::Number(what);
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(0);
    };
    if first & 0x80 != 0 {
        // The second bit is the sign; no field that we read may be negative.
        let start = if first & 0x40 == 0 {
            u64::from(first & 0x3f)
        } else {
            return Err(bad);
        };
        let value = rest.iter().try_fold(start, |value, byte| {
            value.checked_mul(256).map(|value| value | u64::from(*byte))
        });
        return value.ok_or(bad);
    }
    let text = bytes
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .trim_ascii();
    match std::str::from_utf8(text) {
        Ok("") => Ok(0),
        Ok(text) => u64::from_str_radix(text, 8).map_err(|_| bad),
        Err(_) => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All entries, with their content.
    fn walk(mut bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Failure> {
        let mut archive = Archive::new(&mut bytes);
        let mut found = Vec::new();
        while let Some(mut entry) = archive.next()? {
            let mut content = Vec::new();
            archive.content(&mut entry).read_to_end(&mut content)?;
            found.push((entry, content));
        }
        archive.finish()?;
        Ok(found)
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o104755);
        header.set_uid(3_000_000_000);
        builder.append_data(&mut header, name, content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn long_names_big_owners_and_modes() {
        let name = format!("{}/{}", "d".repeat(120), "f".repeat(120));
        let found = walk(&file(&name, b"hello")).unwrap();
        let (entry, content) = &found[0];
        assert_eq!(
            (entry.path.as_slice(), content.as_slice()),
            (name.as_bytes(), &b"hello"[..])
        );
        assert_eq!(
            (entry.uid, entry.mode, entry.size),
            (3_000_000_000, 0o4755, 5)
        );
    }

    #[test]
    fn an_archive_cut_anywhere_inside_an_entry_is_an_error() {
        let whole = file("a", &[7; 700]);
        for cut in [100, 511, 513, 1000, 1211, 1212, 1500] {
            let result = walk(&whole[..cut]);
            assert!(
                matches!(result, Err(Failure::Bad(BadArchive::Ends))),
                "{cut}: {result:?}"
            );
        }
        assert_eq!(
            walk(&whole[..1536]).unwrap().len(),
            1,
            "final blocks may be missing"
        );
        assert!(walk(b"").unwrap().is_empty());
        assert!(walk(&[0; 1024]).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_header_is_an_error() {
        let mut bytes = file("a", b"");
        bytes[0] = b'b';
        assert!(matches!(
            walk(&bytes),
            Err(Failure::Bad(BadArchive::Header))
        ));
    }

    #[test]
    fn a_large_extended_header_is_refused_unread() {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(1 << 40);
        header.set_cksum();
        let result = walk(header.as_bytes());
        assert!(matches!(
            result,
            Err(Failure::Bad(BadArchive::LargeExtension))
        ));
    }

    #[test]
    fn an_extended_header_alone_is_refused() {
        let mut builder = tar::Builder::new(Vec::new());
        builder
            .append_pax_extensions([("path", &b"x"[..])])
            .unwrap();
        let result = walk(&builder.into_inner().unwrap());
        assert!(matches!(result, Err(Failure::Bad(BadArchive::Dangling))));
    }

    #[test]
    fn the_size_of_the_extended_header_wins() {
        let mut builder = tar::Builder::new(Vec::new());
        builder
            .append_pax_extensions([("size", &b"600"[..])])
            .unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("big").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(1024);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[1; 1024]);
        bytes.extend(file("next", b""));
        let found = walk(&bytes).unwrap();
        assert_eq!(found[0].1, [1; 600]);
        assert_eq!(found[1].0.path, b"next");
    }

    #[test]
    fn gnu_sparse_entries_are_expanded() {
        let mut header = tar::Header::new_gnu();
        header.set_path("sparse").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(3);
        {
            let gnu = header.as_gnu_mut().unwrap();
            gnu.realsize[..11].copy_from_slice(b"00000001000");
            gnu.sparse[0].offset[..11].copy_from_slice(b"00000000002");
            gnu.sparse[0].numbytes[..11].copy_from_slice(b"00000000003");
        }
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(b"abc");
        bytes.resize(1024, 0);
        let (entry, content) = &walk(&bytes).unwrap()[0];
        let mut wanted = vec![0; 512];
        wanted[2..5].copy_from_slice(b"abc");
        assert_eq!((entry.size, content), (512, &wanted));
    }

    #[test]
    fn numbers_in_headers() {
        let table: [(&[u8], Option<u64>); 8] = [
            (b"0000755\0", Some(0o755)),
            (b"   755 \0", Some(0o755)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"\x80\0\0\0\xb2\xd0^\0", Some(3_000_000_000)),
            (b"\xff\xff\xff\xff", None),
            (b"12x", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ];
        for (bytes, number) in table {
            assert_eq!(field(bytes, "size").ok(), number, "{bytes:?}");
        }
    }
}
