//! Extended header records (POSIX.1-2024 pax, "pax Extended Header").
//!
//! Read here rather than by the `tar` crate (0.4.46), which splits the records at line feeds: a
//! file capability is binary, and any value with a 0x0a in it would make the layer unreadable.

use super::sparse;

/// What the records of one entry say, as far as it matters here. Times are not kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Names without `SCHILY.xattr.`, all of them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: sparse::Records,
}

/// Reads the data of an `x` header; `None` when it is malformed.
pub(super) fn parse(mut data: &[u8]) -> Option<Pax> {
    let mut pax = Pax::default();
    while !data.is_empty() {
        let (record, rest) = split_record(data)?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        pax.take(&record[..equals], &record[equals + 1..])?;
        data = rest;
    }
    Some(pax)
}

/// `LENGTH KEY=VALUE\n`, where the length counts the whole record.
fn split_record(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&data[..space])?).ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, &data[length..]))
}

impl Pax {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            // An empty value takes back what an earlier record said.
            b"path" | b"linkpath" if value.is_empty() => {}
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(name, value)?;
                }
            }
        }
        Some(())
    }
}

/// A decimal number without sign.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let length = (1..)
            .map(|digits| body + digits)
            .find(|l| l.to_string().len() + body == *l);
        let mut out = format!("{} {key}=", length.unwrap()).into_bytes();
        out.extend_from_slice(value);
        out.push(b'\n');
        out
    }

    #[test]
    fn values_may_hold_any_byte() {
        let mut data = record("SCHILY.xattr.security.capability", b"\x01\n\0=\n");
        data.extend(record("path", b"a/b"));
        data.extend(record("uid", b"3000000000"));
        data.extend(record("mtime", b"-1.5"));
        data.extend(record("comment", b""));
        let pax = parse(&data).unwrap();
        assert_eq!(
            pax.xattrs,
            [(b"security.capability".to_vec(), b"\x01\n\0=\n".to_vec())]
        );
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.uid, Some(3_000_000_000));
    }

    #[test]
    fn malformed_records_are_refused() {
        let table: [&[u8]; 9] = [
            b"x",
            b"4 a=\n",
            b"99 a=b\n",
            b"0 a=b\n",
            b"2 a=b\n",
            b"6 a=bc",
            b"6 abc\n",
            b"10 uid=-1\n",
            b"99999999999999999999999 a=b\n",
        ];
        for data in table {
            assert_eq!(parse(data), None, "{}", String::from_utf8_lossy(data));
        }
        assert_eq!(parse(b""), Some(Pax::default()));
    }
}
