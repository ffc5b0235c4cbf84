//! GET, with redirects, pauses and refusals of our own choosing.
//!
//! Redirects are followed here rather than by the HTTP library, because credentials must stay
//! with the host that asked for them, and https must not silently become http.

use std::io;
use std::thread;
use std::time::Duration;

use ureq::http::{Response, header};
use ureq::{Agent, Body, Proxy};

use super::tls;
use super::url::{Url, is_loopback};
use crate::image::access::{Patience, Proxies};
use crate::image::search::Endpoint;
use crate::image::{Access, Error};

const MAX_REDIRECTS: usize = 10;

/// A client for one registry and wherever it redirects to.
pub(super) struct Http {
    agent: Agent,
    proxies: Proxies,
    insecure: bool,
    pub(super) patience: Patience,
}

/// What to ask for.
#[derive(Clone, Default)]
pub(super) struct Request {
    /// The value of `Accept`.
    pub accept: Option<String>,
    /// Where to begin.
    pub from: u64,
    /// The value of `Authorization`; stays with the origin of the first URL.
    pub authorization: Option<String>,
}

/// An answer of any status but a redirect.
pub(super) struct Answer {
    pub url: Url,
    pub response: Response<Body>,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    pub(super) fn unusable(&self, reason: impl Into<String>) -> Error {
        Error::Answer {
            url: self.url.shown(),
            reason: reason.into(),
        }
    }
}

impl Http {
    pub(super) fn new(endpoint: &Endpoint, access: &Access) -> Result<Self, Error> {
        let tls = tls::settings(&endpoint.registry, &access.certs_dirs, endpoint.insecure)?;
        let stall = Some(access.patience.stall);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(stall)
            .timeout_per_read(stall)
            .timeout_per_write(stall)
            .user_agent(concat!("sysc/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .proxy(None);
        Ok(Self {
            agent: config.build().new_agent(),
            proxies: access.proxies.clone(),
            insecure: endpoint.insecure,
            patience: access.patience,
        })
    }

    /// Asks, following redirects, and again after a pause when the server is busy.
    pub(super) fn get(&self, url: &Url, request: &Request) -> Result<Answer, Error> {
        let mut attempt = 1;
        loop {
            let answer = self.get_once(url, request)?;
            let busy = matches!(answer.status(), 429 | 500 | 502 | 503 | 504);
            if !busy || attempt >= self.patience.attempts {
                return Ok(answer);
            }
            thread::sleep(self.pause(attempt, answer.header("retry-after")));
            attempt += 1;
        }
    }

    /// Before attempt `attempt + 1`: what the server asks for, or longer each time.
    pub(super) fn pause(&self, attempt: u32, retry_after: Option<&str>) -> Duration {
        let asked = retry_after
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let doubled = self
            .patience
            .first_delay
            .saturating_mul(1 << attempt.min(16).saturating_sub(1));
        asked.unwrap_or(doubled).min(self.patience.longest_delay)
    }

    fn get_once(&self, start: &Url, request: &Request) -> Result<Answer, Error> {
        let mut url = start.clone();
        let mut request = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&url, &request).map_err(|source| Error::Connect {
                url: url.shown(),
                source: Box::new(source),
            })?;
            let answer = Answer { url, response };
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            url = self.redirected(&answer)?;
            if !url.same_origin(start) {
                request.authorization = None;
            }
        }
        Err(Error::Redirect {
            url: start.shown(),
            reason: format!("more than {MAX_REDIRECTS} times"),
        })
    }

    pub(super) fn redirected(&self, answer: &Answer) -> Result<Url, Error> {
        let fault = |reason: &str| Error::Redirect {
            url: answer.url.shown(),
            reason: reason.to_owned(),
        };
        let location = answer
            .header("location")
            .ok_or_else(|| fault("without saying where"))?;
        let next = answer
            .url
            .join(location)
            .ok_or_else(|| fault("to what is not an http URL"))?;
        if answer.url.is_https() && !next.is_https() && !self.insecure {
            return Err(fault(
                "from https to http, which only an insecure registry may",
            ));
        }
        Ok(next)
    }

    fn send(&self, url: &Url, request: &Request) -> Result<Response<Body>, ureq::Error> {
        let mut builder = self.agent.get(url.request());
        if let Some(accept) = &request.accept {
            builder = builder.header(header::ACCEPT, accept);
        }
        if request.from > 0 {
            builder = builder.header(header::RANGE, format!("bytes={}-", request.from));
        }
        if let Some(authorization) = &request.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        match self.proxy(url)? {
            Some(proxy) => builder.config().proxy(Some(proxy)).build().call(),
            None => builder.call(),
        }
    }

    fn proxy(&self, url: &Url) -> Result<Option<Proxy>, ureq::Error> {
        let proxy = if url.is_https() {
            &self.proxies.https
        } else {
            &self.proxies.http
        };
        let Some(proxy) = proxy.as_deref().filter(|_| !is_loopback(url.host())) else {
            return Ok(None);
        };
        let host = url.host().to_ascii_lowercase();
        let direct = |except: &String| {
            let domain = except.trim_start_matches('*').to_ascii_lowercase();
            let bare = domain.trim_start_matches('.');
            domain.is_empty() || host == bare || host.ends_with(&format!(".{bare}"))
        };
        if self.proxies.except.iter().any(direct) {
            return Ok(None);
        }
        Proxy::new(proxy).map(Some)
    }
}

/// Whether asking again may help: the connection was there, and broke or fell silent.
pub(super) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Connect { source, .. } => match source.as_ref() {
            ureq::Error::Io(error) => is_passing_io(error),
            ureq::Error::Timeout(timeout) => !matches!(timeout, ureq::Timeout::Connect),
            ureq::Error::Protocol(_) => true,
            _ => false,
        },
        _ => false,
    }
}

/// The same for a body.
pub(super) fn is_passing_io(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let kinds = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        TimedOut,
        UnexpectedEof,
    ];
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match inner {
        Some(ureq::Error::Io(inner)) => is_passing_io(inner),
        Some(inner) => matches!(inner, ureq::Error::Timeout(_) | ureq::Error::Protocol(_)),
        None => kinds.contains(&error.kind()),
    }
}
