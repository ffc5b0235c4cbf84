//! A repository in a registry (distribution-spec, pull), over HTTP.
//!
//! Scheme: https. On a loopback address, and for a registry that registries.conf marks as
//! insecure, plain http is possible too; `GET /v2/` finds out, without credentials, which of
//! both the server speaks. On loopback http is asked first: a plain server there may wait for
//! ever for the end of a TLS greeting, and nobody listens on the way.

mod blob;
mod challenge;
mod http;
mod tls;
mod token;
mod url;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use self::http::{Answer, Http, Request, is_passing};
use self::url::{Url, is_loopback};
use super::{Blob, Source, read_bounded};
use crate::image::auth::{self, Found};
use crate::image::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Document, MAX_DOCUMENT, OCI_INDEX, OCI_MANIFEST,
};
use crate::image::search::{Endpoint, is_docker_hub};
use crate::image::{Access, Digest, Error};

/// One repository, and the tag or digest that is wanted of it.
#[derive(Clone)]
pub(in crate::image) struct Registry(Arc<Shared>);

struct Shared {
    http: Http,
    endpoint: Endpoint,
    base: Url,
    selector: String,
    found: Found,
    /// The last value of `Authorization` that worked, for all threads.
    authorization: Mutex<Option<String>>,
}

impl Registry {
    /// Finds out how to speak to the server. `selector` is a tag or a digest.
    pub(in crate::image) fn connect(
        endpoint: &Endpoint,
        selector: &str,
        access: &Access,
    ) -> Result<Self, Error> {
        let found = match &access.credentials {
            Some(credentials) if !endpoint.mirror => Found::Credentials(credentials.clone()),
            Some(_) => Found::Nothing,
            None => auth::find(&access.auth_files, endpoint)?,
        };
        let http = Http::new(endpoint, access)?;
        let base = base_url(&http, endpoint)?;
        Ok(Self(Arc::new(Shared {
            http,
            endpoint: endpoint.clone(),
            base,
            selector: selector.to_owned(),
            found,
            authorization: Mutex::new(None),
        })))
    }
}

