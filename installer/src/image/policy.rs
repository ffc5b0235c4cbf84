//! Whether an image may be used at all: containers-policy.json(5).
//!
//! Without the file everything may. Of the requirements `insecureAcceptAnything` and `reject`
//! are known; any other one asks for something that is not verified here, so it refuses.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::reference::{Named, Reference, Stored};
use super::search::{read_if_there, wire_name};

#[derive(Deserialize)]
struct File {
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

#[derive(Deserialize)]
struct Requirement {
    r#type: String,
}

/// What is looked up: the transport's name and the scopes, the most specific first.
struct Subject {
    transport: &'static str,
    scopes: Vec<String>,
}

/// Passes if the policy at `path` lets `reference` in; a registry reference must be qualified.
///
/// # Errors
/// [`Error::Policy`] names the requirement.
pub(super) fn check(reference: &Reference, path: &Path) -> Result<(), Error> {
    let Some(text) = read_if_there(path)? else {
        return Ok(());
    };
    let configuration = |reason: String| Error::Configuration {
        path: path.to_owned(),
        reason,
    };
    let file: File =
        serde_json::from_str(&text).map_err(|error| configuration(error.to_string()))?;
    let subject = Subject::of(reference);
    let requirements = file.requirements(&subject);
    if requirements.is_empty() {
        return Err(configuration("a list of requirements is empty".to_owned()));
    }
    match requirements.iter().find_map(Requirement::refusal) {
        None => Ok(()),
        Some(reason) => Err(Error::Policy {
            image: reference.source(),
            path: path.to_owned(),
            reason,
        }),
    }
}

impl File {
    fn requirements(&self, subject: &Subject) -> &[Requirement] {
        let scopes = self.transports.get(subject.transport);
        scopes
            .and_then(|scopes| subject.scopes.iter().find_map(|scope| scopes.get(scope)))
            .unwrap_or(&self.default)
    }
}

impl Requirement {
    fn refusal(&self) -> Option<String> {
        match self.r#type.as_str() {
            "insecureAcceptAnything" => None,
            "reject" => Some("the requirement is 'reject'".to_owned()),
            other => Some(format!(
                "the requirement '{}' cannot be verified",
                other.escape_debug()
            )),
        }
    }
}

impl Subject {
    fn of(reference: &Reference) -> Self {
        match reference {
            Reference::Registry(named) => Self {
                transport: "docker",
                scopes: registry_scopes(named),
            },
            Reference::Layout(stored) => Self {
                transport: "oci",
                scopes: path_scopes(stored),
            },
            Reference::OciArchive(stored) => Self {
                transport: "oci-archive",
                scopes: path_scopes(stored),
            },
            Reference::Repository(named) => Self {
                transport: "ostree",
                scopes: vec![named.name(), String::new()],
            },
            Reference::Engine(named) => Self {
                transport: "docker-daemon",
                scopes: vec![named.name(), String::new()],
            },
            Reference::DockerArchive(_) => Self {
                transport: "docker-archive",
                scopes: vec![String::new()],
            },
        }
    }
}

/// `host/a/b:tag`, `host/a/b`, `host/a`, `host`, `*.domain`, ``.
fn registry_scopes(named: &Named) -> Vec<String> {
    let name = wire_name(named);
    let exact = match &named.digest {
        Some(digest) => format!("{name}@{digest}"),
        None => format!("{name}:{}", named.selector()),
    };
    let mut scopes = vec![exact];
    scopes.extend(parents(&name));
    let mut host = name.split(['/', ':']).next().unwrap_or_default();
    while let Some((_, rest)) = host.split_once('.') {
        scopes.push(format!("*.{rest}"));
        host = rest;
    }
    scopes.push(String::new());
    scopes
}

/// `/a/b:image`, `/a/b`, `/a`, `/`, ``.
fn path_scopes(stored: &Stored) -> Vec<String> {
    let path = stored.path.to_string_lossy();
    let mut scopes = vec![stored.to_string()];
    scopes.extend(parents(&path).into_iter().filter(|scope| !scope.is_empty()));
    scopes.extend(["/".to_owned(), String::new()]);
    scopes
}

fn parents(name: &str) -> Vec<String> {
    let mut parents = vec![name.to_owned()];
    let mut rest = name;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        parents.push(parent.to_owned());
        rest = parent;
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {
                "": [{"type": "insecureAcceptAnything"}],
                "signed.example": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}],
                "signed.example/free": [{"type": "insecureAcceptAnything"}],
                "signed.example/free/image:bad": [{"type": "reject"}],
                "*.wild.example": [{"type": "reject"}],
                "docker.io/library": [{"type": "reject"}]
            },
            "oci": {"/srv/images": [{"type": "insecureAcceptAnything"}]}
        }
    }"#;

    fn refusal(policy: &str, reference: &str) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), policy).unwrap();
        check(&Reference::parse(reference).unwrap(), file.path())
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn the_longest_scope_of_the_transport_decides() {
        for (reference, want) in [
            ("other.example/a", None),
            ("signed.example/a", Some("'signedBy' cannot be verified")),
            ("signed.example/free/image", None),
            ("signed.example/free/image:bad", Some("'reject'")),
            ("a.wild.example/b", Some("'reject'")),
            ("wild.example/b", None),
            ("docker.io/busybox", Some("'reject'")),
            ("docker.io/user/busybox", None),
            ("oci:/srv/images/etcd:3", None),
            ("oci:/srv/other:3", Some("'reject'")),
            ("docker-archive:/srv/images/x.tar", Some("'reject'")),
        ] {
            let refusal = refusal(POLICY, reference);
            match (want, refusal) {
                (None, None) => {}
                (Some(want), Some(refusal)) => assert!(refusal.contains(want), "{refusal}"),
                (want, refusal) => panic!("{reference}: expected {want:?}, got {refusal:?}"),
            }
        }
    }

    #[test]
    fn no_policy_accepts_and_a_broken_one_does_not() {
        let reference = Reference::parse("r.example/a").unwrap();
        check(&reference, Path::new("/nonexistent/policy.json")).unwrap();
        assert!(refusal("{}", "r.example/a").unwrap().contains("default"));
        assert!(
            refusal(r#"{"default":[]}"#, "r.example/a")
                .unwrap()
                .contains("empty")
        );
    }
}
