//! `sysc images …`: what the repository holds.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::Session;
use crate::cli::Json;
use crate::report::{size, table};
use crate::store::StoredImage;

pub(super) fn list(options: &Json, session: &Session) -> anyhow::Result<ExitCode> {
    let images = match session.look_into_store()? {
        Some(store) => store.images()?,
        None => Vec::new(),
    };
    let used: BTreeSet<String> = session
        .deployments
        .containers()?
        .into_iter()
        .filter_map(|(_, current)| Some(current.ok()?.info.revision))
        .collect();
    if options.json {
        let all: Vec<Value> = images.iter().map(|image| as_json(image, &used)).collect();
        session.report.json(&Value::from(all));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = images.iter().map(|image| as_row(image, &used)).collect();
    session
        .report
        .say(table(&["", "REPOSITORY", "TAG", "IMAGE ID", "SIZE"], &rows));
    Ok(ExitCode::SUCCESS)
}

fn as_row(stored: &StoredImage, used: &BTreeSet<String>) -> Vec<String> {
    let (repository, tag) = split(&stored.image.name);
    let mark = if used.contains(stored.image.digest.hex()) {
        ">"
    } else {
        ""
    };
    let id = stored.image.digest.short().to_owned();
    let amount = if stored.complete {
        size(stored.size)
    } else {
        "incomplete".to_owned()
    };
    vec![
        mark.to_owned(),
        repository.to_owned(),
        tag.to_owned(),
        id,
        amount,
    ]
}

/// The keys that atomic's list had.
fn as_json(stored: &StoredImage, used: &BTreeSet<String>) -> Value {
    let (repository, tag) = split(&stored.image.name);
    json!({
        "repo": repository,
        "tag": tag,
        "id": stored.image.digest.hex(),
        "digest": stored.image.digest.to_string(),
        "created": stored.created,
        "virtual_size": stored.size,
        "type": "ostree",
        "complete": stored.complete,
        "used": used.contains(stored.image.digest.hex()),
    })
}

/// `REPOSITORY:TAG` or `REPOSITORY@DIGEST`; a colon before the last slash is a port's.
pub(super) fn split(name: &str) -> (&str, &str) {
    if let Some((repository, digest)) = name.split_once('@') {
        return (repository, digest);
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn ports_are_not_tags() {
        assert_eq!(
            split("localhost:5000/a/etcd:3"),
            ("localhost:5000/a/etcd", "3")
        );
        assert_eq!(
            split("localhost:5000/a/etcd"),
            ("localhost:5000/a/etcd", "")
        );
        assert_eq!(split("a/b@sha256:0"), ("a/b", "sha256:0"));
    }
}
