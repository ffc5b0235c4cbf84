//! The values that a command line gives to an image's variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

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
        let (name, path) = exports::parse_set(text).context("--set-file wants NAME=FILE")?;
        let value = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read the value of '{name}' from '{path}'"))?;
        let value = value.strip_suffix('\n').unwrap_or(&value);
        values.insert(name, value.strip_suffix('\r').unwrap_or(value).to_owned());
    }
    Ok(values)
}

/// A name that was typed, and that the image does not know, is an error before anything happens.
pub(super) fn refuse_unknown(rendered: &Rendered, image: &str) -> anyhow::Result<()> {
    match &rendered.unknown {
        None => Ok(()),
        Some(unknown) => Err(anyhow::Error::new(unknown.clone())
            .context(format!("cannot set that for the image '{image}'"))),
    }
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
