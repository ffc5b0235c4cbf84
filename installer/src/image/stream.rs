//! A layer's tar as it comes out of its blob, verified on the way.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::error::ByteCount;
use super::transport::Blob;
use super::{Compression, Digest, Error, Layer};

/// The uncompressed tar of a layer.
///
/// The end (`Ok(0)`) comes only when the whole blob had the size and digest of its descriptor and
/// the tar its diff id; anything else is an `io::Error` that holds an [`Error`]. So a reader must
/// read to the end, past the tar's own end, before it believes anything.
pub struct LayerStream {
    decoder: Decoder,
    layer: Layer,
    /// Of an uncompressed layer the blob's digest is the tar's.
    tar: Option<Sha256>,
    state: State,
}

/// A stream that failed never ends well, however often it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    Verified,
    Failed,
}

enum Decoder {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<Counted>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Counted>>>),
}

/// The blob, counted and hashed.
struct Counted {
    blob: Blob,
    on_bytes: Box<dyn FnMut(u64) + Send>,
    hasher: Sha256,
    count: u64,
    layer: Layer,
}

impl LayerStream {
    pub(super) fn new(
        blob: Blob,
        layer: &Layer,
        on_bytes: Box<dyn FnMut(u64) + Send>,
    ) -> Result<Self, Error> {
        let counted = Counted {
            blob,
            on_bytes,
            hasher: Sha256::new(),
            count: 0,
            layer: layer.clone(),
        };
        let decoder = match layer.compression {
            Compression::None => Decoder::Plain(counted),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(counted))),
            Compression::Zstd => {
                let decoder = zstd::Decoder::new(counted);
                let failed = |source| Error::Decompress {
                    digest: layer.digest.clone(),
                    source,
                };
                Decoder::Zstd(Box::new(decoder.map_err(failed)?))
            }
        };
        let tar = (layer.compression != Compression::None).then(Sha256::new);
        Ok(Self {
            decoder,
            layer: layer.clone(),
            tar,
            state: State::Flowing,
        })
    }

    /// The tar has ended: what is left of the blob is read, then everything compared.
    fn verify(&mut self) -> io::Result<()> {
        self.decoder.counted().verify()?;
        if let Some(tar) = self.tar.take() {
            let got = Digest::finish(tar);
            if got != self.layer.diff_id {
                return Err(Error::WrongDigest {
                    what: format!("layer '{}', uncompressed,", self.layer.digest),
                    expected: self.layer.diff_id.clone(),
                    got,
                }
                .into_io());
            }
        }
        Ok(())
    }

    /// The next bytes of the tar; 0 once all is verified.
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.decoder.read(buffer) {
                Ok(0) => return self.verify().map(|()| 0),
                Ok(count) => {
                    if let Some(tar) = &mut self.tar {
                        tar.update(&buffer[..count]);
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.undecodable(error)),
            }
        }
    }

    /// A damaged blob rarely decompresses: then its digest is the thing to tell.
    fn undecodable(&mut self, source: io::Error) -> io::Error {
        if is_ours(&source) {
            return source;
        }
        match self.decoder.counted().verify() {
            Err(error) => error,
            Ok(()) => Error::Decompress {
                digest: self.layer.digest.clone(),
                source,
            }
            .into_io(),
        }
    }
}

impl Read for LayerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.state {
            State::Failed => {
                let source = io::Error::other("an earlier failure");
                return Err(read_error(&self.layer.digest, source));
            }
            State::Flowing if !buffer.is_empty() => {}
            State::Flowing | State::Verified => return Ok(0),
        }
        let result = self.advance(buffer);
        match result {
            Ok(0) => self.state = State::Verified,
            Ok(_) => {}
            Err(_) => self.state = State::Failed,
        }
        result
    }
}

impl Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }

    fn counted(&mut self) -> &mut Counted {
        match self {
            Self::Plain(reader) => reader,
            Self::Gzip(reader) => reader.get_mut(),
            Self::Zstd(reader) => reader.get_mut().get_mut(),
        }
    }
}

impl Counted {
    fn verify(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        let (digest, expected) = (&self.layer.digest, self.layer.size);
        let what = || format!("layer '{digest}'");
        if self.count != expected {
            let got = ByteCount::Exactly(self.count);
            return Err(Error::WrongSize {
                what: what(),
                expected,
                got,
            }
            .into_io());
        }
        let got = Digest::finish(self.hasher.clone());
        if got != *digest {
            let expected = digest.clone();
            return Err(Error::WrongDigest {
                what: what(),
                expected,
                got,
            }
            .into_io());
        }
        Ok(())
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self
            .blob
            .read(buffer)
            .map_err(|source| read_error(&self.layer.digest, source))?;
        self.count += count as u64;
        if self.count > self.layer.size {
            return Err(Error::WrongSize {
                what: format!("layer '{}'", self.layer.digest),
                expected: self.layer.size,
                got: ByteCount::MoreThan(self.layer.size),
            }
            .into_io());
        }
        self.hasher.update(&buffer[..count]);
        (self.on_bytes)(count as u64);
        Ok(count)
    }
}

fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Error>())
}

/// Whatever a transport fails with, as an [`Error`]; an interruption stays one.
fn read_error(digest: &Digest, source: io::Error) -> io::Error {
    if is_ours(&source) || source.kind() == io::ErrorKind::Interrupted {
        return source;
    }
    let digest = digest.clone();
    Error::ReadBlob { digest, source }.into_io()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn layer(blob: &[u8], tar: &[u8], compression: Compression) -> Layer {
        let (digest, diff_id) = (Digest::of(blob), Digest::of(tar));
        Layer {
            digest,
            diff_id,
            size: blob.len() as u64,
            compression,
        }
    }

    fn read(blob: &[u8], layer: &Layer) -> Result<Vec<u8>, String> {
        let blob = Box::new(io::Cursor::new(blob.to_vec()));
        let mut stream = LayerStream::new(blob, layer, Box::new(|_| {})).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| {
            assert!(
                error.get_ref().is_some_and(|inner| inner.is::<Error>()),
                "{error:?}"
            );
            error.to_string()
        })?;
        Ok(bytes)
    }

    #[test]
    fn every_compression_gives_the_tar() {
        let tar: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let zstd = zstd::encode_all(&tar[..], 1).unwrap();
        let two_members = [gzip(&tar[..1000]), gzip(&tar[1000..])].concat();
        for (blob, compression) in [
            (tar.clone(), Compression::None),
            (gzip(&tar), Compression::Gzip),
            (two_members, Compression::Gzip),
            (zstd, Compression::Zstd),
        ] {
            assert_eq!(read(&blob, &layer(&blob, &tar, compression)).unwrap(), tar);
        }
    }

    #[test]
    fn p06_nothing_that_differs_comes_to_its_end() {
        let tar = vec![7; 100_000];
        let blob = gzip(&tar);
        let good = layer(&blob, &tar, Compression::Gzip);
        let mut changed = blob.clone();
        changed[blob.len() / 2] ^= 1;
        let longer = [&blob[..], b"x"].concat();
        let cut = &blob[..blob.len() - 5];
        let other_size = Layer {
            size: good.size + 1,
            ..good.clone()
        };
        let other_id = Layer {
            diff_id: Digest::of(b""),
            ..good.clone()
        };
        let truncated = layer(cut, &tar, Compression::Gzip);
        for (blob, layer, reason) in [
            (&changed[..], &good, "digest"),
            (&longer, &good, "more than"),
            (cut, &good, "bytes, expected"),
            (&blob, &other_size, "bytes, expected"),
            (&blob, &other_id, "uncompressed"),
            (cut, &truncated, "decompress"),
        ] {
            let error = read(blob, layer).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn a_failed_stream_stays_failed() {
        let tar = vec![7; 1000];
        let blob = gzip(&tar);
        let mut layer = layer(&blob, &tar, Compression::Gzip);
        layer.diff_id = Digest::of(b"");
        let mut stream =
            LayerStream::new(Box::new(io::Cursor::new(blob)), &layer, Box::new(|_| {})).unwrap();
        let mut sink = [0; 4096];
        assert_eq!(stream.read(&mut sink).unwrap(), 1000);
        for _ in 0..3 {
            stream.read(&mut sink).unwrap_err();
        }
    }

    /// zstd:chunked puts skippable frames behind the tar's.
    #[test]
    fn p10_skippable_frames_are_passed_over() {
        let tar = vec![7; 1000];
        let mut blob = zstd::encode_all(&tar[..], 1).unwrap();
        blob.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        assert_eq!(
            read(&blob, &layer(&blob, &tar, Compression::Zstd)).unwrap(),
            tar
        );
    }

    #[test]
    fn p06_a_bomb_is_given_out_as_slowly_as_it_is_read() {
        let zeros = io::repeat(0).take(1 << 30);
        let mut blob = Vec::new();
        zstd::stream::copy_encode(zeros, &mut blob, 1).unwrap();
        let layer = layer(&blob, b"", Compression::Zstd);
        let mut stream =
            LayerStream::new(Box::new(io::Cursor::new(blob)), &layer, Box::new(|_| {})).unwrap();
        let mut some = vec![1; 1 << 20];
        stream.read_exact(&mut some).unwrap();
        assert!(some.iter().all(|byte| *byte == 0));
    }
}
