//! Whom to trust: the host's certificates, and what certs.d adds for one registry
//! (containers-certs.d(5)).

use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::image::Error;

/// The settings for `registry` (`host[:port]`); `insecure` checks no certificate.
pub(super) fn settings(
    registry: &str,
    certs_dirs: &[PathBuf],
    insecure: bool,
) -> Result<TlsConfig, Error> {
    let folder = certs_dirs
        .iter()
        .map(|dir| dir.join(registry))
        .find(|dir| dir.is_dir());
    let mut roots = RootCerts::PlatformVerifier;
    let mut client = None;
    if let Some(folder) = &folder {
        let added = authorities(folder)?;
        if !added.is_empty() {
            roots = host_authorities().chain(added).into();
        }
        client = client_certificate(folder)?;
    }
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .client_cert(client)
        .disable_verification(insecure)
        .build())
}

fn host_authorities() -> impl Iterator<Item = Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    found
        .into_iter()
        .map(|certificate| Certificate::from_der(&certificate).to_owned())
}

fn authorities(folder: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let mut certificates = Vec::new();
    for path in files(folder, "crt")? {
        let before = certificates.len();
        certificates.extend(items(&path)?.into_iter().filter_map(certificate));
        if certificates.len() == before {
            return Err(without(&path, "certificate"));
        }
    }
    Ok(certificates)
}

/// The first `*.cert` with its `*.key`.
fn client_certificate(folder: &Path) -> Result<Option<ClientCert>, Error> {
    let Some(path) = files(folder, "cert")?.into_iter().next() else {
        return Ok(None);
    };
    let chain: Vec<_> = items(&path)?.into_iter().filter_map(certificate).collect();
    if chain.is_empty() {
        return Err(without(&path, "certificate"));
    }
    let path = path.with_extension("key");
    let Some(key) = items(&path)?.into_iter().find_map(private_key) else {
        return Err(without(&path, "private key"));
    };
    check_pair(&chain, &key).map_err(|error| Error::Configuration {
        path,
        reason: format!("it does not go with its certificate: {error}"),
    })?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}

/// The HTTP library ends the program when it is given a key that is unusable or another's
/// (ureq 3.5, `build_config`), so this is looked at before.
fn check_pair(chain: &[Certificate<'_>], key: &PrivateKey<'_>) -> Result<(), String> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let key = PrivateKeyDer::try_from(key.der().to_vec())?;
    let chain = chain
        .iter()
        .map(|c| CertificateDer::from(c.der().to_vec()))
        .collect();
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(chain, key, &provider)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn certificate(item: PemItem<'static>) -> Option<Certificate<'static>> {
    match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    }
}

fn private_key(item: PemItem<'static>) -> Option<PrivateKey<'static>> {
    match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    }
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>, Error> {
    let text = fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse_pem(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| without(path, "PEM text"))
}

fn without(path: &Path, what: &str) -> Error {
    Error::Configuration {
        path: path.to_owned(),
        reason: format!("it holds no {what}"),
    }
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let fault = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in a folder of certs.d, and how it is refused.
    fn refusal(files: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("r.example:5000");
        fs::create_dir(&folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        settings("r.example:5000", &[dir.path().to_owned()], false)
            .err()
            .map(|error| error.to_string())
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn what_cannot_be_used_is_named() {
        for (files, reason) in [
            (
                &[("ca.crt", "nothing")][..],
                "ca.crt': it holds no certificate",
            ),
            (&[("ca.crt", KEY)], "ca.crt': it holds no certificate"),
            (&[("c.cert", "")], "c.cert': it holds no certificate"),
            (&[("c.cert", CERTIFICATE)], "c.key'"),
            (
                &[("c.cert", CERTIFICATE), ("c.key", CERTIFICATE)],
                "c.key': it holds no private key",
            ),
            (
                &[("c.cert", CERTIFICATE), ("c.key", KEY)],
                "c.key': it does not go with its certificate",
            ),
        ] {
            let refusal = refusal(files).unwrap_or_default();
            assert!(refusal.contains(reason), "{reason}: {refusal}");
        }
        assert_eq!(refusal(&[("README", "")]), None);
    }
}
