//! A registry of a few lines that does what a test tells it, and remembers what it was asked.
//!
//! It serves one image, honestly; a test puts its own word in where it wants the server to err:
//! cut a body, lie about a digest, ask for credentials, send elsewhere.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::image::Image;

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Where the client wants to go on, if it says so.
    pub fn from(&self) -> Option<usize> {
        let range = self.header("range").strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }

    /// Whether a blob is asked for.
    pub fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }
}

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Of the body, no more than this is sent, though all of it is announced.
    cut: Option<usize>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            cut: None,
        }
    }

    /// With a further header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announced whole, but broken off after `sent` bytes of the body.
    pub fn cut_after(mut self, sent: usize) -> Self {
        self.cut = Some(sent);
        self
    }

    /// With another body, whatever the headers say of it.
    pub fn with_body(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.body);
        self
    }

    /// With another status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// The server; it ends with the value.
#[derive(Debug)]
pub struct Rogue {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rogue {
    /// Answers each request by `answer`, which is given the request's number among its like
    /// (same path), from 1.
    pub fn start(
        answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let address = listener.local_addr()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, over) = (log.clone(), ended.clone());
        let answer = Arc::new(answer);
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept()
                && !over.load(Ordering::SeqCst)
            {
                let (seen, answer) = (seen.clone(), answer.clone());
                // A client that goes away in the middle is the client's affair.
                thread::spawn(move || drop(serve(&stream, &seen, &*answer)));
            }
        });
        Ok(Self {
            address,
            log,
            ended,
            thread: Some(thread),
        })
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `127.0.0.1:PORT/NAME`
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What an honest registry answers for `image`, under whatever name and tag.
pub fn honest(image: &Image, request: &Request) -> Answer {
    let last = request.path.rsplit('/').next().unwrap_or_default();
    if request.path.trim_end_matches('/') == "/v2" {
        return Answer::new(200, b"{}");
    }
    if request.path.contains("/manifests/") {
        let named = image.manifests().iter().find(|m| m.digest == last);
        let found = named.or_else(|| image.manifests().iter().find(|m| m.top));
        return found.map_or_else(missing, |manifest| {
            Answer::new(200, &manifest.bytes)
                .with("content-type", &manifest.media_type)
                .with("docker-content-digest", &manifest.digest)
        });
    }
    let blob = image.blobs().find(|(digest, _)| digest.as_str() == last);
    match (blob, request.from()) {
        (None, _) => missing(),
        (Some((_, blob)), None) => Answer::new(200, blob),
        (Some((_, blob)), Some(from)) => {
            let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
            Answer::new(206, &blob[from.min(blob.len())..]).with("content-range", &range)
        }
    }
}

fn missing() -> Answer {
    Answer::new(404, b"{}")
}

fn serve(
    stream: &TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &(impl Fn(&Request, usize) -> Answer + ?Sized),
) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let request = read(stream)?;
    let count = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(request.clone());
        log.iter().filter(|r| r.path == request.path).count()
    };
    write(stream, &answer(&request, count))
}

fn read(stream: &TcpStream) -> Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.split(' ').nth(1).context("no path")?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Request { path, headers });
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

fn write(mut stream: &TcpStream, answer: &Answer) -> Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let sent = answer
        .cut
        .map_or(answer.body.len(), |cut| cut.min(answer.body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(&answer.body[..sent])?;
    Ok(stream.shutdown(Shutdown::Write)?)
}
