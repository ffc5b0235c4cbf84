//! Tables of references, good and bad.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(text: &str) -> Result<Reference, Error> {
    Reference::parse_with(text, |dir| dir == Path::new("layout"))
}

#[test]
fn an_engine_is_told_from_a_registry() {
    for (text, source) in [
        ("docker:busybox", "docker:busybox:latest"),
        ("docker-daemon:a/b:1", "docker:a/b:1"),
        ("ostree:a", "ostree:a:latest"),
        ("docker://busybox:1", "busybox:1"),
    ] {
        let reference = parse(text).unwrap();
        assert_eq!(reference.source(), source, "{text}");
        assert_eq!(
            parse(&reference.source()).unwrap().source(),
            source,
            "{text}"
        );
        assert_eq!(
            matches!(reference, Reference::Engine(_)),
            source.starts_with("docker:")
        );
    }
}

#[test]
fn names_are_kept_as_typed() {
    for (text, name) in [
        ("busybox", "busybox:latest"),
        ("docker.io/busybox", "docker.io/busybox:latest"),
        (
            "docker.io/library/busybox:1.36",
            "docker.io/library/busybox:1.36",
        ),
        ("docker://quay.io/a/b:c", "quay.io/a/b:c"),
        ("docker://busybox:1", "busybox:1"),
        ("oci:docker.io/etcd", "docker.io/etcd:latest"),
        ("oci:etcd:3", "etcd:3"),
        ("http:localhost:5000/etcd", "localhost:5000/etcd:latest"),
        ("https://r.example:443/etcd", "r.example:443/etcd:latest"),
        ("localhost/etcd", "localhost/etcd:latest"),
        ("[::1]:5000/etcd:3", "[::1]:5000/etcd:3"),
        ("user/repo", "user/repo:latest"),
        ("a/b__c/d-e.f:T_1.x-", "a/b__c/d-e.f:T_1.x-"),
    ] {
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.name().as_deref(), Some(name), "{text}");
        assert_eq!(
            parse(&parsed.source()).unwrap().source(),
            parsed.source(),
            "{text}"
        );
    }
}

#[test]
fn the_digest_decides_over_the_tag() {
    let Reference::Registry(named) = parse(&format!("r.example/a:3@sha256:{HEX}")).unwrap() else {
        panic!("not a registry reference")
    };
    assert_eq!(named.selector(), format!("sha256:{HEX}"));
    assert_eq!(named.name(), format!("r.example/a:3@sha256:{HEX}"));
}

#[test]
fn t10_default_container_names() {
    for (text, name) in [
        (format!("busybox@sha256:{HEX}"), "busybox"),
        ("localhost:5000/a/b/etcd:3.2".to_owned(), "etcd-3.2"),
        ("docker.io/library/busybox".to_owned(), "busybox"),
        ("docker.io/library/busybox:latest".to_owned(), "busybox"),
        ("x.y/foo.bar:1".to_owned(), "foo.bar-1"),
        (format!("x.y/foo:1@sha256:{HEX}"), "foo-1"),
    ] {
        let parsed = parse(&text).unwrap();
        assert_eq!(
            parsed.default_container_name().as_deref(),
            Some(name),
            "{text}"
        );
    }
}

#[test]
fn oci_is_a_layout_or_an_old_spelling() {
    let stored = |path: &str, image: Option<&str>| Stored {
        path: path::absolute(path).unwrap(),
        image: image.map(str::to_owned),
    };
    for (text, meant) in [
        (
            "oci:/usb/dir:3",
            Reference::Layout(stored("/usb/dir", Some("3"))),
        ),
        ("oci:./dir", Reference::Layout(stored("dir", None))),
        (
            "oci:layout:a/b:3",
            Reference::Layout(stored("layout", Some("a/b:3"))),
        ),
        (
            "oci-archive:x.tar",
            Reference::OciArchive(stored("x.tar", None)),
        ),
        (
            "docker-archive:x:etcd:3",
            Reference::DockerArchive(stored("x", Some("etcd:3"))),
        ),
        (
            "dockertar:/x.tar",
            Reference::DockerArchive(stored("/x.tar", None)),
        ),
    ] {
        let parsed = parse(text).unwrap();
        assert_eq!(parsed, meant, "{text}");
        assert_eq!(parse(&parsed.source()).unwrap(), meant, "{text}");
    }
    assert!(matches!(
        parse("oci:other:1").unwrap(),
        Reference::Registry(_)
    ));
}

#[test]
fn what_is_no_reference_is_refused_with_the_rule() {
    for (text, reason) in [
        ("", "empty"),
        ("UPPER", "lower-case"),
        ("r.example/", "empty"),
        ("r.example//a", "empty"),
        ("r.example/../a", "'..'"),
        ("a/./b", "'.'"),
        ("-a", "'-a'"),
        ("a-", "'a-'"),
        ("a___b", "separator"),
        ("a..b/c", "host"),
        ("x/a..b", "separator"),
        ("a:", "tag"),
        ("a:-x", "tag"),
        ("a:b/c", "port"),
        ("a b", "lower-case"),
        ("a\u{1b}[31m", "lower-case"),
        ("a@sha512:00", "not a digest"),
        ("a@sha256:../../x", "not a digest"),
        ("r.example:port/a", "port"),
        ("r.example:70000/a", "port"),
        ("-r.example/a", "host"),
        ("containers-storage:a:b", "not supported"),
        ("dir:/x", "not supported"),
        ("oci-archive:", "no path"),
        ("oci-archive:x:", "nothing after"),
        (HEX, "image id"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text:?}: {error}");
        assert!(!error.contains('\u{1b}'));
    }
    assert!(parse(&"a".repeat(256)).is_err());
}
