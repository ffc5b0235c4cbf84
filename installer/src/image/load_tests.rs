//! Which of several servers gives the image, and what is told when none does.

use serde_json::json;

use super::super::scripted::{Server, access, ok, status};
use super::*;

const CONFIG: &str = r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

/// A registry that has the image under every name.
fn good() -> Server {
    let manifest = json!({
        "schemaVersion": 2,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(CONFIG.as_bytes()).to_string(),
            "size": CONFIG.len(),
        },
        "layers": [],
    })
    .to_string();
    Server::start(move |head| match head[0].contains("/manifests/") {
        true => (ok(&manifest), false),
        false => (ok(CONFIG), false),
    })
}

fn empty() -> Server {
    Server::start(|head| match head[0].starts_with("GET /v2/ ") {
        true => (ok(""), false),
        false => (status("404 Not Found", ""), false),
    })
}

/// A port on which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn resolve_with(conf: &str, reference: &str) -> Result<Image, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), conf).unwrap();
    let mut access = access();
    access.registries_conf = file.path().to_owned();
    resolve(&Reference::parse(reference)?, &access).map(|resolved| resolved.image)
}

fn mirrors(locations: &[&str]) -> String {
    let mirror = |location| format!("[[registry.mirror]]\nlocation = '{location}/m'\n");
    let mirrors: String = locations.iter().map(mirror).collect();
    format!(
        "[[registry]]\nprefix = 'logical.example'\nlocation = '{}'\n{mirrors}",
        nobody()
    )
}

#[test]
fn p08_the_first_mirror_that_has_it_gives_it_and_the_name_stays() {
    let (empty, good) = (empty(), good());
    let conf = mirrors(&[&nobody(), &empty.host, &good.host]);
    let image = resolve_with(&conf, "logical.example/etcd:3").unwrap();
    assert_eq!(image.name, "logical.example/etcd:3");
    assert_eq!(image.source, "logical.example/etcd:3");
    assert_eq!(empty.requests("/v2/m/etcd/manifests/3").len(), 1);
    assert_eq!(good.requests("/v2/m/etcd/manifests/3").len(), 1);
}

#[test]
fn p08_when_all_fail_each_is_told_with_its_cause() {
    let (empty, down) = (empty(), nobody());
    let conf = mirrors(&[&down, &empty.host]);
    let error = resolve_with(&conf, "logical.example/etcd:3")
        .unwrap_err()
        .to_string();
    for part in [
        "any of its 3 sources".to_owned(),
        format!("{down}/m/etcd: cannot reach"),
        "refused".to_owned(),
        format!("{}/m/etcd: 'm/etcd:3' does not exist", empty.host),
    ] {
        assert!(error.contains(&part), "{part}: {error}");
    }
}

#[test]
fn p08_what_is_blocked_is_not_asked() {
    let (blocked, good) = (good(), good());
    let conf = format!(
        "unqualified-search-registries = ['{0}', '{1}']\n[[registry]]\nlocation = '{0}'\nblocked = true",
        blocked.host, good.host
    );
    let image = resolve_with(&conf, "etcd").unwrap();
    assert_eq!(image.name, "etcd:latest");
    // The next update asks the registry that had it.
    assert_eq!(image.source, format!("{}/etcd:latest", good.host));
    let error = resolve_with(&conf, &format!("{}/etcd", blocked.host)).unwrap_err();
    assert!(matches!(error, Error::Blocked { .. }), "{error}");
    assert!(blocked.requests("").is_empty());
}

#[test]
fn credentials_are_given_to_no_list_of_registries_and_no_mirror() {
    let (one, two) = (good(), good());
    let mut access = access();
    access.credentials = crate::image::Credentials::parse("u:p");
    let file = tempfile::NamedTempFile::new().unwrap();
    access.registries_conf = file.path().to_owned();
    let search = format!(
        "unqualified-search-registries = ['{}', '{}']",
        one.host, two.host
    );
    std::fs::write(file.path(), search).unwrap();
    let error = resolve(&Reference::parse("etcd").unwrap(), &access).unwrap_err();
    assert!(matches!(error, Error::CredentialsForMany { .. }), "{error}");
    assert!(one.requests("").is_empty() && two.requests("").is_empty());

    let asking = Server::start(|head| match head[0].starts_with("GET /v2/ ") {
        true => (ok(""), false),
        false => (
            status("401 Unauthorized", "www-authenticate: Basic realm=x\r\n"),
            false,
        ),
    });
    std::fs::write(file.path(), mirrors(&[&asking.host])).unwrap();
    resolve(&Reference::parse("logical.example/etcd").unwrap(), &access).unwrap_err();
    let asked = asking.requests("");
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .flatten()
            .all(|line| !line.to_lowercase().starts_with("authorization"))
    );
}
