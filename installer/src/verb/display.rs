//! `sysc install --display`: what would be written, written nowhere. Of a container that is
//! installed already, what would change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::pull::Wanted;
use super::rendering::{self, Generation};
use super::session::Session;
use super::values;
use crate::cli::Install;
use crate::deployment::{ContainerName, Deployment, Setup, upcoming_serial};
use crate::exports::{HostFile, HostFileKind, Rendered};
use crate::report::diff;

pub(super) fn run(
    wanted: &Wanted,
    name: &ContainerName,
    options: &Install,
    setup: Setup,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let missing = || {
        anyhow!(
            "the image '{0}' is not in the repository, and --display pulls nothing\n\
             help: fetch it first with 'sysc pull {0}'",
            wanted.text()
        )
    };
    let store = session.look_into_store()?.ok_or_else(missing)?;
    let image = wanted.stored(&store)?.ok_or_else(missing)?;
    let installed = session.deployments.current(name)?;
    let given = values::given(&options.values)?;
    let tree = store.merged(&image.layers)?;
    let generation = Generation {
        name,
        image: &image,
        typed: values::typed(&options.values, &given),
        former: installed.as_ref(),
        user_values: kept(installed.as_ref(), given),
        setup,
        once: false,
        root: None,
        serial: upcoming_serial(&session.places.storage())?,
        slot: session.deployments.free_slot(name),
    };
    let rendered = rendering::render(&generation, &tree, &store, session)?;
    values::check_names(&generation, &rendered, session)?;
    for warning in &rendered.warnings {
        session.report.warn(warning);
    }
    let ours = installed.as_ref().map(|d| &d.info.installed_files_checksum);
    for file in &rendered.host_files {
        let own = ours.is_some_and(|files| files.contains_key(&file.path));
        if !own
            && file.kind != HostFileKind::Dir
            && Path::new(&file.path).symlink_metadata().is_ok()
        {
            let path = &file.path;
            session.report.warn(format_args!(
                "'{path}' exists already and would be left as it is"
            ));
        }
    }
    let pieces = pieces(&rendered, &generation.slot, name, session);
    match &installed {
        None => pieces.iter().for_each(|piece| {
            session
                .report
                .say(format_args!("# {}\n{}", piece.path.display(), piece.text));
        }),
        Some(installed) => say_changes(&pieces, installed, session)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What an update would keep, and what it would be given.
fn kept(
    installed: Option<&Deployment>,
    given: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    if let Some(Deployment { info, .. }) = installed {
        values.extend(info.user_values.clone());
        let uuid = info.values.get_key_value("UUID");
        values.extend(uuid.map(|(name, value)| (name.clone(), value.clone())));
    }
    values.extend(given);
    values
}

/// One file: where it is going to be, where it stands in the deployment, and its text.
struct Piece {
    path: PathBuf,
    stored: PathBuf,
    text: String,
}

fn pieces(rendered: &Rendered, slot: &Path, name: &ContainerName, session: &Session) -> Vec<Piece> {
    let places = &session.places;
    let texts = [
        (
            slot.join("config.json"),
            "config.json".to_owned(),
            &rendered.config_json,
        ),
        (
            places.unit(name.as_str()),
            format!("{name}.service"),
            &rendered.unit,
        ),
        (
            places.tmpfile(name.as_str()),
            format!("tmpfiles-{name}.conf"),
            &rendered.tmpfiles,
        ),
    ];
    let piece = |(path, stored, text): (PathBuf, String, &Option<String>)| {
        text.as_ref().map(|text| Piece {
            path,
            stored: stored.into(),
            text: text.clone(),
        })
    };
    let own = texts.into_iter().filter_map(piece);
    own.chain(rendered.host_files.iter().map(host_piece))
        .collect()
}

/// Text is shown whole, other files by their size.
fn host_piece(file: &HostFile) -> Piece {
    let text = match &file.kind {
        HostFileKind::File(content) => content_as_text(content),
        HostFileKind::Link(target) => format!("(link to '{target}')\n"),
        HostFileKind::Dir => "(empty directory)\n".to_owned(),
    };
    Piece {
        path: PathBuf::from(&file.path),
        stored: Path::new("host").join(file.path.trim_start_matches('/')),
        text,
    }
}

fn content_as_text(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => format!("({} bytes)\n", content.len()),
    }
}

/// Piece by piece as a diff against the deployment in use.
fn say_changes(pieces: &[Piece], installed: &Deployment, session: &Session) -> anyhow::Result<()> {
    let mut unchanged = 0;
    for piece in pieces {
        let before = stored_text(&installed.dir.join(&piece.stored))?;
        match diff(&piece.path.display().to_string(), &before, &piece.text) {
            Some(text) => session.report.say(text),
            None => unchanged += 1,
        }
    }
    for path in installed.info.installed_files_checksum.keys() {
        if !pieces.iter().any(|piece| piece.path == Path::new(path)) {
            session
                .report
                .say(format_args!("- '{path}' would be removed"));
        }
    }
    session.report.note(format_args!(
        "'{}' is installed; the rest, {unchanged} of {} files, would stay as it is",
        installed.info.name,
        pieces.len()
    ));
    Ok(())
}

/// A file of the deployment as [`host_piece`] shows it; nothing where there is none.
fn stored_text(path: &Path) -> anyhow::Result<String> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(String::new());
    };
    let cannot = || format!("cannot read '{}'", path.display());
    if metadata.is_symlink() {
        let target = std::fs::read_link(path).with_context(cannot)?;
        return Ok(format!("(link to '{}')\n", target.display()));
    }
    if metadata.is_dir() {
        return Ok("(empty directory)\n".to_owned());
    }
    Ok(content_as_text(&std::fs::read(path).with_context(cannot)?))
}
