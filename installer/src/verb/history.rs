//! `sysc history`: which generations were current, when and why, and which are still there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::choosing;
use super::session::{Session, no_container};
use crate::cli::History;
use crate::deployment::{Brief, ContainerName, Deployment, Event, Journal, Why};
use crate::report::{date, table};

/// Values that every generation has for itself.
const OWN: [&str; 3] = ["DESTDIR", "IMAGE_ID", "IMAGE_NAME"];

pub(super) fn run(options: &History, session: &Session) -> anyhow::Result<ExitCode> {
    let name = ContainerName::parse(&options.name)?;
    let journal = Journal::read(&session.places.storage(), &name)?;
    let journal = journal.ok_or_else(|| no_container(&name))?;
    let past = Past {
        existing: choosing::generations(&name, session)?,
        current: journal.events.last().map(|event| event.generation.serial),
        rejected: journal
            .rejected()
            .iter()
            .map(|(event, _)| event.generation.serial)
            .collect(),
        staged: journal.staged,
    };
    if options.output.json {
        let events = journal.events.iter().rev();
        let all: Vec<Value> = events.map(|event| past.as_json(event, &journal)).collect();
        let staged = past.waiting().map(|found| {
            json!({
                "generation": found.info.serial,
                "image": found.info.image,
                "digest": format!("sha256:{}", found.info.revision),
            })
        });
        session.report.json(&json!({
            "name": name.as_str(),
            "hold": journal.hold,
            "staged": staged,
            "events": all,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows: Vec<_> = past.waiting().map(staged_row).into_iter().collect();
    let events = journal.events.iter().rev();
    rows.extend(events.map(|event| past.as_row(event, &journal)));
    let headers = [
        "GENERATION",
        "SINCE",
        "WHY",
        "STATE",
        "IMAGE",
        "DIGEST",
        "CHANGED",
    ];
    session.report.say(table(&headers, &rows));
    if journal.hold {
        session.report.say(format_args!("'{name}' is held"));
    }
    Ok(ExitCode::SUCCESS)
}

struct Past {
    existing: Vec<Deployment>,
    current: Option<u64>,
    rejected: BTreeSet<u64>,
    staged: Option<u64>,
}

impl Past {
    fn waiting(&self) -> Option<&Deployment> {
        self.existing
            .iter()
            .find(|found| Some(found.info.serial) == self.staged)
    }

    /// `kept` can be gone back to.
    fn state(&self, serial: u64, journal: &Journal) -> &'static str {
        let is_there = self.is_there(serial, journal);
        if Some(serial) == self.current {
            "current"
        } else if !is_there {
            "gone"
        } else if self.rejected.contains(&serial) {
            "rejected"
        } else {
            "kept"
        }
    }

    /// Deployments cannot be looked into by everybody, but the last one at a place can be told.
    fn is_there(&self, serial: u64, journal: &Journal) -> bool {
        if !self.existing.is_empty() {
            return self
                .existing
                .iter()
                .any(|found| found.info.serial == serial);
        }
        let mut latest = journal.events.iter().rev().map(|event| &event.generation);
        let place = |of: &Brief| of.deployment.clone();
        let of = latest
            .clone()
            .find(|found| found.serial == serial)
            .map(place);
        of.is_some_and(|dir| {
            dir.is_dir()
                && latest
                    .find(|found| found.deployment == dir)
                    .is_some_and(|last| last.serial == serial)
        })
    }

    /// The values in which a generation differs from the one before it, where both can be read.
    fn changed(&self, event: &Event, journal: &Journal) -> BTreeMap<String, (String, String)> {
        let at = journal.events.iter().position(|other| other == event);
        let before = at
            .and_then(|at| at.checked_sub(1))
            .map(|at| &journal.events[at]);
        let values = |event: &Event| {
            let mut all = self.existing.iter();
            all.find(|found| found.info.serial == event.generation.serial)
                .map(|found| &found.info.values)
        };
        let (Some(before), Some(after)) = (before.and_then(values), values(event)) else {
            return BTreeMap::new();
        };
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let value = |of: &BTreeMap<String, String>, name: &String| {
            of.get(name).cloned().unwrap_or_default()
        };
        names
            .into_iter()
            .filter(|name| !OWN.contains(&name.as_str()) && before.get(*name) != after.get(*name))
            .map(|name| (name.clone(), (value(before, name), value(after, name))))
            .collect()
    }

    fn as_row(&self, event: &Event, journal: &Journal) -> Vec<String> {
        let names: Vec<String> = self.changed(event, journal).into_keys().collect();
        vec![
            event.generation.serial.to_string(),
            date(event.when),
            word(event.why).to_owned(),
            self.state(event.generation.serial, journal).to_owned(),
            event.generation.image.clone(),
            short(&event.generation.revision),
            names.join(" "),
        ]
    }

    fn as_json(&self, event: &Event, journal: &Journal) -> Value {
        let changed: serde_json::Map<String, Value> = self
            .changed(event, journal)
            .into_iter()
            .map(|(name, (before, after))| (name, json!({"before": before, "after": after})))
            .collect();
        json!({
            "generation": event.generation.serial,
            "when": event.when,
            "why": word(event.why),
            "reason": event.reason,
            "state": self.state(event.generation.serial, journal),
            "image": event.generation.image,
            "digest": format!("sha256:{}", event.generation.revision),
            "deployment": event.generation.deployment,
            "changed": changed,
        })
    }
}

fn staged_row(found: &Deployment) -> Vec<String> {
    vec![
        found.info.serial.to_string(),
        String::new(),
        String::new(),
        "staged".to_owned(),
        found.info.image.clone(),
        short(&found.info.revision),
        String::new(),
    ]
}

fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}

fn word(why: Why) -> &'static str {
    match why {
        Why::Install => "install",
        Why::Update => "update",
        Why::Switch => "switch",
        Why::Rollback => "rollback",
        Why::Rejected => "rejected",
    }
}
