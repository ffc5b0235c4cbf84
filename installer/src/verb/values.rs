//! The values that a command line gives to an image's variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::rendering::Generation;
use super::session::Session;
use crate::cli;
use crate::exports::{self, Rendered};
use crate::host;

/// Reads them off the options. A file's value is its text without the last line end, since
/// editors add one that nobody means.
pub(super) fn given(options: &cli::Values) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for text in &options.set {
        let (name, value) = exports::parse_set(text)?;
        values.insert(name, value);
    }
    for text in &options.set_file {
        let (name, path) = exports::parse_set(text).context("cannot understand --set-file")?;
        let value = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read the value of '{name}' from '{path}'"))?;
        let value = value.strip_suffix('\n').unwrap_or(&value);
        values.insert(name, value.strip_suffix('\r').unwrap_or(value).to_owned());
    }
    Ok(values)
}

/// The names that the image must know: those that were typed, and not those that are kept.
pub(super) fn typed(options: &cli::Values, given: &BTreeMap<String, String>) -> BTreeSet<String> {
    match options.lenient {
        true => BTreeSet::new(),
        false => given.keys().cloned().collect(),
    }
}

/// A name that was typed, and that the image does not know, is an error before anything happens;
/// another one is told.
pub(super) fn check_names(
    generation: &Generation,
    rendered: &Rendered,
    session: &Session,
) -> anyhow::Result<()> {
    let Some(unknown) = &rendered.unknown else {
        return Ok(());
    };
    if unknown
        .names
        .iter()
        .any(|name| generation.typed.contains(name))
    {
        let image = &generation.image.name;
        return Err(anyhow::Error::new(unknown.clone())
            .context(format!("cannot set that for the image '{image}'")));
    }
    for name in &unknown.names {
        session.report.warn(format_args!(
            "the image has no variable '{name}'; its value has no effect"
        ));
    }
    Ok(())
}

/// The runtime that `--runtime` names, if it can be one.
pub(super) fn runtime(path: &Path) -> anyhow::Result<PathBuf> {
    host::find_runtime(path).with_context(|| {
        format!(
            "the runtime '{}' is not installed\n\
             help: --runtime wants the path of an OCI runtime, or its name in PATH",
            path.display()
        )
    })
}
