//! Credentials from the files of containers-auth.json(5).
//!
//! A file that is not there says nothing, one that cannot be understood is an error with its
//! path. Nothing here prints a user name or a password.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Error;
use super::search::{Endpoint, is_docker_hub, read_if_there};

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

/// What the files know about a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Credentials(Credentials),
    /// Somebody else keeps them; an error only once they are needed.
    Helper {
        name: String,
        path: PathBuf,
    },
}

impl Credentials {
    /// Parses `USER:PASSWORD`; the password may hold further colons.
    pub fn parse(text: &str) -> Option<Self> {
        let (user, password) = text.split_once(':')?;
        (!user.is_empty()).then(|| Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The value of an `Authorization` header.
    pub(super) fn basic(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.user, self.password))
        )
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Looks the endpoint up in the files, in their order.
pub(super) fn find(files: &[PathBuf], endpoint: &Endpoint) -> Result<Found, Error> {
    for path in files {
        let Some(text) = read_if_there(path)? else {
            continue;
        };
        let found = find_in(&text, endpoint, path).map_err(|reason| Error::Configuration {
            path: path.clone(),
            reason,
        })?;
        if found != Found::Nothing {
            return Ok(found);
        }
    }
    Ok(Found::Nothing)
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    identitytoken: String,
}

fn find_in(text: &str, endpoint: &Endpoint, path: &Path) -> Result<Found, String> {
    // serde_json's own message may quote the text, so only the place is told.
    let file: File = serde_json::from_str(text)
        .map_err(|error| format!("it is not the JSON of an auth file (line {})", error.line()))?;
    let helper = |name: &str| Found::Helper {
        name: name.to_owned(),
        path: path.to_owned(),
    };
    if let Some(name) = file.cred_helpers.get(&endpoint.registry) {
        return Ok(helper(name));
    }
    for key in keys(endpoint) {
        match file.entry(&key) {
            Some(entry) if !entry.identitytoken.is_empty() => return Ok(helper("identitytoken")),
            Some(entry) if !entry.auth.is_empty() => {
                return decode(&entry.auth).ok_or(format!("the 'auth' of '{key}' is malformed"));
            }
            Some(_) if !file.creds_store.is_empty() => return Ok(helper(&file.creds_store)),
            Some(_) => return Ok(Found::Nothing),
            None => {}
        }
    }
    Ok(Found::Nothing)
}

impl File {
    /// The entry of a namespace; old files write registries as URLs.
    fn entry(&self, key: &str) -> Option<&Entry> {
        let old = |(name, _): &(&String, &Entry)| !key.contains('/') && host_of(name) == key;
        self.auths
            .get(key)
            .or_else(|| self.auths.iter().find(old).map(|(_, entry)| entry))
    }
}

fn host_of(key: &str) -> &str {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or(key);
    if is_docker_hub(host) {
        "docker.io"
    } else {
        host
    }
}

/// `host/a/b`, `host/a`, `host`.
fn keys(endpoint: &Endpoint) -> Vec<String> {
    let registry = if is_docker_hub(&endpoint.registry) {
        "docker.io"
    } else {
        &endpoint.registry
    };
    let mut key = format!("{registry}/{}", endpoint.repository);
    let mut keys = vec![key.clone()];
    while let Some(slash) = key.rfind('/') {
        key.truncate(slash);
        keys.push(key.clone());
    }
    keys
}

fn decode(auth: &str) -> Option<Found> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    // Old writers padded the password with NULs.
    let text = String::from_utf8(bytes).ok()?;
    Credentials::parse(text.trim_end_matches('\0')).map(Found::Credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(registry: &str, repository: &str) -> Endpoint {
        Endpoint {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            insecure: false,
            mirror: false,
        }
    }

    fn auths(entries: &[(&str, &str)]) -> String {
        let entries: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, auth)| (key, serde_json::json!({ "auth": STANDARD.encode(auth) })))
            .collect();
        serde_json::json!({ "auths": entries }).to_string()
    }

    fn credentials(text: &str) -> Found {
        Found::Credentials(Credentials::parse(text).unwrap())
    }

    #[test]
    fn p01_the_longest_namespace_wins() {
        let text = auths(&[
            ("r.example/ns/user/image", "u1:p"),
            ("r.example/ns", "u2:p"),
            ("r.example", "u3:p:with:colons"),
            ("https://index.docker.io/v1/", "hub:p"),
        ]);
        for (registry, repository, want) in [
            ("r.example", "ns/user/image", credentials("u1:p")),
            ("r.example", "ns/other", credentials("u2:p")),
            ("r.example", "nsx/other", credentials("u3:p:with:colons")),
            ("docker.io", "library/busybox", credentials("hub:p")),
            ("other.example", "ns", Found::Nothing),
        ] {
            let found = find_in(&text, &endpoint(registry, repository), Path::new("f")).unwrap();
            assert_eq!(found, want, "{registry}/{repository}");
        }
    }

    #[test]
    fn p01_helpers_are_told_and_empty_entries_say_nothing() {
        let text =
            r#"{"auths":{"r.example":{},"stored.example":{}},"credHelpers":{"h.example":"pass"}}"#;
        let path = Path::new("f");
        let helper = Found::Helper {
            name: "pass".to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(
            find_in(text, &endpoint("h.example", "a"), path).unwrap(),
            helper
        );
        assert_eq!(
            find_in(text, &endpoint("r.example", "a"), path).unwrap(),
            Found::Nothing
        );
        let stored = text.replace("\"auths\"", "\"credsStore\":\"store\",\"auths\"");
        let found = find_in(&stored, &endpoint("stored.example", "a"), path).unwrap();
        assert!(matches!(found, Found::Helper { name, .. } if name == "store"));
    }

    #[test]
    fn p01_files_in_their_order_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["absent", "first", "second"].map(|name| folder.path().join(name));
        std::fs::write(&files[1], auths(&[("other.example", "u:p")])).unwrap();
        std::fs::write(&files[2], auths(&[("r.example", "second:p")])).unwrap();
        let endpoint = endpoint("r.example", "a");
        assert_eq!(find(&files, &endpoint).unwrap(), credentials("second:p"));
        assert_eq!(find(&files[..2], &endpoint).unwrap(), Found::Nothing);
        for broken in [
            "{\"auths\": secret",
            r#"{"auths":{"r.example":{"auth":"secret"}}}"#,
        ] {
            std::fs::write(&files[1], broken).unwrap();
            let error = find(&files, &endpoint).unwrap_err().to_string();
            assert!(
                error.contains("first") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let found = credentials("someone:hidden");
        assert!(!format!("{found:?}").contains("someone"));
        assert!(!format!("{found:?}").contains("hidden"));
    }
}
