//! `sysc lint`: what an image's author should look at, for people and for CI.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use super::image_files::StoredFiles;
use super::session::Session;
use super::{info, values};
use crate::cli::Lint;
use crate::exports::LocalExports;
use crate::exports::lint::{Finding, Level, lint};

pub(super) fn run(options: &Lint, session: &Session) -> anyhow::Result<ExitCode> {
    let values = values::given(&options.values)?;
    let dir = Path::new(&options.target);
    let findings = if dir.is_dir() {
        let dir = exports_of(dir)?;
        let files =
            LocalExports::open(&dir).with_context(|| format!("cannot read '{}'", dir.display()))?;
        lint(&files, None, &values)
    } else {
        let missing = || {
            anyhow!(
                "'{0}' is neither a directory nor an image in the repository\n\
                 help: fetch it first with 'sysc pull {0}'",
                options.target
            )
        };
        let store = session.look_into_store()?.ok_or_else(missing)?;
        let image = info::find(&options.target, &store, session)?.ok_or_else(missing)?;
        let tree = store.merged(&image.layers)?;
        let files = StoredFiles {
            store: &store,
            tree: &tree,
        };
        lint(&files, Some(&image.config), &values)
    };
    if options.json {
        session.report.json(&as_json(&findings));
    } else {
        findings
            .iter()
            .for_each(|finding| session.report.say(as_text(finding)));
    }
    let bad = |finding: &Finding| finding.level == Level::Error || options.strict;
    Ok(match findings.iter().any(bad) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// A folder is the source of an image, with `exports` in it, or such a folder itself.
fn exports_of(dir: &Path) -> anyhow::Result<PathBuf> {
    let inner = dir.join("exports");
    if inner.is_dir() {
        return Ok(inner);
    }
    let files = [
        "manifest.json",
        "config.json",
        "config.json.template",
        "service.template",
        "hostfs",
    ];
    if files.iter().any(|file| dir.join(file).exists()) {
        return Ok(dir.to_owned());
    }
    bail!(
        "'{}' has no 'exports' in it, nor what belongs there\n\
         help: 'sysc new NAME' writes a first one",
        dir.display()
    )
}

/// As compilers write it, so that editors find the place.
fn as_text(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Error => "error",
        Level::Advice => "advice",
    };
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, _) => String::new(),
    };
    let mut text = format!("{place}{level}: {} [{}]", finding.message, finding.rule);
    if let Some(help) = &finding.help {
        text.push_str(&format!("\n    help: {help}"));
    }
    text
}

fn as_json(findings: &[Finding]) -> Value {
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let finding = |finding: &Finding| {
        json!({
            "level": match finding.level {
                Level::Error => "error",
                Level::Advice => "advice",
            },
            "rule": finding.rule,
            "file": finding.file,
            "line": finding.line,
            "message": finding.message,
            "help": finding.help,
        })
    };
    json!({
        "errors": count(Level::Error),
        "advice": count(Level::Advice),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
