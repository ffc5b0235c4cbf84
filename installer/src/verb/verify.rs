//! `sysc verify`: everything against its checksum.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::{Session, current, require_root};
use crate::cli::Verify;
use crate::deployment::{ContainerName, Deployment};
use crate::image::Digest;
use crate::projection::{Ledger, changed_on_host};
use crate::store::{Store, Verified};

pub(super) fn run(options: &Verify, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("verify")?;
    let mut names = Vec::new();
    for name in &options.names {
        let name = ContainerName::parse(name)?;
        current(&name, session)?;
        names.push(name.to_string());
    }
    let survey = session.deployments.survey()?;
    let mut findings: Vec<Finding> = survey.damaged.iter().map(|dir| Finding::of(dir)).collect();
    let mut seen = Verified::default();
    if let Some(store) = session.look_into_store()? {
        let asked = |found: &&Deployment| names.is_empty() || names.contains(&found.info.name);
        for deployment in survey.deployments.iter().filter(asked) {
            findings.extend(verify(deployment, &store, &mut seen));
        }
    }
    for name in Ledger::names(&session.places.storage())? {
        if names.is_empty() || names.contains(&name) {
            findings.extend(on_host(&name, session)?);
        }
    }
    tell(&findings, options, session);
    let damaged = findings.iter().any(|finding| finding.damage);
    Ok(if damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Something that is not as it was written.
struct Finding {
    container: String,
    generation: Option<u64>,
    path: String,
    problem: String,
    /// Not an administrator's change.
    damage: bool,
}

impl Finding {
    /// A directory that should be a deployment.
    fn of(dir: &Path) -> Self {
        Self {
            container: String::new(),
            generation: None,
            path: dir.join("info").display().to_string(),
            problem: "it cannot be understood".to_owned(),
            damage: true,
        }
    }
}

/// A deployment: the objects of its tree, the tree itself, and its files for the host.
fn verify(deployment: &Deployment, store: &Store, seen: &mut Verified) -> Vec<Finding> {
    let finding = |path: String, problem: String| Finding {
        container: deployment.info.name.clone(),
        generation: Some(deployment.info.serial),
        path,
        problem,
        damage: true,
    };
    let rootfs = deployment.dir.join("rootfs");
    // The tree may be another's (`--rootfs`), and is verified there.
    let own = rootfs.symlink_metadata().is_ok_and(|found| found.is_dir());
    let commit = &deployment.info.ostree_commit;
    let mut findings = Vec::new();
    match store.verify_tree(commit, own.then_some(rootfs.as_path()), seen) {
        Ok(damages) => findings.extend(
            damages
                .into_iter()
                .map(|damage| finding(damage.path, damage.problem.to_owned())),
        ),
        // What is missing cannot be looked beyond: one thing is told, and the next one then.
        Err(error) => {
            let text = format!("{:#}", anyhow::Error::new(error));
            let text = text.lines().next().unwrap_or_default().to_owned();
            findings.push(finding("/".to_owned(), text));
        }
    }
    for (path, checksum) in &deployment.info.installed_files_checksum {
        let kept = deployment
            .dir
            .join("host")
            .join(path.trim_start_matches('/'));
        if content(&kept).is_none_or(|content| content != *checksum) {
            findings.push(finding(
                kept.display().to_string(),
                "it is not what was written".to_owned(),
            ));
        }
    }
    findings
}

/// The checksum of a kept host file, as `info` has it.
fn content(path: &Path) -> Option<String> {
    let found = path.symlink_metadata().ok()?;
    let hex = |bytes: &[u8]| Digest::of(bytes).hex().to_owned();
    Some(if found.is_dir() {
        String::new()
    } else if found.is_symlink() {
        hex(std::fs::read_link(path)
            .ok()?
            .as_os_str()
            .as_encoded_bytes())
    } else {
        hex(&std::fs::read(path).ok()?)
    })
}

/// What was written on the host: missing, or changed since.
fn on_host(name: &str, session: &Session) -> anyhow::Result<Vec<Finding>> {
    let Some(ledger) = Ledger::read(&session.places.storage(), name)? else {
        return Ok(Vec::new());
    };
    let finding = |(path, missing): (PathBuf, bool)| Finding {
        container: name.to_owned(),
        generation: Some(ledger.serial),
        path: path.display().to_string(),
        problem: if missing {
            "it is missing on this host"
        } else {
            "it was changed on this host"
        }
        .to_owned(),
        damage: missing,
    };
    Ok(changed_on_host(&ledger).into_iter().map(finding).collect())
}

fn tell(findings: &[Finding], options: &Verify, session: &Session) {
    let report = session.report;
    if options.output.json {
        let as_json = |finding: &Finding| {
            json!({
                "container": finding.container,
                "generation": finding.generation,
                "path": finding.path,
                "problem": finding.problem,
                "damage": finding.damage,
            })
        };
        report.json(&Value::from(
            findings.iter().map(as_json).collect::<Vec<_>>(),
        ));
        return;
    }
    for finding in findings {
        let generation = finding
            .generation
            .map_or_else(String::new, |serial| format!(" (generation {serial})"));
        report.say(format_args!(
            "{}{generation}: '{}': {}",
            finding.container, finding.path, finding.problem
        ));
    }
    if findings.is_empty() {
        report.say("everything is as it was written");
    }
}
