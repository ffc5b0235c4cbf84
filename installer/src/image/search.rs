//! Which servers are asked for a name, in which order: containers-registries.conf(5), version 2.
//!
//! ```text
//! name ─unqualified-search-registries, aliases─▶ full names ─[[registry]] with the longest prefix─▶ Endpoints
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use super::reference::Named;
use super::{Error, Reference};

/// What the files say, merged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Registries {
    path: PathBuf,
    search: Vec<String>,
    aliases: BTreeMap<String, String>,
    /// By prefix; a later file's entry replaces an earlier one's.
    entries: BTreeMap<String, Entry>,
}

/// A repository on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `host[:port]`, as configuration and credentials name it.
    pub registry: String,
    /// As it stands in URLs.
    pub repository: String,
    /// Certificates are not checked, and plain HTTP is allowed.
    pub insecure: bool,
    /// Whether it is a mirror, and not what the name itself says.
    pub mirror: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    registry: Vec<Entry>,
    aliases: BTreeMap<String, String>,
    /// Only the older version 1 has it.
    registries: Option<toml::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Entry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Mirror {
    location: String,
    insecure: bool,
    pull_from_mirror: PullFromMirror,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFromMirror {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

impl Registries {
    /// Reads the main file and then the `*.conf` files of the folder, by name. What is not there
    /// says nothing.
    pub(super) fn read(main: &Path, folder: &Path) -> Result<Self, Error> {
        let mut merged = Self {
            path: main.to_owned(),
            ..Self::default()
        };
        for path in std::iter::once(main.to_owned()).chain(drop_ins(folder)?) {
            if let Some(text) = read_if_there(&path)? {
                merged
                    .add(&text)
                    .map_err(|reason| Error::Configuration { path, reason })?;
            }
        }
        Ok(merged)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.registries.is_some() {
            return Err("it has the form of version 1, which is not supported\nhelp: write unqualified-search-registries and [[registry]]".to_owned());
        }
        if let Some(search) = file.unqualified_search_registries {
            self.search = search;
        }
        self.aliases.extend(file.aliases);
        for mut entry in file.registry {
            if entry.prefix.is_empty() {
                entry.prefix.clone_from(&entry.location);
            }
            entry.check()?;
            self.entries.insert(entry.prefix.clone(), entry);
        }
        Ok(())
    }

    /// The full names that `named` may mean, in the order in which they are to be tried.
    pub(super) fn candidates(&self, named: &Named) -> Result<Vec<Named>, Error> {
        if named.registry.is_some() {
            return Ok(vec![named.clone()]);
        }
        if let Some(target) = self
            .aliases
            .get(&named.repository)
            .filter(|to| !to.is_empty())
        {
            return Ok(vec![self.alias(named, target)?]);
        }
        if self.search.is_empty() {
            return Err(Error::Unqualified {
                name: named.to_string(),
                path: self.path.clone(),
            });
        }
        Ok(self
            .search
            .iter()
            .map(|registry| named.in_registry(registry))
            .collect())
    }

    fn alias(&self, named: &Named, target: &str) -> Result<Named, Error> {
        match Reference::parse(target)? {
            Reference::Registry(full) if full.registry.is_some() => Ok(Named {
                tag: named.tag.clone(),
                digest: named.digest.clone(),
                ..full
            }),
            _ => Err(Error::Configuration {
                path: self.path.clone(),
                reason: format!("the alias '{target}' names no registry"),
            }),
        }
    }

    /// The servers that may have a full name: mirrors first, the primary last.
    ///
    /// # Errors
    /// [`Error::Blocked`]: then none may be asked.
    pub(super) fn endpoints(&self, named: &Named) -> Result<Vec<Endpoint>, Error> {
        let name = wire_name(named);
        let full = Named {
            tag: None,
            digest: None,
            ..named.clone()
        };
        let with_selector = match (&named.digest, &named.tag) {
            (Some(digest), _) => format!("{name}@{digest}"),
            (None, tag) => format!("{name}:{}", tag.as_deref().unwrap_or("latest")),
        };
        let Some((entry, length)) = self.longest(&with_selector) else {
            return Ok(vec![endpoint(&name, false, false)]);
        };
        if entry.blocked {
            return Err(Error::Blocked {
                image: full.to_string(),
                prefix: entry.prefix.clone(),
            });
        }
        // A prefix may reach into the tag; only what is left of the name moves along.
        let rest = name.get(length..).unwrap_or_default();
        let moved = |location: &str| format!("{location}{rest}");
        let mut endpoints: Vec<Endpoint> = entry
            .mirrors_for(named)
            .map(|mirror| endpoint(&moved(&mirror.location), mirror.insecure, true))
            .collect();
        let primary = if entry.location.is_empty() {
            name.clone()
        } else {
            moved(&entry.location)
        };
        endpoints.push(endpoint(&primary, entry.insecure, false));
        Ok(endpoints)
    }

    fn longest(&self, name: &str) -> Option<(&Entry, usize)> {
        self.entries
            .values()
            .filter_map(|entry| Some((entry, matched(&entry.prefix, name)?)))
            .max_by_key(|(_, length)| *length)
    }
}

impl Entry {
    fn check(&self) -> Result<(), String> {
        if self.prefix.is_empty() {
            return Err("a [[registry]] has neither prefix nor location".to_owned());
        }
        let locations = self.mirror.iter().map(|mirror| mirror.location.as_str());
        for location in locations.chain([self.location.as_str()]) {
            if location.contains("://") {
                return Err(format!("the location '{location}' must not have a scheme"));
            }
        }
        if self.mirror.iter().any(|mirror| mirror.location.is_empty()) {
            return Err(format!("a mirror of '{}' has no location", self.prefix));
        }
        Ok(())
    }

    fn mirrors_for(&self, named: &Named) -> impl Iterator<Item = &Mirror> {
        let by_digest = named.digest.is_some();
        self.mirror
            .iter()
            .filter(move |mirror| match mirror.pull_from_mirror {
                PullFromMirror::All => by_digest || !self.mirror_by_digest_only,
                PullFromMirror::DigestOnly => by_digest,
                PullFromMirror::TagOnly => !by_digest,
            })
    }
}

/// `registry/repository`; Docker Hub's images without a user are in `library/`.
pub(super) fn wire_name(named: &Named) -> String {
    let registry = named.registry.as_deref().unwrap_or_default();
    let library = if is_docker_hub(registry) && !named.repository.contains('/') {
        "library/"
    } else {
        ""
    };
    format!("{registry}/{library}{}", named.repository)
}

/// The names under which people write Docker Hub.
pub(super) fn is_docker_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io")
}

fn endpoint(location: &str, insecure: bool, mirror: bool) -> Endpoint {
    let (registry, repository) = location.split_once('/').unwrap_or((location, ""));
    Endpoint {
        registry: registry.to_owned(),
        repository: repository.to_owned(),
        insecure,
        mirror,
    }
}

/// How much of `name` the prefix covers: whole parts only; `*.` stands for any subdomain.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    let length = match prefix.strip_prefix('*') {
        Some(suffix) => {
            let at = name.find(suffix)?;
            let within_host = !name[..at].contains('/') && at > 0;
            within_host.then_some(at + suffix.len())?
        }
        None => name.starts_with(prefix).then_some(prefix.len())?,
    };
    let next = name[length..].chars().next();
    matches!(next, None | Some('/' | ':' | '@')).then_some(length)
}

fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fault = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(fault)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "conf")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The file's text, or none where there is no file.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
