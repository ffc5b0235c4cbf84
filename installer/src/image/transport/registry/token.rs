//! What goes into `Authorization`: nothing, a user name and a password, or a token that an
//! authorization server gives for them (distribution's token authentication).

use serde::Deserialize;

use super::challenge::Challenge;
use super::http::{Http, Request};
use super::url::{Url, is_loopback};
use crate::image::Error;
use crate::image::auth::{Credentials, Found};
use crate::image::search::Endpoint;
use crate::image::transport::read_bounded;

const MAX_TOKEN: u64 = 1 << 20;

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// The value of the header that meets `challenge`; none when there is nothing to meet it with.
pub(super) fn authorization(
    http: &Http,
    endpoint: &Endpoint,
    challenge: &Challenge,
    (found, asker): (&Found, &Url),
) -> Result<Option<String>, Error> {
    let credentials = match found {
        Found::Credentials(credentials) => Some(credentials),
        // A token may be had without them; a helper is told of when that does not do.
        Found::Nothing | Found::Helper { .. } => None,
    };
    match challenge {
        Challenge::Basic => Ok(credentials.map(Credentials::basic)),
        Challenge::Bearer { .. } => {
            let url = token_url(challenge, endpoint, asker)?;
            // Plain http only to where the registry itself may be asked so, and this very machine.
            let same_machine = !asker.is_https() && is_loopback(url.host());
            if !url.is_https() && !same_machine && !endpoint.insecure {
                return Err(Error::Answer {
                    url: asker.shown(),
                    reason: "it wants the credentials to be sent over http".to_owned(),
                });
            }
            fetch(http, &url, credentials)
        }
    }
}

fn token_url(challenge: &Challenge, endpoint: &Endpoint, asker: &Url) -> Result<Url, Error> {
    let Challenge::Bearer {
        realm,
        service,
        scope,
    } = challenge
    else {
        return Ok(asker.clone());
    };
    let own = format!("repository:{}:pull", endpoint.repository);
    let scope = scope.as_deref().unwrap_or(&own);
    let mut text = realm.clone();
    let parameters = [("service", service.as_deref()), ("scope", Some(scope))];
    for (name, value) in parameters {
        if let Some(value) = value {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.push_str(&format!("{name}={}", percent_encoded(value)));
        }
    }
    Url::parse(&text).ok_or_else(|| Error::Answer {
        url: asker.shown(),
        reason: "it names an authorization server that is not an http URL".to_owned(),
    })
}

fn fetch(
    http: &Http,
    url: &Url,
    credentials: Option<&Credentials>,
) -> Result<Option<String>, Error> {
    let request = Request {
        authorization: credentials.map(Credentials::basic),
        ..Request::default()
    };
    let answer = http.get(url, &request)?;
    match answer.status() {
        200 => {}
        401 | 403 => return Ok(None),
        status => {
            return Err(Error::Status {
                url: url.shown(),
                status,
            });
        }
    }
    let fault = answer.unusable("it is not a token");
    let body = read_bounded(answer.response.into_body().into_reader(), MAX_TOKEN);
    let token = body
        .ok()
        .and_then(|body| serde_json::from_slice::<Token>(&body).ok());
    let text = token.map(|t| {
        if t.token.is_empty() {
            t.access_token
        } else {
            t.token
        }
    });
    // A token goes into a header line, so a control character would end it.
    match text {
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(format!("Bearer {text}")))
        }
        _ => Err(fault),
    }
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
