//! The bytes of a blob: begun again where they broke off.

use std::io::{self, Read};
use std::sync::Arc;
use std::thread;

use super::http::{Answer, Request, is_passing, is_passing_io};
use super::{Blob, Shared};
use crate::image::{ByteCount, Digest, Error};

/// Reads a blob; a connection that breaks or stalls is made again, with `Range`, a bounded number
/// of times in a row. The bytes are not verified here, but all of them are by the stream above.
pub(super) struct Reader {
    shared: Arc<Shared>,
    digest: Digest,
    size: u64,
    /// Bytes that were given on.
    at: u64,
    body: Blob,
    /// Failures in a row, and where the first of them was.
    failures: u32,
    failed_at: u64,
}

/// What makes a failure the first in a row again: fewer bytes at a time would let a server hold
/// the pull for ever.
const PROGRESS: u64 = 256 << 10;

impl Reader {
    pub(super) fn open(shared: Arc<Shared>, digest: &Digest, size: u64) -> Result<Self, Error> {
        let mut reader = Self {
            shared,
            digest: digest.clone(),
            size,
            at: 0,
            body: Box::new(io::empty()),
            failures: 0,
            failed_at: 0,
        };
        loop {
            match reader.request() {
                Err(error) if is_passing(&error) => reader.failed(error.into_io())?,
                other => return other.map(|()| reader),
            }
        }
    }

    /// Asks for what is missing.
    fn request(&mut self) -> Result<(), Error> {
        let request = Request {
            from: self.at,
            ..Request::default()
        };
        let answer = self
            .shared
            .get(&format!("blobs/{}", self.digest), &request)?;
        self.shared.expect_ok(&answer, &self.digest.to_string())?;
        let (skip, whole) = match answer.status() {
            206 => (0, check_range(&answer, self.at)?),
            // The server does not know ranges, so it begins at the beginning.
            _ => (self.at, answer.response.body().content_length()),
        };
        self.check_size(whole)?;
        let mut body: Blob = Box::new(answer.response.into_body().into_reader());
        let skipped = io::copy(&mut body.by_ref().take(skip), &mut io::sink());
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let missing = skipped.and_then(|count| if count == skip { Ok(()) } else { Err(cut()) });
        missing.map_err(|error| Error::Connect {
            url: format!("blob '{}'", self.digest),
            source: Box::new(error.into()),
        })?;
        self.body = body;
        Ok(())
    }

    /// What announces another size need not be read.
    fn check_size(&self, announced: Option<u64>) -> Result<(), Error> {
        match announced {
            Some(size) if size != self.size => Err(Error::WrongSize {
                what: format!("blob '{}'", self.digest),
                expected: self.size,
                got: ByteCount::Exactly(size),
            }),
            _ => Ok(()),
        }
    }

    /// Notes a failure and waits; the last one is told.
    fn failed(&mut self, source: io::Error) -> Result<(), Error> {
        let http = &self.shared.http;
        if self.at - self.failed_at >= PROGRESS {
            self.failures = 0;
        }
        if self.failures == 0 {
            self.failed_at = self.at;
        }
        self.failures += 1;
        if self.failures >= http.patience.attempts {
            return Err(Error::Interrupted {
                digest: self.digest.clone(),
                at: self.at,
                size: self.size,
                attempts: self.failures,
                source,
            });
        }
        thread::sleep(http.pause(self.failures, None));
        Ok(())
    }

    /// Makes the connection again until it is there, or patience is at its end.
    fn resume(&mut self, mut cause: io::Error) -> Result<(), Error> {
        loop {
            self.failed(cause)?;
            match self.request() {
                Err(error) if is_passing(&error) => cause = error.into_io(),
                other => return other,
            }
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let cause = match self.body.read(buffer) {
                Ok(0) if self.at < self.size && !buffer.is_empty() => {
                    io::Error::from(io::ErrorKind::UnexpectedEof)
                }
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                // Nothing is missing, however the connection ended.
                Err(_) if self.at >= self.size => return Ok(0),
                Err(error) if is_passing_io(&error) => error,
                Err(error) => return Err(error),
            };
            self.resume(cause).map_err(Error::into_io)?;
        }
    }
}

/// A part that is not the one asked for would give a blob of the right size and wrong content.
/// Returns the size of the whole, where it is told (RFC 9110, section 14.4).
fn check_range(answer: &Answer, from: u64) -> Result<Option<u64>, Error> {
    let range = answer.header("content-range").unwrap_or_default();
    let parts = range
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('/'))
        .and_then(|(part, whole)| Some((part.split_once('-')?.0, whole)));
    match parts {
        Some((begins, whole)) if begins.parse() == Ok(from) => Ok(whole.parse().ok()),
        _ => Err(answer.unusable(format!("bytes from {from} were asked for, '{range}' came"))),
    }
}
