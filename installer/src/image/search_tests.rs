//! Tables of names and the servers that are asked for them.

use super::*;

fn registries(text: &str) -> Registries {
    let mut registries = Registries {
        path: "/conf".into(),
        ..Registries::default()
    };
    registries.add(text).unwrap();
    registries
}

fn asked(conf: &str, name: &str) -> Result<Vec<String>, Error> {
    let Reference::Registry(named) = Reference::parse(name)? else {
        panic!("{name}")
    };
    let registries = registries(conf);
    let mut asked = Vec::new();
    for full in registries.candidates(&named)? {
        for endpoint in registries.endpoints(&full)? {
            let insecure = if endpoint.insecure { " insecure" } else { "" };
            asked.push(format!(
                "{}/{}{insecure}",
                endpoint.registry, endpoint.repository
            ));
        }
    }
    Ok(asked)
}

const DIGEST: &str = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const CONF: &str = r#"
    unqualified-search-registries = ["docker.io", "quay.io"]
    unknown-key = 1
    [aliases]
    "short" = "r.example/long/name"
    [[registry]]
    prefix = "r.example"
    location = "elsewhere.example/base"
    insecure = true
    [[registry]]
    prefix = "r.example/ns"
    [[registry.mirror]]
    location = "m1.example/x"
    [[registry.mirror]]
    location = "m2.example"
    insecure = true
    pull-from-mirror = "digest-only"
    [[registry.mirror]]
    location = "m3.example"
    pull-from-mirror = "tag-only"
    short-name-mode = "enforcing"
    [[registry]]
    prefix = "*.wild.example"
    [[registry.mirror]]
    location = "wild.local/all"
    [[registry]]
    location = "digests.example"
    mirror-by-digest-only = true
    [[registry.mirror]]
    location = "m4.example"
    [[registry]]
    location = "bad.example"
    blocked = true
    [[registry]]
    prefix = "docker.io"
    [[registry.mirror]]
    location = "hub.local"
"#;

#[test]
fn p08_mirrors_in_order_then_the_primary() {
    for (name, want) in [
        ("other.example/a", vec!["other.example/a"]),
        (
            "r.example/a/b:1",
            vec!["elsewhere.example/base/a/b insecure"],
        ),
        (
            "r.example/ns/a",
            vec!["m1.example/x/a", "m3.example/a", "r.example/ns/a"],
        ),
        (
            "r.example/nsx/a",
            vec!["elsewhere.example/base/nsx/a insecure"],
        ),
        (
            "a.wild.example/b",
            vec!["wild.local/all/b", "a.wild.example/b"],
        ),
        ("wild.example/b", vec!["wild.example/b"]),
        ("digests.example/a:1", vec!["digests.example/a"]),
        (
            "docker.io/busybox",
            vec!["hub.local/library/busybox", "docker.io/library/busybox"],
        ),
        ("docker.io/u/a", vec!["hub.local/u/a", "docker.io/u/a"]),
        ("short:3", vec!["elsewhere.example/base/long/name insecure"]),
        (
            "busybox",
            vec![
                "hub.local/library/busybox",
                "docker.io/library/busybox",
                "quay.io/busybox",
            ],
        ),
    ] {
        assert_eq!(asked(CONF, name).unwrap(), want, "{name}");
    }
    for (name, want) in [
        (
            "r.example/ns/a",
            vec!["m1.example/x/a", "m2.example/a insecure", "r.example/ns/a"],
        ),
        (
            "digests.example/a",
            vec!["m4.example/a", "digests.example/a"],
        ),
    ] {
        assert_eq!(
            asked(CONF, &format!("{name}{DIGEST}")).unwrap(),
            want,
            "{name}"
        );
    }
}

#[test]
fn blocked_and_unqualified_are_errors_that_say_so() {
    let blocked = asked(CONF, "bad.example/a").unwrap_err().to_string();
    assert!(blocked.contains("'bad.example/a' is blocked"), "{blocked}");
    let unqualified = asked("", "busybox").unwrap_err().to_string();
    assert!(
        unqualified.contains("help: write the registry"),
        "{unqualified}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, reason) in [
        ("[registries.search]\nregistries = ['a']", "version 1"),
        (
            "[[registry]]\nblocked = true",
            "neither prefix nor location",
        ),
        ("[[registry]]\nlocation = 'https://a.example'", "scheme"),
        (
            "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\n",
            "no location",
        ),
        ("= nonsense", "TOML"),
    ] {
        let error = Registries::default().add(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn drop_ins_override_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("main", "unqualified-search-registries = ['main']").unwrap();
    write("20.conf", "unqualified-search-registries = ['twenty']").unwrap();
    write("10.conf", "unqualified-search-registries = ['ten']").unwrap();
    write("99.other", "unqualified-search-registries = ['other']").unwrap();
    let registries = Registries::read(&main, folder.path()).unwrap();
    assert_eq!(registries.search, ["twenty"]);
    write("30.conf", "]").unwrap();
    let error = Registries::read(&main, folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("30.conf"), "{error}");
}
