//! Units of ours that nothing here knows: a change of the host brought them back after their
//! container had gone.

use std::collections::BTreeSet;
use std::path::Path;

use super::apply::look;
use super::plan::Found;
use super::switch::Site;
use super::{Error, Ledger};
use crate::deployment::Deployments;

/// Says of a unit whose it is.
const MARKER: &str = "X-Sysc-Generation=";
/// Names a file of the deployment.
const ASSERTION: &str = "AssertPathExists=";

/// A ledger for each stray unit, from which it can be taken down.
pub(super) fn strays(site: &Site) -> Result<Vec<Ledger>, Error> {
    let places = site.places;
    let mut known = Ledger::names(&places.storage())?;
    let containers = Deployments::new(&places.deployments).containers()?;
    known.extend(containers.iter().map(|(name, _)| name.to_string()));
    let entries = match std::fs::read_dir(&places.units) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::io("read", &places.units, source)),
    };
    let units = entries.flatten().map(|entry| entry.path());
    Ok(units
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "service")
        })
        .filter_map(|path| stray(&path, &places.deployments, &known))
        .map(|(name, path)| ledger(&name, &path, &places.tmpfile(&name)))
        .collect())
}

/// The name of the container that the unit at `path` is of, if there is no such container and
/// its deployment was in `deployments`, where it is no more.
fn stray(
    path: &Path,
    deployments: &Path,
    known: &BTreeSet<String>,
) -> Option<(String, std::path::PathBuf)> {
    if path.is_symlink() {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let value = |key: &str| text.lines().rev().find_map(|line| line.strip_prefix(key));
    let (name, _) = value(MARKER)?.rsplit_once('/')?;
    let asserted = Path::new(value(ASSERTION)?);
    let ours = asserted.starts_with(deployments) && !asserted.exists();
    let called_so = path.file_stem().is_some_and(|stem| stem == name);
    (ours && called_so && !known.contains(name)).then(|| (name.to_owned(), path.to_owned()))
}

fn ledger(name: &str, unit: &Path, tmpfile: &Path) -> Ledger {
    let mut ledger = Ledger::new(name, 0);
    ledger.unit = Some(format!("{name}.service"));
    for path in [unit, tmpfile] {
        if let Found::Content(sha256) = look(path) {
            ledger.own.insert(path.to_owned());
            ledger.files.insert(path.to_owned(), Some(sha256));
        }
    }
    ledger
}
