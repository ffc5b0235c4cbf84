//! What the administrator may set: defaults, then the file, then the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the settings file is looked for.
pub const FILE: &str = "/etc/sysc/sysc.toml";

/// Where atomic's is looked for, unless `$ATOMIC_CONF` names another.
const ATOMIC_FILE: &str = "/etc/atomic.conf";

/// The settings of one run, checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The OSTree repository (`$ATOMIC_OSTREE_REPO`).
    pub repository: Option<PathBuf>,
    /// The directory of the deployments (`$ATOMIC_OSTREE_CHECKOUT_PATH`).
    pub deployments: Option<PathBuf>,
    /// The OCI runtime that units call; without it the `sysc-runtime` beside this program.
    pub runtime: Option<PathBuf>,
    /// How many generations of a container stay, the current one among them; at least 1.
    pub generations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            repository: None,
            deployments: None,
            runtime: None,
            generations: 2,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and cannot be read.
    #[error("cannot read the settings in '{path}'")]
    Read {
        /// The settings file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key or a value of another type.
    #[error("cannot understand the settings in '{path}'")]
    Parse {
        /// The settings file.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Not even the current generation would stay.
    #[error("'generations' in '{path}' must be at least 1, which is the current one")]
    NoGeneration {
        /// The settings file.
        path: PathBuf,
    },
    /// A directory that depends on where sysc is called from.
    #[error("'{path}', from {origin}, is not an absolute path")]
    Relative {
        /// The path as given.
        path: PathBuf,
        /// The variable or file that gave it.
        origin: String,
    },
}

impl Settings {
    /// Reads `file`, which may be absent, lets atomic's own configuration say what that leaves
    /// open, and lets the environment (as `variable` tells it) have the last word.
    pub fn read(file: &Path, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut settings = match text(file)? {
            Some(text) => Self::parse(&text, file)?,
            None => Self::default(),
        };
        let atomic = variable("ATOMIC_CONF").filter(|path| !path.is_empty());
        let atomic = atomic.map_or_else(|| PathBuf::from(ATOMIC_FILE), PathBuf::from);
        if let Some(text) = text(&atomic)? {
            settings.fill_from_atomic(&text, &atomic)?;
        }
        let overrides = [
            ("ATOMIC_OSTREE_REPO", &mut settings.repository),
            ("ATOMIC_OSTREE_CHECKOUT_PATH", &mut settings.deployments),
        ];
        for (name, place) in overrides {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                *place = Some(absolute(PathBuf::from(value), &format!("${name}"))?);
            }
        }
        Ok(settings)
    }

    /// Of its lines `KEY: VALUE`, the three that mean something here.
    fn fill_from_atomic(&mut self, text: &str, file: &Path) -> Result<(), Error> {
        let origin = format!("'{}'", file.display());
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']);
            let place = match key {
                "ostree_repository" => &mut self.repository,
                "checkout_path" => &mut self.deployments,
                "runtime" => &mut self.runtime,
                _ => continue,
            };
            if place.is_none() && !value.is_empty() {
                *place = Some(absolute(PathBuf::from(value), &origin)?);
            }
        }
        Ok(())
    }

    fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let settings: Self = toml::from_str(text).map_err(|source| Error::Parse {
            path: file.to_owned(),
            source: Box::new(source),
        })?;
        if settings.generations == 0 {
            return Err(Error::NoGeneration {
                path: file.to_owned(),
            });
        }
        let origin = format!("'{}'", file.display());
        for path in [
            &settings.repository,
            &settings.deployments,
            &settings.runtime,
        ] {
            path.clone()
                .map(|path| absolute(path, &origin))
                .transpose()?;
        }
        Ok(settings)
    }
}

/// The text of a file that may be absent.
fn text(file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: file.to_owned(),
            source,
        }),
    }
}

fn absolute(path: PathBuf, origin: &str) -> Result<PathBuf, Error> {
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(Error::Relative {
            path,
            origin: origin.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::read(file.path(), &|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let settings = read(
            "repository = '/a'\nruntime = '/r'\n",
            &[("ATOMIC_OSTREE_REPO", "/b")],
        )
        .unwrap();
        assert_eq!(settings.repository, Some("/b".into()));
        assert_eq!(settings.runtime, Some("/r".into()));
        assert_eq!(settings.deployments, None);
    }

    #[test]
    fn atomics_file_says_what_ours_leaves_open() {
        let atomic = tempfile::NamedTempFile::new().unwrap();
        let text = "# x\nostree_repository: /a\ncheckout_path: '/c'\nruntime:\nother: [\n";
        std::fs::write(atomic.path(), text).unwrap();
        let conf = [("ATOMIC_CONF", atomic.path().to_str().unwrap())];
        let settings = read("repository = '/own'", &conf).unwrap();
        assert_eq!(settings.repository, Some("/own".into()));
        assert_eq!(settings.deployments, Some("/c".into()));
        assert_eq!(settings.runtime, None);
        std::fs::write(atomic.path(), "checkout_path: relative\n").unwrap();
        assert!(matches!(read("", &conf), Err(Error::Relative { .. })));
    }

    #[test]
    fn an_absent_file_means_defaults() {
        let settings = Settings::read(Path::new("/nonexistent/sysc.toml"), &|_| None).unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn misspelt_keys_and_relative_paths_are_errors() {
        assert!(matches!(
            read("repositry = '/a'", &[]),
            Err(Error::Parse { .. })
        ));
        assert!(matches!(
            read("repository = 'a'", &[]),
            Err(Error::Relative { .. })
        ));
        assert!(matches!(
            read("generations = 0", &[]),
            Err(Error::NoGeneration { .. })
        ));
        assert_eq!(read("generations = 5", &[]).unwrap().generations, 5);
        let variables = [("ATOMIC_OSTREE_CHECKOUT_PATH", "a/b")];
        assert!(matches!(read("", &variables), Err(Error::Relative { .. })));
    }
}
