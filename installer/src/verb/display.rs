//! `sysc install --display`: what would be written, written nowhere.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::anyhow;

use super::pull::Wanted;
use super::rendering::{self, Generation};
use super::session::Session;
use crate::deployment::ContainerName;
use crate::exports::{HostFile, HostFileKind};

pub(super) fn run(
    wanted: &Wanted,
    name: &ContainerName,
    user_values: BTreeMap<String, String>,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let missing = || {
        anyhow!(
            "the image '{}' is not in the repository, and --display pulls nothing\n\
             help: fetch it first with 'sysc pull'",
            wanted.text()
        )
    };
    let store = session.look_into_store()?.ok_or_else(missing)?;
    let image = wanted.stored(&store)?.ok_or_else(missing)?;
    let tree = store.merged(&image.layers)?;
    let slot = session.deployments.free_slot(name);
    // The serial number is only taken when something is built.
    let generation = Generation {
        name,
        image: &image,
        user_values,
        serial: 0,
        slot,
    };
    let rendered = rendering::render(&generation, &tree, &store, session)?;

    let report = session.report;
    for warning in &rendered.warnings {
        report.warn(warning);
    }
    let section = |path: String, text: &str| report.say(format_args!("# {path}\n{text}"));
    if let Some(text) = &rendered.config_json {
        section(
            generation.slot.join("config.json").display().to_string(),
            text,
        );
    }
    if let Some(text) = &rendered.unit {
        section(
            session.places.unit(name.as_str()).display().to_string(),
            text,
        );
    }
    if let Some(text) = &rendered.tmpfiles {
        section(
            session.places.tmpfile(name.as_str()).display().to_string(),
            text,
        );
    }
    for file in &rendered.host_files {
        let (path, text) = describe(file);
        section(path, &text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Templates are shown whole, other files by their size.
fn describe(file: &HostFile) -> (String, String) {
    let text = match &file.kind {
        HostFileKind::File(content) if file.template => {
            String::from_utf8_lossy(content).into_owned()
        }
        HostFileKind::File(content) => format!("({} bytes, mode {:04o})", content.len(), file.mode),
        HostFileKind::Link(target) => format!("(link to '{target}')"),
        HostFileKind::Dir => "(empty directory)".to_owned(),
    };
    (file.path.clone(), text)
}
