//! Sparse files: where the stored data belongs in the file, in GNU tar's four formats.
//!
//! A reader that passes the map over would store a wrong file under a right name, so holes are
//! written out as zeros (an OSTree object has none).

use std::io::{self, Read};

use super::archive::{BadArchive, Failure};
use super::pax::number;

/// Segments of one file, at most; more are refused as malformed.
pub(super) const SEGMENT_LIMIT: usize = 100_000;

/// The `GNU.sparse.` records of a PAX header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// The file's name; the entry's own is a stand-in.
    pub name: Option<Vec<u8>>,
    size: Option<u64>,
    major: Option<u64>,
    pending: Option<u64>,
    segments: Vec<(u64, u64)>,
    mapped: bool,
}

/// Data segments, in order, not overlapping, all inside `size`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Size of the file with its holes.
    pub size: u64,
    segments: Vec<(u64, u64)>,
}

impl Records {
    /// Takes one record; `None` when it is malformed.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        match name {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"major" => self.major = Some(number(value)?),
            // Format 0.0: one pair of records for each segment.
            b"offset" => self.pending = Some(number(value)?),
            b"numbytes" => self.add(self.pending?, number(value)?)?,
            // Format 0.1: all numbers in one record.
            b"map" => {
                let numbers: Option<Vec<u64>> = value.split(|b| *b == b',').map(number).collect();
                for pair in numbers?.chunks(2) {
                    self.add(pair[0], *pair.get(1)?)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn add(&mut self, offset: u64, length: u64) -> Option<()> {
        self.mapped = true;
        self.segments.push((offset, length));
        (self.segments.len() <= SEGMENT_LIMIT).then_some(())
    }

    /// Whether this is format 1.0, whose map stands before the data.
    pub(super) fn map_in_data(&self) -> bool {
        self.major == Some(1)
    }

    /// The map, where the records speak of a sparse file at all. `stored` is the number of data
    /// bytes; `data` is read from for format 1.0 only.
    pub(super) fn map(
        self,
        stored: &mut u64,
        data: &mut impl Read,
    ) -> Result<Option<Map>, Failure> {
        let Some(size) = self.size.filter(|_| self.mapped || self.map_in_data()) else {
            return Ok(None);
        };
        let segments = if self.map_in_data() {
            read_map(stored, data)?
        } else {
            self.segments
        };
        Ok(Some(
            Map::new(size, segments, *stored).ok_or(BadArchive::Sparse)?,
        ))
    }
}

/// Format 1.0: decimal numbers, each with a line feed: their count, then the pairs; padded to a
/// whole block.
fn read_map(stored: &mut u64, data: &mut impl Read) -> Result<Vec<(u64, u64)>, Failure> {
    let mut block = [0; 512];
    let mut numbers = Vec::new();
    let mut digits = Vec::new();
    let mut wanted = 1;
    while numbers.len() < wanted {
        *stored = stored.checked_sub(512).ok_or(BadArchive::Sparse)?;
        data.read_exact(&mut block)?;
        for byte in block {
            if numbers.len() == wanted {
                break;
            }
            if byte != b'\n' {
                digits.push(byte);
                continue;
            }
            let value = number(&std::mem::take(&mut digits)).ok_or(BadArchive::Sparse)?;
            if numbers.is_empty() {
                let count = usize::try_from(value)
                    .ok()
                    .filter(|count| *count <= SEGMENT_LIMIT);
                wanted = 1 + 2 * count.ok_or(BadArchive::Sparse)?;
            }
            numbers.push(value);
        }
        if digits.len() > 20 {
            return Err(BadArchive::Sparse.into());
        }
    }
    Ok(numbers[1..]
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}

impl Map {
    /// `None` when the segments overlap, leave the file, or are not what is stored.
    pub(super) fn new(size: u64, segments: Vec<(u64, u64)>, stored: u64) -> Option<Self> {
        let mut end = 0u64;
        let mut sum = 0u64;
        for &(offset, length) in &segments {
            if offset < end {
                return None;
            }
            end = offset.checked_add(length)?;
            sum = sum.checked_add(length)?;
        }
        (end <= size && sum == stored).then_some(Self { size, segments })
    }

    /// The file's whole content, its holes read as zeros.
    pub(super) fn expand<R: Read>(self, data: R) -> Expand<R> {
        Expand {
            data,
            segments: self.segments.into_iter(),
            now: (0, 0),
            at: 0,
            size: self.size,
        }
    }
}

/// Reader made by [`Map::expand`].
pub(super) struct Expand<R> {
    data: R,
    segments: std::vec::IntoIter<(u64, u64)>,
    /// Offset and length of the segment that is being read or comes next.
    now: (u64, u64),
    at: u64,
    size: u64,
}

impl<R: Read> Read for Expand<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.now.0 + self.now.1 {
            match self.segments.next() {
                Some(segment) => self.now = segment,
                None => break,
            }
        }
        let end = self.now.0 + self.now.1;
        let in_data = self.at >= self.now.0 && self.at < end;
        let limit = match in_data {
            true => end,
            false if self.at < self.now.0 => self.now.0,
            false => self.size,
        };
        let want = buf
            .len()
            .min(usize::try_from(limit - self.at).unwrap_or(usize::MAX));
        let got = if in_data {
            self.data.read(&mut buf[..want])?
        } else {
            buf[..want].fill(0);
            want
        };
        self.at += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(size: u64, segments: &[(u64, u64)], data: &[u8]) -> Vec<u8> {
        let map = Map::new(size, segments.to_vec(), data.len() as u64).unwrap();
        let mut out = Vec::new();
        map.expand(data).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn holes_are_zeros() {
        assert_eq!(expanded(8, &[(2, 2), (5, 1)], b"abc"), b"\0\0ab\0c\0\0");
        assert_eq!(expanded(3, &[], b""), b"\0\0\0");
        assert_eq!(expanded(3, &[(0, 3)], b"abc"), b"abc");
        assert_eq!(expanded(4, &[(0, 1), (1, 1), (4, 0)], b"ab"), b"ab\0\0");
    }

    #[test]
    fn maps_that_do_not_fit_are_refused() {
        assert_eq!(Map::new(4, vec![(2, 2), (1, 1)], 3), None);
        assert_eq!(Map::new(4, vec![(2, 3)], 3), None);
        assert_eq!(Map::new(4, vec![(0, 1)], 2), None);
        assert_eq!(Map::new(u64::MAX, vec![(u64::MAX, 1)], 1), None);
    }

    fn records(pairs: &[(&str, &str)]) -> Records {
        let mut records = Records::default();
        for (name, value) in pairs {
            records.take(name.as_bytes(), value.as_bytes()).unwrap();
        }
        records
    }

    #[test]
    fn the_three_pax_formats_say_the_same() {
        let wanted = || {
            Some(Map {
                size: 9,
                segments: vec![(1, 2), (5, 1)],
            })
        };
        let v00 = [
            ("size", "9"),
            ("offset", "1"),
            ("numbytes", "2"),
            ("offset", "5"),
            ("numbytes", "1"),
        ];
        let v01 = [("size", "9"), ("map", "1,2,5,1")];
        for pairs in [&v00[..], &v01[..]] {
            let map = records(pairs).map(&mut 3, &mut io::empty()).unwrap();
            assert_eq!(map, wanted());
        }
        let v10 = [("major", "1"), ("minor", "0"), ("realsize", "9")];
        let mut data = b"2\n1\n2\n5\n1\n".to_vec();
        data.resize(512, 0);
        let mut stored = 515;
        let map = records(&v10)
            .map(&mut stored, &mut data.as_slice())
            .unwrap();
        assert_eq!((map, stored), (wanted(), 3));
    }

    #[test]
    fn a_map_without_end_is_refused() {
        let v10 = [("major", "1"), ("realsize", "9")];
        let data = [b'1'; 1024];
        let map = records(&v10).map(&mut 1024, &mut data.as_slice());
        assert!(matches!(map, Err(Failure::Bad(BadArchive::Sparse))));
        assert_eq!(records(&[]).map(&mut 0, &mut io::empty()).unwrap(), None);
    }
}
