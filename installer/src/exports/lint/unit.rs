//! Rules for the unit.

use super::super::error::nearest;
use super::super::exec::ExecForm;
use super::super::read::SERVICE;
use super::super::unit_file::UnitFile;
use super::{Finding, Subject, line_of};

/// Section headers and the settings below them.
const KNOWN: &str = include_str!("unit-keys.txt");

pub(super) fn settings(subject: &Subject) -> Vec<Finding> {
    let Some(text) = subject.exports.service.as_deref() else {
        return Vec::new();
    };
    if subject.exports.manifest.no_container_service {
        let message = "with noContainerService there is no unit, and this one is passed over";
        return vec![
            Finding::advice("unused-unit", message.to_owned(), "remove it").at(SERVICE, None),
        ];
    }
    let unit = UnitFile::parse(text);
    let mut findings: Vec<Finding> = unit
        .keys()
        .filter_map(|(section, key)| unknown(section, key, text))
        .collect();
    let form = subject
        .exports
        .unit_template()
        .map(|unit| ExecForm::of(&unit));
    let left_open = unit.last("Service", "Type").is_none();
    if matches!(form, Ok(ExecForm::Foreground)) && left_open {
        let message = "the runtime waits beside the service for as long as it runs";
        let help = "with PIDFile=$PIDFILE and ExecStopPost=$EXEC_STOPPOST nothing of it stays";
        findings.push(Finding::advice("foreground", message.to_owned(), help).at(SERVICE, None));
    }
    findings
}

fn unknown(section: &str, key: &str, text: &str) -> Option<Finding> {
    if section.starts_with("X-") || key.starts_with("X-") {
        return None;
    }
    let known = section_keys(section)?;
    if known.contains(&key) {
        return None;
    }
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("'{near}' may be meant"),
        None => String::new(),
    };
    let message = format!("systemd knows no setting '{key}' in [{section}]");
    let line = line_of(text, key);
    Some(Finding::advice("unknown-setting", message, &help).at(SERVICE, line))
}

/// The settings of a section; `None` for a section that is none of a service.
fn section_keys(section: &str) -> Option<Vec<&'static str>> {
    let header = format!("[{section}]");
    let mut lines = KNOWN.lines().skip_while(|line| *line != header);
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with('[')).collect())
}
