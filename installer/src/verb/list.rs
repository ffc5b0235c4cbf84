//! `sysc list`: the installed containers.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::{self, Session};
use crate::cli::Json;
use crate::deployment::Brief;
use crate::host::Systemd;
use crate::report::table;

pub(super) fn run(options: &Json, session: &Session) -> anyhow::Result<ExitCode> {
    let systemd = Systemd::connect().ok();
    let mut rows = Vec::new();
    for (name, current) in session::containers(session)? {
        match session::brief(&name, current, session) {
            Ok((brief, _)) => {
                let state = state(&brief, systemd.as_ref())?;
                rows.push((brief, state));
            }
            Err(error) => session.report.warn(format_args!("{error:#}")),
        }
    }
    if options.json {
        let all: Vec<Value> = rows
            .iter()
            .map(|(brief, state)| as_json(brief, state))
            .collect();
        session.report.json(&Value::from(all));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(brief, state)| as_row(brief, state))
        .collect();
    let headers = [
        "NAME",
        "IMAGE",
        "IMAGE ID",
        "GENERATION",
        "STATE",
        "COMMAND",
    ];
    session.report.say(table(&headers, &rows));
    Ok(ExitCode::SUCCESS)
}

/// The state in one word; `no service` for images of host files only, `unknown` where systemd
/// does not run.
pub(super) fn state(brief: &Brief, systemd: Option<&Systemd>) -> anyhow::Result<String> {
    if !brief.has_container_service {
        return Ok("no service".to_owned());
    }
    let Some(systemd) = systemd else {
        return Ok("unknown".to_owned());
    };
    Ok(systemd
        .show(&format!("{}.service", brief.name))?
        .word()
        .to_owned())
}

fn as_row(brief: &Brief, state: &str) -> Vec<String> {
    let id = brief.revision.chars().take(12).collect();
    let command = brief.command.join(" ").chars().take(40).collect();
    let generation = brief.serial.to_string();
    vec![
        brief.name.clone(),
        brief.image.clone(),
        id,
        generation,
        state.to_owned(),
        command,
    ]
}

/// The keys that atomic's list had, and the generation.
fn as_json(brief: &Brief, state: &str) -> Value {
    json!({
        "id": brief.name,
        "name": brief.name,
        "image_name": brief.image,
        "image_id": brief.revision,
        "generation": brief.serial,
        "command": brief.command,
        "created": brief.created,
        "state": state,
        "running": state == "running",
        "backend": "ostree",
        "runtime": brief.runtime,
    })
}
