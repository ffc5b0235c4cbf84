//! `sysc status`: one container, with what systemd says of its service.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::{self, Session, no_container};
use crate::cli::Status;
use crate::deployment::{Brief, ContainerName, Deployment, Journal};
use crate::host::{Systemd, UnitState};

/// As `systemctl status` exits for a unit that is not active.
const NOT_RUNNING: u8 = 3;

pub(super) fn run(options: &Status, session: &Session) -> anyhow::Result<ExitCode> {
    let name = ContainerName::parse(&options.name)?;
    let current = session::present(&name, session).transpose();
    let current = current.ok_or_else(|| no_container(&name))?;
    let (brief, deployment) = session::brief(&name, current, session)?;
    let journal = Journal::open(&session.places.storage(), &name)?;
    let unit = match Systemd::connect() {
        Ok(systemd) => systemd.show(&format!("{name}.service"))?,
        Err(_) => UnitState::default(),
    };
    if options.output.json {
        session.report.json(&as_json(&brief, &journal, &unit));
    } else {
        session
            .report
            .say(as_text(&brief, deployment.as_ref(), &journal, &unit));
    }
    let fine = unit.get("ActiveState") == "active" || !brief.has_container_service;
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_RUNNING)
    })
}

fn as_text(
    brief: &Brief,
    deployment: Option<&Deployment>,
    journal: &Journal,
    unit: &UnitState,
) -> String {
    let since = match unit.get("ActiveState") {
        "active" => unit.get("ActiveEnterTimestamp"),
        _ => unit.get("InactiveEnterTimestamp"),
    };
    let mut state = format!("{} ({})", unit.word(), unit.get("SubState"));
    if !since.is_empty() {
        state = format!("{state} since {since}");
    }
    let mut lines = vec![
        ("Image", brief.image.clone()),
        ("Digest", format!("sha256:{}", brief.revision)),
        (
            "Generation",
            format!("{} ({})", brief.serial, brief.deployment.display()),
        ),
        (
            "Unit",
            format!(
                "{} ({})",
                unit.get("FragmentPath"),
                unit.get("UnitFileState")
            ),
        ),
        ("State", state),
        ("Health", unit.health_in_full()),
    ];
    if unit.get("MainPID") != "0" {
        lines.push(("Main PID", unit.get("MainPID").to_owned()));
    }
    lines.push(("Restarts", unit.get("NRestarts").to_owned()));
    lines.extend(unit.last_exit().map(|told| ("Last exit", told)));
    if let Some(staged) = journal.staged {
        lines.push(("Staged", format!("generation {staged}")));
    }
    if journal.hold {
        lines.push(("Held", "no update before 'sysc hold --release'".to_owned()));
    }
    if let Some((event, reason)) = journal.rejected().last() {
        let serial = event.generation.serial;
        lines.push(("Rejected", format!("generation {serial}: {reason}")));
    }
    let values: Vec<_> = deployment
        .into_iter()
        .flat_map(|deployment| deployment.info.user_values.keys())
        .map(|name| (name.as_str(), "set at install"))
        .collect();
    let mut text = brief.name.clone();
    for (key, value) in lines
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .chain(values)
    {
        text.push_str(&format!("\n{key:>12}: {value}"));
    }
    text
}

fn as_json(brief: &Brief, journal: &Journal, unit: &UnitState) -> Value {
    json!({
        "name": brief.name,
        "image": brief.image,
        "digest": format!("sha256:{}", brief.revision),
        "source": brief.source,
        "generation": brief.serial,
        "deployment": brief.deployment,
        "staged": journal.staged,
        "hold": journal.hold,
        "rejected": journal.rejected().iter().map(|(event, reason)| json!({
            "generation": event.generation.serial,
            "digest": format!("sha256:{}", event.generation.revision),
            "reason": reason,
        })).collect::<Vec<_>>(),
        "created": brief.created,
        "runtime": brief.runtime,
        "unit": unit.get("FragmentPath"),
        "enabled": unit.get("UnitFileState"),
        "state": unit.word(),
        "active_state": unit.get("ActiveState"),
        "sub_state": unit.get("SubState"),
        "result": unit.get("Result"),
        "main_pid": unit.get("MainPID").parse::<u32>().unwrap_or(0),
        "restarts": unit.get("NRestarts").parse::<u32>().unwrap_or(0),
        "since": unit.get("ActiveEnterTimestamp"),
        "health": unit.health(),
        "status_text": unit.get("StatusText"),
        "watchdog": unit.watchdog(),
        "last_exit": unit.last_exit_as_json(),
    })
}
