//! Against a server of a few lines on loopback that answers as it is told.

use std::io::Read as _;
use std::time::{Duration, Instant};

use super::*;
use crate::image::ByteCount;
use crate::image::scripted::{Server, access, announced, header, is_ping, ok, status};

fn endpoint(host: &str) -> Endpoint {
    Endpoint {
        registry: host.to_owned(),
        repository: "box".to_owned(),
        insecure: false,
        mirror: false,
    }
}

fn connect(server: &Server, access: &Access) -> Registry {
    Registry::connect(&endpoint(&server.host), "1", access).unwrap()
}

/// Reads the blob `body` from a server that announces it.
fn blob(server: &Server, body: &str) -> Result<String, Error> {
    let registry = connect(server, &access());
    let mut reader = registry.blob(&Digest::of(body.as_bytes()), body.len() as u64)?;
    let mut text = String::new();
    match reader.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(*error.into_inner().unwrap().downcast::<Error>().unwrap()),
    }
}

#[test]
fn p05_silence_counts_as_broken_and_is_bounded() {
    let server = Server::start(|head| match is_ping(head) {
        true => (ok(""), false),
        false => (announced(10, "12345"), true),
    });
    let begun = Instant::now();
    let error = blob(&server, "1234567890").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Interrupted {
                at: 5,
                attempts: 3,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(server.requests("/blobs/").len(), 3);
}

#[test]
fn p05_a_dribble_is_no_progress() {
    let body = "1234567890";
    let server = Server::start(move |head| {
        let from: usize = header(head, "range")
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let part = &body[from..=from];
        let answer = format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-9/10\r\nconnection: close\r\n\r\n{part}",
            body.len() - from,
        );
        if is_ping(head) {
            (ok(""), false)
        } else {
            (answer, false)
        }
    });
    let error = blob(&server, body).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Interrupted {
                at: 3,
                attempts: 3,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn p06_an_announced_size_that_differs_is_not_read() {
    let server = Server::start(|_| (announced(1 << 40, "12"), true));
    let error = blob(&server, "12").unwrap_err();
    assert!(
        matches!(error, Error::WrongSize { expected: 2, got: ByteCount::Exactly(got), .. } if got == 1 << 40),
        "{error:?}"
    );
}

/// Without a length the whole body is all there is; what comes after it is for the stream to judge.
#[test]
fn p05_the_end_of_the_connection_after_the_last_byte_is_an_end() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n12\r\n";
    let server = Server::start(|head| match is_ping(head) {
        true => (ok(""), false),
        false => (chunked.to_owned(), false),
    });
    assert_eq!(blob(&server, "12").unwrap(), "12");
    assert_eq!(server.requests("/blobs/").len(), 1);
}

#[test]
fn p01_a_helper_is_an_error_only_when_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    let mut access = access();
    access.auth_files = vec![file.clone()];
    // A public image: the token server gives everybody a token.
    let server = Server::start(|head| {
        let host = header(head, "host").unwrap_or_default();
        let bearer = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        let answer = match header(head, "authorization") {
            Some("Bearer good") => ok("{}"),
            _ if head[0].contains("/token") => ok("{\"token\":\"good\"}"),
            _ => status("401 Unauthorized", &bearer),
        };
        (answer, false)
    });
    let helpers = format!("{{\"credHelpers\":{{\"{}\":\"pass\"}}}}", server.host);
    std::fs::write(&file, &helpers).unwrap();
    connect(&server, &access).top().unwrap();

    let private = Server::start(|_| {
        (
            status("401 Unauthorized", "www-authenticate: Basic realm=x\r\n"),
            false,
        )
    });
    std::fs::write(&file, helpers.replace(&server.host, &private.host)).unwrap();
    let error = connect(&private, &access).top().unwrap_err();
    assert!(matches!(&error, Error::CredentialHelper { helper, .. } if helper == "pass"));
}

#[test]
fn p01_credentials_do_not_go_to_a_token_server_over_http() {
    let mut access = access();
    access.credentials = crate::image::Credentials::parse("u:secret");
    let server = Server::start(|_| {
        let realm = "www-authenticate: Bearer realm=\"http://tokens.example/t\"\r\n";
        (status("401 Unauthorized", realm), false)
    });
    let error = connect(&server, &access).top().unwrap_err().to_string();
    assert!(
        error.contains("over http") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn p03_redirects_end_and_do_not_leave_http() {
    for (location, reason) in [
        ("/v2/box/manifests/again", "more than 10 times"),
        ("ftp://other.example/x", "not an http URL"),
    ] {
        let server = Server::start(move |head| match is_ping(head) {
            true => (ok(""), false),
            false => (
                status(
                    "307 Temporary Redirect",
                    &format!("location: {location}\r\n"),
                ),
                false,
            ),
        });
        let error = connect(&server, &access()).top().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn p03_https_does_not_become_http() {
    let redirect = || {
        let response = ureq::http::Response::builder()
            .header("location", "http://a.example/x")
            .body(ureq::Body::builder().data(""))
            .unwrap();
        let url = Url::parse("https://a.example/x").unwrap();
        Answer { url, response }
    };
    let mut endpoint = endpoint("a.example");
    let http = Http::new(&endpoint, &access()).unwrap();
    let error = http.redirected(&redirect()).err().unwrap().to_string();
    assert!(error.contains("from https to http"), "{error}");
    endpoint.insecure = true;
    let http = Http::new(&endpoint, &access()).unwrap();
    assert!(http.redirected(&redirect()).is_ok());
}

#[test]
fn a_manifest_is_bounded() {
    let server = Server::start(|head| match is_ping(head) {
        true => (ok(""), false),
        false => (ok(&" ".repeat(MAX_DOCUMENT as usize + 1)), false),
    });
    let error = connect(&server, &access()).top().unwrap_err().to_string();
    assert!(error.contains("more than 4194304 bytes"), "{error}");
}
