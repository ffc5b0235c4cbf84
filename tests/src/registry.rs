//! A real registry: Debian's docker-registry on a free port of 127.0.0.1.
//!
//! Its package is unpacked, not installed: installing it would start a registry for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command;
use crate::image::Image;
use crate::scratch;
use crate::tree;

/// A registry that runs as long as the value lives.
#[derive(Debug)]
pub struct Registry {
    server: Child,
    port: u16,
    dir: TempDir,
}

impl Registry {
    /// Starts one with nothing in it.
    pub fn start() -> Result<Self> {
        let dir = scratch::directory()?;
        let storage = dir.path().join("storage");
        Self::serve(dir, &storage, "")
    }

    /// Starts another one with the same content, which speaks TLS, and returns it with the
    /// certificate of the authority that vouches for it.
    pub fn encrypted(&self) -> Result<(Self, PathBuf)> {
        let dir = scratch::directory()?;
        let authority = certify(dir.path())?;
        let storage = self.dir.path().join("storage");
        let tls = "  tls:\n    certificate: server.crt\n    key: server.key\n";
        Ok((Self::serve(dir, &storage, tls)?, authority))
    }

    fn serve(dir: TempDir, storage: &Path, more: &str) -> Result<Self> {
        let tree = tree::packages("registry", "docker-registry")?;
        let config = dir.path().join("config.yml");
        fs::write(&config, configuration(storage, more))?;
        let log = fs::File::create(dir.path().join("log"))?;
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(tree.join("usr/bin/docker-registry"))
            .arg("serve")
            .arg(&config)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start docker-registry")?;
        let mut registry = Self {
            server,
            port: 0,
            dir,
        };
        registry.await_port()?;
        Ok(registry)
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes `image` as `REPOSITORY:TAG` and returns the whole reference.
    pub fn push(&self, image: &Image, name: &str) -> Result<String> {
        let (repository, tag) = name.split_once(':').context("give a tag")?;
        let base = format!("http://{}/v2/{repository}", self.address());
        for (digest, blob) in image.blobs() {
            let begun = ureq::post(format!("{base}/blobs/uploads/")).send_empty()?;
            let location = begun
                .headers()
                .get("location")
                .context("no upload location")?;
            let location = location.to_str()?;
            let joint = if location.contains('?') { '&' } else { '?' };
            ureq::put(format!("{location}{joint}digest={digest}"))
                .header("content-type", "application/octet-stream")
                .send(blob)?;
        }
        for manifest in image.manifests() {
            let reference = if manifest.top { tag } else { &manifest.digest };
            ureq::put(format!("{base}/manifests/{reference}"))
                .header("content-type", &manifest.media_type)
                .send(&manifest.bytes)?;
        }
        Ok(format!("{}/{name}", self.address()))
    }

    /// The requests so far, one a line: method, path, status.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.dir.path().join("log"))?;
        let field = |line: &str, key: &str| {
            let (_, rest) = line.split_once(&format!("{key}="))?;
            Some(
                rest.split(' ')
                    .next()
                    .unwrap_or_default()
                    .trim_matches('"')
                    .to_owned(),
            )
        };
        let request = |line: &str| {
            line.contains("response completed").then_some(())?;
            let method = field(line, "http.request.method")?;
            let status = field(line, "http.response.status")?;
            Some(format!(
                "{method} {} {status}",
                field(line, "http.request.uri")?
            ))
        };
        Ok(log.lines().filter_map(request).collect())
    }

    /// How often blobs were sent.
    pub fn blobs_sent(&self) -> Result<usize> {
        let sent = |line: &String| {
            line.starts_with("GET ") && line.contains("/blobs/sha256:") && line.ends_with(" 200")
        };
        Ok(self.requests()?.iter().filter(|line| sent(line)).count())
    }

    /// Its log says which port it was given.
    fn await_port(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let log = fs::read_to_string(self.dir.path().join("log"))?;
            let listening = log.split_once("listening on 127.0.0.1:");
            if let Some((port, _)) = listening.and_then(|(_, rest)| rest.split_once(['"', ','])) {
                self.port = port.parse()?;
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                bail!("docker-registry ended with {status}:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("docker-registry does not listen")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn configuration(storage: &Path, more: &str) -> String {
    format!(
        "version: 0.1\n\
         log:\n  level: info\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: 127.0.0.1:0\n{more}",
        storage.display()
    )
}

/// Makes `server.crt` and `server.key` for 127.0.0.1 in `dir`, and the certificate of the
/// authority that signed the former.
fn certify(dir: &Path) -> Result<PathBuf> {
    let make = |name: &str, more: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-subj", &format!("/CN={name}")]);
        openssl.args(["-keyout", &format!("{name}.key")]);
        openssl.args(["-out", &format!("{name}.crt")]);
        command::run_prepared(openssl.args(more).current_dir(dir))?.ok()
    };
    make("authority", &[])?;
    let server = [
        "-CA",
        "authority.crt",
        "-CAkey",
        "authority.key",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    make("server", &server)?;
    Ok(dir.join("authority.crt"))
}
