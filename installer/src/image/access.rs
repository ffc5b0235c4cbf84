//! Everything that decides how an image is reached, apart from its name.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::auth::Credentials;
use super::platform::Platform;

/// Where the configuration is, who asks, and for what kind of host.
#[derive(Clone, Debug)]
pub struct Access {
    /// containers-registries.conf(5).
    pub registries_conf: PathBuf,
    /// Its drop-ins, `*.conf` in the order of their names.
    pub registries_conf_dir: PathBuf,
    /// containers-policy.json(5).
    pub policy: PathBuf,
    /// containers-certs.d(5): folders of `HOST[:PORT]/` with `*.crt`, `*.cert` and `*.key`.
    pub certs_dirs: Vec<PathBuf>,
    /// containers-auth.json(5), in the order in which they are looked at.
    pub auth_files: Vec<PathBuf>,
    /// What `--src-creds` gave; in place of the files, and never for a mirror.
    pub credentials: Option<Credentials>,
    /// What the image has to run on.
    pub platform: Platform,
    /// Proxies, from the environment.
    pub proxies: Proxies,
    /// When to give up.
    pub patience: Patience,
    /// Sockets of container engines on this machine, the one to try first.
    pub engines: Vec<PathBuf>,
    /// Where a compressed archive is unpacked to, in a file without a name.
    pub scratch: PathBuf,
}

/// The proxy variables, as curl and Go understand them.
#[derive(Clone, Default)]
pub struct Proxies {
    /// `http_proxy`: for http URLs.
    pub http: Option<String>,
    /// `HTTPS_PROXY`, `https_proxy`: for https URLs.
    pub https: Option<String>,
    /// `NO_PROXY`, `no_proxy`: hosts and `.domains` that are reached directly.
    pub except: Vec<String>,
}

/// Bounds on trying again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts at one thing, in a row, without progress.
    pub attempts: u32,
    /// No byte for so long is a failure.
    pub stall: Duration,
    /// Before the second attempt; doubled each time.
    pub first_delay: Duration,
    /// Longest pause, also when the server asks for a longer one.
    pub longest_delay: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            stall: Duration::from_secs(30),
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(60),
        }
    }
}

impl Access {
    /// The places of the containers tools, with `credentials` in place of the stored ones.
    pub fn from_environment(credentials: Option<Credentials>) -> Self {
        let etc = Path::new("/etc/containers");
        Self {
            registries_conf: path_variable("CONTAINERS_REGISTRIES_CONF")
                .unwrap_or_else(|| etc.join("registries.conf")),
            registries_conf_dir: etc.join("registries.conf.d"),
            policy: etc.join("policy.json"),
            certs_dirs: vec![etc.join("certs.d"), PathBuf::from("/etc/docker/certs.d")],
            auth_files: auth_files(),
            credentials,
            platform: Platform::of_this_host(),
            proxies: Proxies::from_environment(),
            patience: Patience::default(),
            engines: engines(),
            scratch: path_variable("TMPDIR").unwrap_or_else(|| PathBuf::from("/var/tmp")),
        }
    }
}

impl Proxies {
    fn from_environment() -> Self {
        let first = |names: [&str; 2]| names.into_iter().find_map(variable);
        let except = first(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            // Not HTTP_PROXY: under CGI it is the visitor's header (httpoxy).
            http: variable("http_proxy").or_else(|| variable("ALL_PROXY")),
            https: first(["https_proxy", "HTTPS_PROXY"]).or_else(|| variable("ALL_PROXY")),
            except: except
                .split([',', ' '])
                .filter(|e| !e.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A proxy's URL may hold its password.
        f.debug_struct("Proxies")
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

/// `$REGISTRY_AUTH_FILE` alone, or the usual ones.
fn auth_files() -> Vec<PathBuf> {
    if let Some(file) = path_variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let uid = nix::unistd::geteuid();
    let runtime = path_variable("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/containers/{uid}")),
        |runtime| runtime.join("containers"),
    );
    let home = path_variable("HOME").unwrap_or_else(|| PathBuf::from("/root"));
    let config = path_variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    vec![
        runtime.join("auth.json"),
        config.join("containers/auth.json"),
        home.join(".docker/config.json"),
    ]
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What `$DOCKER_HOST` names, or else where Docker's and podman's are.
fn engines() -> Vec<PathBuf> {
    let named = env::var("DOCKER_HOST").ok();
    match named
        .as_deref()
        .and_then(|host| host.strip_prefix("unix://"))
    {
        Some(path) => vec![PathBuf::from(path)],
        None => ["/run/docker.sock", "/run/podman/podman.sock"]
            .map(PathBuf::from)
            .into(),
    }
}

fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
