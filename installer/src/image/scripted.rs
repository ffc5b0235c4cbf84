//! For tests: a server of a few lines on loopback that answers as it is told, and remembers what
//! it was asked.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{Access, Patience, Platform, Proxies};

/// The answer to a request, of which the head's lines are given, and whether to stall after it.
type Script = dyn Fn(&[String]) -> (String, bool) + Send + Sync;

pub(super) struct Server {
    pub(super) host: String,
    requests: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Server {
    pub(super) fn start(
        script: impl Fn(&[String]) -> (String, bool) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (requests.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, script) = (log.clone(), script.clone());
                thread::spawn(move || serve(&stream.unwrap(), &log, &*script));
            }
        });
        Self { host, requests }
    }

    pub(super) fn requests(&self, path: &str) -> Vec<Vec<String>> {
        let all = self.requests.lock().unwrap();
        all.iter()
            .filter(|head| head[0].contains(path))
            .cloned()
            .collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Vec<String>>>, script: &Script) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    if head.is_empty() {
        return;
    }
    log.lock().unwrap().push(head.clone());
    let (answer, stall) = script(&head);
    let mut writer = stream;
    // The client may have gone: that is its good right.
    let _ = writer.write_all(answer.as_bytes());
    if stall {
        let _ = writer.read(&mut [0]);
    }
}

pub(super) fn access() -> Access {
    let absent = PathBuf::from("/nonexistent");
    Access {
        registries_conf: absent.clone(),
        registries_conf_dir: absent.clone(),
        policy: absent,
        certs_dirs: Vec::new(),
        auth_files: Vec::new(),
        credentials: None,
        platform: Platform::of_this_host(),
        proxies: Proxies::default(),
        patience: Patience {
            attempts: 3,
            stall: Duration::from_millis(200),
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(5),
        },
        engines: Vec::new(),
        scratch: std::env::temp_dir(),
    }
}

pub(super) fn ok(body: &str) -> String {
    announced(body.len(), body)
}

pub(super) fn announced(length: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

pub(super) fn status(line: &str, headers: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n{headers}\r\n")
}

pub(super) fn is_ping(head: &[String]) -> bool {
    head[0].starts_with("GET /v2/ ")
}

/// A header of a request, whatever the case of its name.
pub(super) fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}
