//! Registries that break off, or lie.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Image, digest};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::rogue::{Answer, Request, Rogue, honest};
use sysc_tests::tree::Suite;
use sysc_tests::watched::{REPO, Watched};

fn image() -> Result<Image> {
    images::busybox(images::SERVICE)
}

/// The digest of the largest blob: a layer.
fn layer(image: &Image) -> String {
    let largest = image.blobs().max_by_key(|(_, blob)| blob.len());
    largest
        .map(|(digest, _)| digest.clone())
        .unwrap_or_default()
}

/// What was asked of one blob: where each request wanted to begin.
fn asked(rogue: &Rogue, digest: &str) -> Vec<usize> {
    let of_it = |request: &Request| request.path.ends_with(digest);
    let requests = rogue.requests().into_iter().filter(of_it);
    requests.map(|r| r.from().unwrap_or(0)).collect()
}

/// A registry whose manifest is edited, and its digest announced as it then is.
fn edited(image: &Image, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Result<Rogue> {
    let image = image.clone();
    Rogue::start(move |request, _| {
        let answer = honest(&image, request);
        if !request.path.contains("/manifests/") {
            return answer;
        }
        let top = &image.manifests()[image.manifests().len() - 1];
        let mut manifest = serde_json::from_slice(&top.bytes).unwrap_or_default();
        edit(&mut manifest);
        let bytes = manifest.to_string().into_bytes();
        Answer::new(200, &bytes)
            .with("content-type", &top.media_type)
            .with("docker-content-digest", &digest(&bytes))
    })
}

/// A layer that breaks off half-way, once; what the server then says to `Range` is up to `again`.
fn breaks_off(
    image: &Image,
    again: impl Fn(&Request, Answer, usize) -> Answer + Send + Sync + 'static,
) -> Result<(Rogue, usize)> {
    let (image, layer) = (image.clone(), layer(image));
    let half = image
        .blobs()
        .find(|(digest, _)| **digest == layer)
        .map_or(0, |(_, blob)| blob.len() / 2);
    let rogue = Rogue::start(move |request, count| {
        let answer = honest(&image, request);
        match (request.path.ends_with(&layer), count) {
            (false, _) => answer,
            (true, 1) => answer.cut_after(half),
            (true, _) => again(request, answer, count),
        }
    })?;
    Ok((rogue, half))
}

#[test]
fn p05_a_blob_goes_on_where_it_broke_off() -> Result<()> {
    let (image, machine) = (image()?, Machine::boot(Suite::Bookworm)?);
    let (rogue, half) = breaks_off(&image, |_, answer, _| answer)?;
    machine.ok(&["sysc", "install", &rogue.reference("box:1")])?;
    assert_eq!(asked(&rogue, &layer(&image)), [0, half]);
    machine.ok(&["systemctl", "start", "box-1"])?;
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

#[test]
fn p05_a_server_without_ranges_begins_again() -> Result<()> {
    let (image, machine) = (image()?, Machine::boot(Suite::Bookworm)?);
    let whole = image.clone();
    let (rogue, half) = breaks_off(&image, move |request, _, _| {
        let mut plain = request.clone();
        plain.headers.remove("range");
        honest(&whole, &plain)
    })?;
    machine.ok(&["sysc", "pull", &rogue.reference("box:1")])?;
    assert_eq!(asked(&rogue, &layer(&image)), [0, half]);
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

#[test]
fn p05_a_wrong_range_and_no_end_are_refused() -> Result<()> {
    let image = image()?;
    let host = Watched::with(&images::busybox("other")?)?;
    host.forget_layers()?;
    let body = image.clone();
    let (wrong, half) = breaks_off(&image, move |request, _, _| {
        let mut plain = request.clone();
        plain.headers.remove("range");
        let whole = honest(&body, &plain).with("content-range", "bytes 0-9/10");
        whole.with_status(206)
    })?;
    let install = |rogue: &Rogue| rogue.reference("box:1");
    host.refuses(
        &["install", &install(&wrong)],
        &format!("bytes from {half}"),
    )?;

    let (never, half) = breaks_off(&image, |_, answer, _| answer.cut_after(0))?;
    let broke = format!("broke off after {half} of");
    host.refuses_pull(&install(&never), &broke)?;
    let attempts = asked(&never, &layer(&image));
    ensure!(
        attempts.len() <= 10 && attempts[1..].iter().all(|from| *from == half),
        "{attempts:?}"
    );
    a_good_pull_works(&host, &image)
}

/// After all refusals, what is good is installed, from the beginning to the end.
fn a_good_pull_works(host: &Watched, image: &Image) -> Result<()> {
    let registry = Registry::start()?;
    let good = registry.push(image, "good:1")?;
    host.machine.ok(&["sysc", "install", &good])?;
    host.machine.ok(&["systemctl", "start", "good-1"])?;
    host.machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

#[test]
fn p06_blobs_that_are_not_what_was_promised() -> Result<()> {
    let image = image()?;
    let host = Watched::with(&image)?;
    host.forget_layers()?;
    for (digest, blob) in image.blobs() {
        let short = &digest["sha256:".len()..][..12];
        let changed: [fn(&mut Vec<u8>); 3] = [
            |body| {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            },
            |body| body.push(b' '),
            |body| body.truncate(body.len() / 2),
        ];
        for change in changed {
            let (served, bad) = (image.clone(), digest.clone());
            let rogue = Rogue::start(move |request, _| {
                let answer = honest(&served, request);
                if request.path.ends_with(&bad) && request.from().is_none() {
                    answer.with_body(change)
                } else if request.path.ends_with(&bad) {
                    // There is no more.
                    Answer::new(416, b"")
                } else {
                    answer
                }
            })?;
            host.refuses_pull(&rogue.reference("box:1"), short)
                .with_context(|| format!("of {} bytes", blob.len()))?;
        }
    }
    let sizes: [fn(&mut Value); 2] = [
        |m| m["layers"][0]["size"] = json!(1000),
        |m| m["config"]["size"] = json!(7),
    ];
    for edit in sizes {
        let rogue = edited(&image, edit)?;
        host.refuses_pull(&rogue.reference("box:1"), "expected")?;
    }
    a_good_pull_works(&host, &image)
}

/// The digest that the user named is the one that counts.
#[test]
fn p06_a_manifest_other_than_the_one_named() -> Result<()> {
    let (image, other) = (image()?, images::busybox("exit 1")?);
    let host = Watched::with(&other)?;
    let (served, wanted) = (other.clone(), image.digest().to_owned());
    let rogue = Rogue::start(move |request, _| honest(&served, request))?;
    let by_digest = rogue.reference(&format!("box@{wanted}"));
    host.refuses_pull(&by_digest, &wanted)?;
    let both = rogue.reference(&format!("box:1@{wanted}"));
    host.refuses_pull(&both, &wanted)?;

    let served = other.clone();
    let liar = Rogue::start(move |request, _| {
        let answer = honest(&served, request);
        if request.path.contains("/manifests/") {
            answer.with_body(|body| body.push(b'\n'))
        } else {
            answer
        }
    })?;
    host.refuses_pull(&liar.reference("box:1"), other.digest())?;
    a_good_pull_works(&host, &image)
}

/// Refused before a second request, so that no odd path is ever asked for (S09).
#[test]
fn s09_manifests_that_mean_two_things_or_none() -> Result<()> {
    let image = image()?;
    let host = Watched::with(&image)?;
    let hex = &layer(&image)["sha256:".len()..].to_owned();
    let digests = [
        "sha256:../../../x".to_owned(),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", &hex[1..]),
        format!("md5:{}", &hex[..32]),
        "sha256:".to_owned(),
        String::new(),
    ];
    let mut rogues = Vec::new();
    for digest in digests {
        let set = digest.clone();
        rogues.push(edited(&image, move |m| {
            m["layers"][0]["digest"] = json!(set);
        })?);
        rogues.push(edited(&image, move |m| {
            m["config"]["digest"] = json!(digest);
        })?);
    }
    let edits: [fn(&mut Value); 6] = [
        |m| m["layers"][0]["size"] = json!(-1),
        |m| m["manifests"] = json!([]),
        |m| m["mediaType"] = json!("application/vnd.oci.image.index.v1+json"),
        |m| m["schemaVersion"] = json!(1),
        |m| m["layers"][0]["mediaType"] = json!("application/x-shellscript"),
        |m| *m = json!("no manifest"),
    ];
    for edit in edits {
        rogues.push(edited(&image, edit)?);
    }
    for rogue in rogues {
        host.refuses_pull(&rogue.reference("box:1"), "manifest")?;
        ensure!(
            !rogue.requests().iter().any(Request::is_blob),
            "{:?}",
            rogue.requests()
        );
    }
    Ok(())
}
