//! `sysc info`: an image, as somebody sees it who is going to install it.
//!
//! The headings, and `{SET_BY_OS}` and `{DEF_VALUE}`, are those of atomic, which scripts look for.

use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::image_files::StoredFiles;
use super::session::Session;
use crate::cli;
use crate::deployment::ContainerName;
use crate::exports::{About, Exports, HostFile, HostFileKind, Origin, Variable};
use crate::image::{Image, Reference};
use crate::store::Store;

const OPTIONAL: &str = "Template variables with default value, but overridable with --set:";
const REQUIRED: &str = "Template variables that has no default value, and must be set with --set:";

pub(super) fn run(options: &cli::Info, session: &Session) -> anyhow::Result<ExitCode> {
    let missing = || {
        anyhow!(
            "the image '{}' is not in the repository\n\
             help: fetch it with 'sysc pull {0}'; 'sysc images list' shows those that are there",
            options.image
        )
    };
    let store = session.look_into_store()?.ok_or_else(missing)?;
    let image = find(&options.image, &store, session)?.ok_or_else(missing)?;
    let tree = store.merged(&image.layers)?;
    let exports = Exports::read(&StoredFiles {
        store: &store,
        tree: &tree,
    })?;
    let about = About::of(&exports, &image.config)?;
    if options.output.json {
        session.report.json(&as_json(&image, &about));
    } else {
        session.report.say(as_text(&image, &about));
    }
    Ok(ExitCode::SUCCESS)
}

/// An image by its name, or the one that a container of this name was made from.
pub(super) fn find(text: &str, store: &Store, session: &Session) -> anyhow::Result<Option<Image>> {
    let named = Reference::parse(text).map(|reference| reference.name());
    if let Ok(Some(name)) = &named
        && let Some(stored) = store.image(name)?
    {
        return Ok(Some(stored.image));
    }
    if let Ok(name) = ContainerName::parse(text)
        && let Some(container) = session.deployments.current(&name)?
    {
        let stored = store.image(&container.info.image)?;
        return Ok(stored.map(|stored| stored.image));
    }
    named?;
    Ok(None)
}

fn as_text(image: &Image, about: &About) -> String {
    let mut lines = vec![
        format!("Image Name: {}", image.name),
        format!("Image Id: {}", image.digest.hex()),
    ];
    lines.extend(
        about
            .labels
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    let listed = [
        ("Command", about.command.join(" ")),
        ("User", about.user.clone()),
        ("Ports", about.ports.join(", ")),
        ("Volumes", about.volumes.join(", ")),
        ("Configuration", about.configured_by.to_owned()),
        ("Kind", kind(about).to_owned()),
    ];
    let listed = listed.into_iter().filter(|(_, value)| !value.is_empty());
    lines.extend(listed.map(|(name, value)| format!("{name}: {value}")));
    let (required, optional): (Vec<_>, Vec<_>) = about
        .variables
        .iter()
        .partition(|variable| variable.origin == Origin::Required);
    for (title, variables) in [(OPTIONAL, optional), (REQUIRED, required)] {
        if !variables.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(variables.into_iter().flat_map(variable_lines));
        }
    }
    if !about.host_files.is_empty() {
        lines.extend([
            String::new(),
            "Files for the host, before renaming:".to_owned(),
        ]);
        lines.extend(about.host_files.iter().map(|file| file.path.clone()));
    }
    lines.join("\n")
}

fn kind(about: &About) -> &'static str {
    match (about.service, about.run_once) {
        (false, _) => "files for the host, no service",
        (true, true) => "to be run once",
        (true, false) => "service",
    }
}

fn variable_lines(variable: &Variable) -> Vec<String> {
    let value = match &variable.origin {
        Origin::Default(value) => value.as_str(),
        Origin::Host => "{SET_BY_OS}",
        Origin::Required => "{DEF_VALUE}",
    };
    let mut lines = vec![format!("{}: {value}", variable.name)];
    lines.extend(
        variable
            .description
            .iter()
            .map(|text| format!("    {text}")),
    );
    lines
}

fn as_json(image: &Image, about: &About) -> Value {
    json!({
        "image": image.name,
        "id": image.digest.hex(),
        "digest": image.digest.to_string(),
        "source": image.source,
        "labels": about.labels,
        "service": about.service,
        "run_once": about.run_once,
        "configuration": about.configured_by,
        "command": about.command,
        "user": about.user,
        "exposed_ports": about.ports,
        "volumes": about.volumes,
        "variables": about.variables.iter().map(variable_json).collect::<Vec<_>>(),
        "host_files": about.host_files.iter().map(file_json).collect::<Vec<_>>(),
    })
}

fn variable_json(variable: &Variable) -> Value {
    let (origin, value) = match &variable.origin {
        Origin::Default(value) => ("default", Some(value)),
        Origin::Host => ("host", None),
        Origin::Required => ("required", None),
    };
    let places: Vec<_> = variable.places.iter().map(ToString::to_string).collect();
    json!({
        "name": variable.name,
        "origin": origin,
        "default": value,
        "description": variable.description,
        "places": places,
    })
}

fn file_json(file: &HostFile) -> Value {
    let kind = match file.kind {
        HostFileKind::File(_) => "file",
        HostFileKind::Link(_) => "link",
        HostFileKind::Dir => "directory",
    };
    json!({"path": file.path, "mode": format!("{:04o}", file.mode), "kind": kind})
}
