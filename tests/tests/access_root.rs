//! Who is let in, who is believed, and where a registry may send one.

use anyhow::{Result, ensure};
use base64::Engine as _;
use serde_json::json;
use sysc_tests::image::Image;
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::registry::Registry;
use sysc_tests::rogue::{Answer, Request, Rogue, honest};
use sysc_tests::tree::Suite;
use sysc_tests::watched::Watched;

fn image() -> Result<Image> {
    images::busybox(images::SERVICE)
}

fn base64(bytes: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A registry of basic access for `user:password`.
fn guarded(image: &Image, user: &str) -> Result<Rogue> {
    let (image, right) = (image.clone(), basic(user));
    Rogue::start(move |request, _| match request.header("authorization") {
        sent if sent == right => honest(&image, request),
        _ => Answer::new(401, b"{}").with("www-authenticate", "Basic realm=\"x\""),
    })
}

/// The value of the header for `USER:PASSWORD`.
fn basic(user: &str) -> String {
    format!("Basic {}", base64(user))
}

#[test]
fn p01_credentials_are_used_and_told_to_nobody() -> Result<()> {
    let image = image()?;
    let rogue = guarded(&image, "ann:se:cret")?;
    let host = Watched::with(&image)?;
    let name = rogue.reference("deep/er/box:1");
    host.refuses_pull(&name, "asks for credentials")?;
    let wrong = ["install", "--src-creds", "ann:wrong", &name];
    host.refuses(&wrong, "does not accept the credentials")?;
    host.refuses(&["install", "--src-creds", "ann", &name], "USER:PASSWORD")?;

    // The longest path counts; the file's other entries would be refused.
    let entry = |user: &str| json!({"auth": base64(user)});
    let auth = json!({"auths": {
        rogue.address(): entry("host:x"),
        rogue.reference("deep/er"): entry("ann:se:cret"),
        rogue.reference("deep"): entry("deep:x"),
    }});
    let machine = &host.machine;
    machine.sh("mkdir -p /root/.config/containers")?;
    let file = machine.path("/root/.config/containers/auth.json");
    std::fs::write(&file, auth.to_string())?;
    machine.ok(&["sysc", "pull", &name])?;
    std::fs::write(&file, "{ broken")?;
    let text = machine.run(&["sysc", "pull", &name])?.fails_with(1)?;
    ensure!(text.contains("auth.json"), "{text}");
    std::fs::remove_file(&file)?;

    machine.ok(&["sysc", "install", "--src-creds", "ann:se:cret", &name])?;
    machine.ok(&["systemctl", "start", "box-1"])?;
    let traces = "grep -rl -e 'se:cret' -e YW5uOnNlOmNyZXQ= /etc /var/lib/containers /run || true; \
                  journalctl --no-pager | grep -e 'se:cret' || true";
    assert_eq!(machine.sh(traces)?, "");
    Ok(())
}

/// A token is fetched with the credentials, and only the token goes to the registry.
#[test]
fn p01_tokens_are_fetched_for_the_repository() -> Result<()> {
    let image = image()?;
    let served = image.clone();
    let issuer = Rogue::start(|request, _| match request.header("authorization") {
        sent if sent == basic("ann:secret") => Answer::new(200, br#"{"token": "t0ken"}"#),
        _ => Answer::new(401, b"{}"),
    })?;
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"box service\"",
        issuer.address()
    );
    let rogue = Rogue::start(move |request, _| match request.header("authorization") {
        "Bearer t0ken" => honest(&served, request),
        _ => Answer::new(401, b"{}").with("www-authenticate", &challenge),
    })?;
    let machine = Machine::boot(Suite::Bookworm)?;
    let name = rogue.reference("a/box:1");
    machine.ok(&["sysc", "pull", "--src-creds", "ann:secret", &name])?;
    let asked = issuer.requests();
    ensure!(
        asked.iter().all(|r| {
            r.path.contains("service=box%20service")
                && r.path.contains("scope=repository:a/box:pull")
        }),
        "{asked:?}"
    );
    let sent = rogue.requests();
    ensure!(
        sent.iter()
            .all(|r| !r.header("authorization").starts_with("Basic")),
        "the password went to the registry: {sent:?}"
    );
    let text = machine.run(&["sysc", "install", "--name", "b", &rogue.reference("b:1")])?;
    ensure!(text.fails_with(1)?.contains("asks for credentials"));
    Ok(())
}

/// Blobs often lie elsewhere; who keeps them has no claim to the credentials (P03).
#[test]
fn p03_redirects_take_no_credentials_along() -> Result<()> {
    let image = image()?;
    let served = image.clone();
    let elsewhere = Rogue::start(move |request, _| match request.header("authorization") {
        "" => honest(&served, request),
        _ => Answer::new(400, b"{}"),
    })?;
    let (served, target) = (image.clone(), format!("http://{}", elsewhere.address()));
    let rogue = Rogue::start(move |request, _| {
        match (request.header("authorization"), request.is_blob()) {
            ("", _) => Answer::new(401, b"{}").with("www-authenticate", "Basic realm=\"x\""),
            (_, false) => honest(&served, request),
            (_, true) => {
                let location = format!("{target}{}", request.path);
                Answer::new(307, b"").with("location", &location)
            }
        }
    })?;
    let host = Watched::with(&images::busybox("other")?)?;
    host.forget_layers()?;
    let circle = Rogue::start(|request, _| Answer::new(307, b"").with("location", &request.path))?;
    host.refuses_pull(&circle.reference("box:1"), "redirects")?;
    let name = rogue.reference("box:1");
    let install = ["sysc", "install", "--src-creds", "ann:secret", &name];
    host.machine.ok(&install)?;
    ensure!(elsewhere.requests().iter().any(Request::is_blob));
    Ok(())
}

#[test]
fn a_busy_registry_is_asked_again() -> Result<()> {
    let image = image()?;
    let served = image.clone();
    let rogue = Rogue::start(move |request, count| match count {
        1 => Answer::new(429, b"").with("retry-after", "0"),
        2 => Answer::new(503, b"").with("retry-after", "0"),
        _ => honest(&served, request),
    })?;
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.ok(&["sysc", "install", &rogue.reference("box:1")])?;
    Ok(())
}

/// Whoever vouches for a registry is named in certs.d, or nobody is believed.
#[test]
fn a_registry_over_tls() -> Result<()> {
    let (image, plain) = (image()?, Registry::start()?);
    plain.push(&image, "box:1")?;
    let (registry, authority) = plain.encrypted()?;
    let name = format!("{}/box:1", registry.address());
    let host = Watched::with(&images::busybox("other")?)?;
    host.forget_layers()?;
    host.refuses_pull(&name, "certificate")?;

    let machine = &host.machine;
    let certificates = format!("/etc/containers/certs.d/{}", registry.address());
    machine.ok(&["mkdir", "-p", &certificates])?;
    machine.copy_in(&authority, &format!("{certificates}/ca.crt"))?;
    machine.ok(&["sysc", "pull", &name])?;

    machine.ok(&["rm", "-r", &certificates])?;
    let insecure = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
        registry.address()
    );
    std::fs::write(machine.path("/etc/containers/registries.conf"), insecure)?;
    machine.ok(&["sysc", "install", &name])?;
    machine.ok(&["systemctl", "start", "box-1"])?;
    Ok(())
}