impl Source for Registry {
    fn top(&self) -> Result<Document, Error> {
        self.0.manifest(&self.0.selector)
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Document, Error> {
        self.0.manifest(&descriptor.digest.to_string())
    }

    fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, Error> {
        Ok(Box::new(blob::Reader::open(self.0.clone(), digest, size)?))
    }
}

impl Shared {
    fn manifest(&self, selector: &str) -> Result<Document, Error> {
        let mut attempt = 1;
        loop {
            match self.manifest_once(selector) {
                Err(error) if is_passing(&error) && attempt < self.http.patience.attempts => {
                    thread::sleep(self.http.pause(attempt, None));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn manifest_once(&self, selector: &str) -> Result<Document, Error> {
        let accept = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ");
        let request = Request {
            accept: Some(accept),
            ..Request::default()
        };
        let answer = self.get(&format!("manifests/{selector}"), &request)?;
        self.expect_ok(&answer, selector)?;
        let (digest, media_type) = announced(&answer)?;
        let too_long = answer.unusable(format!("it has more than {MAX_DOCUMENT} bytes"));
        let url = answer.url.shown();
        let body = answer.response.into_body().into_reader();
        let bytes = read_bounded(body, MAX_DOCUMENT).map_err(|error| Error::Connect {
            url,
            source: Box::new(error.into()),
        })?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(too_long);
        }
        match digest {
            Some(expected) if expected != Digest::of(&bytes) => Err(Error::WrongDigest {
                what: format!(
                    "the manifest '{selector}' of '{}'",
                    self.endpoint.repository
                ),
                got: Digest::of(&bytes),
                expected,
            }),
            _ => Ok(Document { bytes, media_type }),
        }
    }

    /// Asks for something below the repository, and meets the challenge of a first 401.
    fn get(&self, path: &str, request: &Request) -> Result<Answer, Error> {
        let path = format!("/v2/{}/{path}", self.endpoint.repository);
        let url = self.base.join(&path).ok_or_else(|| Error::Answer {
            url: self.base.shown(),
            reason: format!("'{path}' makes no URL"),
        })?;
        let asked = |authorization| {
            self.http.get(
                &url,
                &Request {
                    authorization,
                    ..request.clone()
                },
            )
        };
        let answer = asked(self.authorization().clone())?;
        // Whoever the request was redirected to has no claim to the credentials.
        if answer.status() != 401 || !answer.url.same_origin(&self.base) {
            return Ok(answer);
        }
        let challenges = answer.response.headers().get_all("www-authenticate");
        let challenge =
            challenge::choose(challenges.iter().filter_map(|value| value.to_str().ok()));
        let Some(challenge) = challenge else {
            return Ok(answer);
        };
        let asker = (&self.found, &answer.url);
        let Some(value) = token::authorization(&self.http, &self.endpoint, &challenge, asker)?
        else {
            return Ok(answer);
        };
        *self.authorization() = Some(value.clone());
        asked(Some(value))
    }

    fn authorization(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns a status that is no success into the error it means for `what`.
    fn expect_ok(&self, answer: &Answer, what: &str) -> Result<(), Error> {
        let joint = if what.contains(':') { '@' } else { ':' };
        let named = || format!("{}{joint}{what}", self.endpoint.repository);
        match (answer.status(), &self.found) {
            (200 | 206, _) => Ok(()),
            (401 | 403, Found::Helper { name, path }) => Err(Error::CredentialHelper {
                registry: self.endpoint.registry.clone(),
                helper: name.clone(),
                path: path.clone(),
            }),
            (401 | 403, _) => Err(Error::Unauthorized {
                image: named(),
                registry: self.endpoint.registry.clone(),
                had: matches!(self.found, Found::Credentials(_)),
            }),
            (404, _) => Err(Error::NotFound {
                what: named(),
                registry: self.endpoint.registry.clone(),
            }),
            (status, _) => Err(Error::Status {
                url: answer.url.shown(),
                status,
            }),
        }
    }
}

/// The digest and media type that the server puts beside a manifest.
fn announced(answer: &Answer) -> Result<(Option<Digest>, Option<String>), Error> {
    let digest = answer
        .header("docker-content-digest")
        .map(Digest::parse)
        .transpose()
        .map_err(|error| answer.unusable(error.to_string()))?;
    let media_type = answer
        .header("content-type")
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_owned());
    Ok((digest, media_type))
}

/// `SCHEME://HOST/v2/`: where there is a choice, with the first scheme in which the server answers
/// as a registry.
fn base_url(http: &Http, endpoint: &Endpoint) -> Result<Url, Error> {
    let host = match endpoint.registry.as_str() {
        registry if is_docker_hub(registry) => "registry-1.docker.io",
        registry => registry,
    };
    let base = |scheme: &str| {
        let text = format!("{scheme}://{host}/v2/");
        Url::parse(&text).ok_or_else(|| Error::Answer {
            url: text.clone(),
            reason: "it is not a URL".to_owned(),
        })
    };
    let schemes = match (is_loopback(host), endpoint.insecure) {
        (true, _) => ["http", "https"],
        (false, true) => ["https", "http"],
        (false, false) => return base("https"),
    };
    // Why there is no connection says more than the 400 of a server that wants the other scheme.
    let (mut failure, mut other_scheme) = (None, None);
    for scheme in schemes {
        let url = base(scheme)?;
        match http.get(&url, &Request::default()) {
            // 400 is how a TLS server answers plain http.
            Ok(answer) if answer.status() != 400 => return Ok(url),
            Ok(answer) => {
                other_scheme = Some(Error::Status {
                    url: url.shown(),
                    status: answer.status(),
                });
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.or(other_scheme).unwrap_or_else(|| Error::NotFound {
        what: "/v2/".to_owned(),
        registry: endpoint.registry.clone(),
    }))
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
