//! Tables of manifests, good and bad.

use serde_json::json;

use super::*;

fn hex(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn document(value: &Value, media_type: Option<&str>) -> Document {
    Document {
        bytes: value.to_string().into_bytes(),
        media_type: media_type.map(str::to_owned),
    }
}

fn parse(value: &Value, media_type: Option<&str>) -> Result<Parsed, String> {
    document(value, media_type)
        .parse("image")
        .map_err(|error| error.to_string())
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": hex("a"), "size": 2},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": hex("b"), "size": 9},
        ],
    })
}

fn with(mut value: Value, path: &str, new: Value) -> Value {
    let (parent, key) = path.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[key] = new;
    value
}

#[test]
fn p10_manifests_of_both_formats_are_read() {
    assert!(matches!(parse(&manifest(), None), Ok(Parsed::Manifest(_))));
    let docker = with(manifest(), "/mediaType", json!(DOCKER_MANIFEST));
    assert!(matches!(
        parse(&docker, Some(DOCKER_MANIFEST)),
        Ok(Parsed::Manifest(_))
    ));
    assert!(matches!(
        parse(&docker, Some("text/plain")),
        Ok(Parsed::Manifest(_))
    ));
    let list = json!({"mediaType": DOCKER_LIST, "manifests": []});
    assert!(matches!(
        parse(&list, Some(DOCKER_LIST)),
        Ok(Parsed::Index(_))
    ));
}

#[test]
fn s09_what_means_two_things_or_none_is_refused() {
    let layer = |key: &str, new: Value| {
        with(
            manifest(),
            "/layers",
            json!([with(manifest()["layers"][0].clone(), key, new)]),
        )
    };
    for (value, media_type, reason) in [
        (
            with(manifest(), "/manifests", json!([])),
            None,
            "both 'manifests' and 'layers'",
        ),
        (
            with(manifest(), "/mediaType", json!(OCI_INDEX)),
            None,
            "its content is another",
        ),
        (with(manifest(), "/mediaType", json!("x/y")), None, "'x/y'"),
        (
            with(manifest(), "/mediaType", json!(1)),
            None,
            "its content is another",
        ),
        (manifest(), Some(DOCKER_LIST), "its content is another"),
        (
            with(manifest(), "/schemaVersion", json!(1)),
            None,
            "schema 1",
        ),
        (json!({"fsLayers": []}), None, "schema 1"),
        (
            json!({"layers": []}),
            Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
            "schema 1",
        ),
        (json!({}), None, "neither"),
        (
            layer("/digest", json!("sha256:../../../x")),
            None,
            "not a digest",
        ),
        (layer("/digest", json!(hex("A"))), None, "not a digest"),
        (layer("/digest", json!("sha512:00")), None, "not a digest"),
        (layer("/size", json!(-1)), None, "-1"),
        (layer("/size", json!("7")), None, "u64"),
    ] {
        let error = parse(&value, media_type).unwrap_err();
        assert!(error.contains(reason), "{value}: {error}");
    }
    let not_json = Document {
        bytes: b"<html>".to_vec(),
        media_type: None,
    };
    assert!(
        not_json
            .parse("image")
            .unwrap_err()
            .to_string()
            .contains("not JSON")
    );
}

#[test]
fn p10_foreign_and_unknown_layers_are_refused_by_name() {
    for (path, media_type, reason) in [
        (
            "/layers/0",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "foreign",
        ),
        (
            "/layers/0",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "foreign",
        ),
        (
            "/layers/0",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "helm",
        ),
        (
            "/config",
            "application/vnd.oci.empty.v1+json",
            "not an image",
        ),
    ] {
        let value = with(manifest(), &format!("{path}/mediaType"), json!(media_type));
        let Ok(Parsed::Manifest(manifest)) = parse(&value, None) else {
            panic!("{value}")
        };
        let error = manifest.check("image").unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn layers_and_diff_ids_must_pair() {
    let Ok(Parsed::Manifest(manifest)) = parse(&manifest(), None) else {
        panic!()
    };
    let content = |diff_ids: Value| {
        let config = json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        manifest
            .content(config.to_string().as_bytes())
            .map_err(|error| error.to_string())
    };
    assert_eq!(content(json!([hex("b")])).unwrap().layers.len(), 1);
    assert!(
        content(json!([]))
            .unwrap_err()
            .contains("0 layers, the manifest 1")
    );
    assert!(
        content(json!([hex("c")]))
            .unwrap_err()
            .contains("has the diff id")
    );
    assert!(
        content(json!(["sha256:x"]))
            .unwrap_err()
            .contains("not a digest")
    );
    let windows = json!({"os": "windows", "rootfs": {"diff_ids": [hex("b")]}}).to_string();
    assert!(
        manifest
            .content(windows.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("'windows'")
    );
}

fn entry(digit: &str, platform: Value) -> Value {
    json!({"mediaType": OCI_MANIFEST, "digest": hex(digit), "size": 1, "platform": platform})
}

fn choose(entries: Value, platform: (&str, Option<&str>)) -> Result<String, String> {
    let index = json!({"schemaVersion": 2, "manifests": entries});
    let Ok(Parsed::Index(index)) = parse(&index, None) else {
        panic!("{index}")
    };
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: platform.0.to_owned(),
        variant: platform.1.map(str::to_owned),
    };
    index
        .choose(&platform, "image")
        .map(|descriptor| descriptor.digest.hex()[..1].to_owned())
        .map_err(|error| error.to_string())
}

#[test]
fn p10_the_first_entry_for_the_host_is_chosen() {
    let linux = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    let variant = |architecture: &str, variant: &str| json!({"os": "linux", "architecture": architecture, "variant": variant});
    let mut attestation = entry("1", linux("amd64"));
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let unknown_kind = json!({"mediaType": "x/y", "digest": "future:1", "size": -1});
    let entries = json!([
        unknown_kind,
        attestation,
        entry("2", json!({"os": "unknown", "architecture": "unknown"})),
        entry("3", json!({"os": "windows", "architecture": "amd64"})),
        entry("4", variant("arm64", "v8")),
        entry("5", linux("amd64")),
        entry("6", linux("amd64")),
        entry("7", variant("arm", "v6")),
        entry("8", variant("arm", "v7")),
        entry("9", linux("s390x")),
    ]);
    for (platform, want) in [
        (("amd64", None), "5"),
        (("arm64", Some("v8")), "4"),
        (("arm", Some("v7")), "8"),
        (("arm", Some("v6")), "7"),
        (("s390x", None), "9"),
    ] {
        assert_eq!(
            choose(entries.clone(), platform).unwrap(),
            want,
            "{platform:?}"
        );
    }
    let error = choose(entries, ("riscv64", None)).unwrap_err();
    assert!(error.contains("nothing for linux/riscv64"), "{error}");
    assert!(
        error.contains("windows/amd64, linux/arm64/v8, linux/amd64"),
        "{error}"
    );
    let bare = json!([{"mediaType": OCI_MANIFEST, "digest": hex("d"), "size": 1}]);
    assert_eq!(choose(bare, ("amd64", None)).unwrap(), "d");
}

#[test]
fn s09_a_chosen_entry_is_checked() {
    for (key, value, reason) in [
        ("digest", json!("sha256:../x"), "not a digest"),
        ("size", json!(-5), "size '-5'"),
    ] {
        let mut bad = entry("a", json!({"os": "linux", "architecture": "amd64"}));
        bad[key] = value;
        let error = choose(json!([bad]), ("amd64", None)).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
