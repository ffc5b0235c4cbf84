//! What the administrator may set: defaults, then the file, then the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the settings file is looked for.
pub const FILE: &str = "/etc/sysc/sysc.toml";

/// The settings of one run, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The OSTree repository (`$ATOMIC_OSTREE_REPO`).
    pub repository: Option<PathBuf>,
    /// The directory of the deployments (`$ATOMIC_OSTREE_CHECKOUT_PATH`).
    pub deployments: Option<PathBuf>,
    /// The OCI runtime that units call; without it the `sysc-runtime` beside this program.
    pub runtime: Option<PathBuf>,
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
    /// Reads `file`, which may be absent, and lets the environment (as `variable` tells it)
    /// have the last word.
    pub fn read(file: &Path, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut settings = match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text, file)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(source) => {
                return Err(Error::Read {
                    path: file.to_owned(),
                    source,
                });
            }
        };
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

    fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let settings: Self = toml::from_str(text).map_err(|source| Error::Parse {
            path: file.to_owned(),
            source: Box::new(source),
        })?;
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
        let variables = [("ATOMIC_OSTREE_CHECKOUT_PATH", "a/b")];
        assert!(matches!(read("", &variables), Err(Error::Relative { .. })));
    }
}
