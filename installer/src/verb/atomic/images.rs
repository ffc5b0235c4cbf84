//! `images …` with the columns, keys and filters that atomic had.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde_json::{Value, json};

use super::grammar::List;
use super::minute;
use crate::exports;
use crate::image::{Image, Reference};
use crate::report::{Report, size, table};
use crate::store::Store;
use crate::verb::images::split;
use crate::verb::session::{Session, require_root};

const HEADERS: [&str; 7] = [
    "",
    "REPOSITORY",
    "TAG",
    "IMAGE ID",
    "CREATED",
    "VIRTUAL SIZE",
    "TYPE",
];

/// An image, or with `-a` a layer, which has no name.
struct Line {
    repo: String,
    tag: String,
    id: String,
    created: u64,
    size: u64,
    used: bool,
    dangling: bool,
}

impl Line {
    fn values(&self, whole: bool) -> Vec<String> {
        let id = if whole {
            self.id.clone()
        } else {
            self.id.chars().take(12).collect()
        };
        vec![
            if self.used { ">" } else { "" }.to_owned(),
            self.repo.clone(),
            self.tag.clone(),
            id,
            minute(self.created),
            size(self.size),
            "ostree".to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "repo": self.repo, "tag": self.tag, "id": self.id,
            "created": minute(self.created), "virtual_size": size(self.size),
            "type": "ostree", "used": self.used, "is_dangling": self.dangling,
            "vulnerable": false,
        })
    }

    fn value(&self, key: &str) -> Option<String> {
        Some(match key {
            "repo" | "repository" => self.repo.clone(),
            "tag" => self.tag.clone(),
            "id" | "image_id" => self.id.clone(),
            "created" => minute(self.created),
            "size" | "virtual_size" => size(self.size),
            "type" => "ostree".to_owned(),
            "is_dangling" | "dangling" => self.dangling.to_string(),
            _ => return None,
        })
    }

    fn matches(&self, filter: &str) -> anyhow::Result<bool> {
        let found = filter
            .split_once('=')
            .and_then(|(key, text)| Some((self.value(key)?, text.to_lowercase())));
        match found {
            Some((value, text)) => Ok(value.to_lowercase().contains(&text)),
            None => bail!(
                "the filter '{filter}' is not KEY=TEXT\n\
                 help: keys are repo, tag, id, created, size, type and is_dangling"
            ),
        }
    }
}

pub(super) fn list(options: &List, session: &Session) -> anyhow::Result<ExitCode> {
    let mut lines = Vec::new();
    for line in all(options.all, session)? {
        let mut kept = true;
        for filter in &options.filter {
            kept = kept && line.matches(filter)?;
        }
        if kept {
            lines.push(line);
        }
    }
    if options.json {
        session
            .report
            .json(&lines.iter().map(Line::json).collect::<Vec<_>>().into());
    } else if options.quiet {
        let whole = options.no_trunc;
        lines
            .iter()
            .for_each(|line| session.report.say(&line.values(whole)[3]));
    } else {
        let rows: Vec<_> = lines
            .iter()
            .map(|line| line.values(options.no_trunc))
            .collect();
        say_table(&HEADERS, &rows, options.noheading, session.report);
    }
    Ok(ExitCode::SUCCESS)
}

fn all(layers: bool, session: &Session) -> anyhow::Result<Vec<Line>> {
    let Some(store) = session.look_into_store()? else {
        return Ok(Vec::new());
    };
    let used = used(session)?;
    let mut lines = Vec::new();
    for stored in store.images()? {
        let (repo, tag) = split(&stored.image.name);
        lines.push(Line {
            repo: repo.to_owned(),
            tag: tag.to_owned(),
            id: stored.image.digest.hex().to_owned(),
            created: stored.created,
            size: stored.size,
            used: used.contains(stored.image.digest.hex()),
            dangling: false,
        });
    }
    if layers {
        let none = || "<none>".to_owned();
        lines.extend(store.layers()?.into_iter().map(|layer| Line {
            repo: none(),
            tag: none(),
            id: layer.digest.hex().to_owned(),
            created: layer.created,
            size: layer.size,
            used: false,
            dangling: !layer.used,
        }));
    }
    Ok(lines)
}

/// The ids of the images that containers were made from.
fn used(session: &Session) -> anyhow::Result<BTreeSet<String>> {
    let containers = session.deployments.containers()?;
    Ok(containers
        .into_iter()
        .filter_map(|(_, current)| Some(current.ok()?.info.revision))
        .collect())
}

/// A table, with or without its first line.
pub(super) fn say_table(headers: &[&str], rows: &[Vec<String>], bare: bool, report: &Report) {
    let text = table(headers, rows);
    match (bare, text.split_once('\n')) {
        (false, _) => report.say(text),
        (true, Some((_, rest))) => report.say(rest),
        (true, None) => {}
    }
}

/// Images by their names, or by the beginning of their ids.
fn find(text: &str, store: &Store) -> anyhow::Result<Vec<Image>> {
    if let Ok(reference) = Reference::parse(text)
        && let Some(name) = reference.name()
        && let Some(stored) = store.image(&name)?
    {
        return Ok(vec![stored.image]);
    }
    let hex = text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut found = store.images()?;
    found.retain(|stored| hex && stored.image.digest.hex().starts_with(text));
    if found.is_empty() {
        return Err(missing(text));
    }
    Ok(found.into_iter().map(|stored| stored.image).collect())
}

fn missing(text: &str) -> anyhow::Error {
    anyhow!(
        "the image '{text}' is not in the repository\n\
         help: 'sysc images list' shows those that are there"
    )
}

pub(super) fn delete(
    texts: &[String],
    all: bool,
    force: bool,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    require_root("images delete")?;
    if all != texts.is_empty() {
        bail!("name images, or give --all alone");
    }
    let access = session.change_store()?;
    let store = &access.store;
    let mut images = Vec::new();
    for text in texts {
        images.extend(find(text, store)?);
    }
    if all {
        images = store
            .images()?
            .into_iter()
            .map(|stored| stored.image)
            .collect();
    }
    let used = used(session)?;
    if let Some(image) = images
        .iter()
        .find(|image| !force && used.contains(image.digest.hex()))
    {
        bail!(
            "the image '{}' is in use by a container\n\
             help: uninstall that first; --force gives up the image, and the container stays whole",
            image.name
        );
    }
    for image in &images {
        store.forget_image(&image.name)?;
        session.report.say(format_args!("deleted {}", image.name));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn tag(source: &str, target: &str, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("images tag")?;
    let access = session.change_store()?;
    let name = Reference::parse(target)?.name();
    let image = find(source, &access.store)?.into_iter().next();
    match (image, name) {
        (Some(image), Some(name)) => access.store.record_image(&Image { name, ..image })?,
        _ => bail!("'{target}' is not a name for an image"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn version(text: &str, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.look_into_store()?.ok_or_else(|| missing(text))?;
    let mut rows = Vec::new();
    for image in find(text, &store)? {
        let labels = exports::labels(&image.config)?;
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        rows.push(vec![
            image.name.clone(),
            label("version"),
            image.digest.hex().to_owned(),
        ]);
    }
    session
        .report
        .say(table(&["IMAGE NAME", "VERSION", "IMAGE ID"], &rows));
    Ok(ExitCode::SUCCESS)
}
