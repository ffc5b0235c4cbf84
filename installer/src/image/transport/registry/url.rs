//! Just enough of URLs (RFC 3986) for redirects.

use ureq::http::Uri;

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url(Uri);

impl Url {
    /// Refuses what is not http(s) with a host.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.split('#').next()?.parse().ok()?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        (known && uri.host().is_some_and(|host| !host.is_empty())).then_some(Self(uri))
    }

    /// Where a `Location` leads from here.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        let scheme = if self.is_https() { "https" } else { "http" };
        let authority = self.0.authority()?;
        let absolute = if location.contains("://") && !location.starts_with(['/', '?']) {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else if location.starts_with('?') {
            format!("{scheme}://{authority}{}{location}", self.0.path())
        } else {
            let folder = self
                .0
                .path()
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{location}")
        };
        Self::parse(&absolute)
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Same scheme, host and port: credentials may go along.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        self.is_https() == other.is_https()
            && self.host().eq_ignore_ascii_case(other.host())
            && self.port() == other.port()
    }

    pub(super) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.0
            .port_u16()
            .unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Everything, for the request itself.
    pub(super) fn request(&self) -> String {
        self.0.to_string()
    }

    /// Without query and user, which may hold secrets: for people.
    pub(super) fn shown(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}{}", self.0.path())
    }
}

/// Whether `host[:port]` is this very machine: `localhost`, 127.0.0.0/8 or ::1.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lead_where_they_say() {
        let base = Url::parse("https://r.example:5000/v2/a/blobs/x?q=1").unwrap();
        for (location, want) in [
            ("/data/y?sig=1", Some("https://r.example:5000/data/y?sig=1")),
            ("y", Some("https://r.example:5000/v2/a/blobs/y")),
            ("?p=2", Some("https://r.example:5000/v2/a/blobs/x?p=2")),
            ("//cdn.example/y", Some("https://cdn.example/y")),
            ("http://cdn.example/y", Some("http://cdn.example/y")),
            ("/y?u=http://z", Some("https://r.example:5000/y?u=http://z")),
            ("ftp://cdn.example/y", None),
            ("file:///etc/passwd", None),
        ] {
            let got = base.join(location).map(|url| url.request());
            assert_eq!(got.as_deref(), want, "{location}");
        }
    }

    #[test]
    fn origins_and_secrets() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(url("https://a.example/x").same_origin(&url("https://A.example:443/y")));
        assert!(!url("https://a.example/x").same_origin(&url("http://a.example/x")));
        assert!(!url("https://a.example/x").same_origin(&url("https://a.example:444/x")));
        assert!(!url("https://a.example/x").same_origin(&url("https://b.a.example/x")));
        assert_eq!(
            url("https://u:p@a.example/x?sig=s").shown(),
            "https://a.example/x"
        );
    }

    #[test]
    fn loopback_is_known() {
        for (registry, want) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:5000", true),
            ("localhost.example", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(registry), want, "{registry}");
        }
    }
}
