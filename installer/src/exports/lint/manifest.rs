//! Rules for manifest.json and the variables.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::Origin;
use super::super::error::nearest;
use super::super::manifest::{FILE, KEYS};
use super::super::values::{self, FORCED, HOST, UUID};
use super::{Finding, Subject, line_of};

pub(super) fn unknown_keys(subject: &Subject) -> Vec<Finding> {
    let text = subject.manifest.unwrap_or("{}");
    let Ok(Value::Object(keys)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    let unknown = keys.keys().filter(|key| !KEYS.contains(&key.as_str()));
    let finding = |key: &String| {
        let help = match nearest(key, KEYS.into_iter()) {
            Some(near) => format!("'{near}' may be meant"),
            None => String::new(),
        };
        Finding::advice(
            "unknown-key",
            format!("the key '{key}' has no meaning"),
            &help,
        )
        .at(FILE, line_of(text, &format!("\"{key}\"")))
    };
    unknown.map(finding).collect()
}

/// Defaults that no template uses, and those that have no effect beside the host's own value.
pub(super) fn unused_defaults(subject: &Subject) -> Vec<Finding> {
    let used: BTreeSet<&str> = subject.templates.iter().flat_map(|t| t.names()).collect();
    let text = subject.manifest.unwrap_or_default();
    let mut findings = Vec::new();
    for name in subject.exports.manifest.default_values.keys() {
        let (message, help) = if FORCED.contains(&name.as_str()) || HOST.contains(&name.as_str()) {
            let message = format!("the default of '{name}' has no effect: the host sets it");
            (message, "remove it")
        } else if !used.contains(name.as_str()) && name != UUID {
            let message = format!("no template uses the variable '{name}'");
            (message, "remove its default, or use it")
        } else {
            continue;
        };
        let line = line_of(text, &format!("\"{name}\""));
        findings.push(Finding::advice("unused-default", message, help).at(FILE, line));
    }
    findings
}

/// Whoever installs the image must give these, and is told nothing of them. The misspelling of
/// `CONF_DIRECTORY` that atomic's own pages had is told as such.
pub(super) fn undescribed_variables(subject: &Subject) -> Vec<Finding> {
    let variables = values::variables(subject.exports).unwrap_or_default();
    let mut findings = Vec::new();
    for variable in variables {
        if variable.origin != Origin::Required || variable.description.is_some() {
            continue;
        }
        let Some(place) = variable.places.first() else {
            continue;
        };
        let name = &variable.name;
        let message = format!("the variable '{name}' has neither a default nor a description");
        let help = match name.as_str() {
            "CONFIG_DIRECTORY" => "the host sets CONF_DIRECTORY".to_owned(),
            _ => format!("add it to defaultValues or variableDescriptions of {FILE}"),
        };
        let finding = Finding::advice("undescribed-variable", message, &help);
        findings.push(finding.at(&place.file, Some(place.line)));
    }
    findings
}
