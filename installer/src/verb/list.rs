//! `sysc list`: the installed containers.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::Session;
use crate::cli::Json;
use crate::deployment::Info;
use crate::host::Systemd;
use crate::report::table;

pub(super) fn run(options: &Json, session: &Session) -> anyhow::Result<ExitCode> {
    let systemd = Systemd::connect().ok();
    let mut rows = Vec::new();
    for (_, current) in session.deployments.containers()? {
        match current {
            Ok(current) => {
                let state = state(&current.info, systemd.as_ref())?;
                rows.push((current.info, state));
            }
            Err(error) => session.report.warn(error),
        }
    }
    if options.json {
        let all: Vec<Value> = rows
            .iter()
            .map(|(info, state)| as_json(info, state))
            .collect();
        session.report.json(&Value::from(all));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(info, state)| as_row(info, state))
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
pub(super) fn state(info: &Info, systemd: Option<&Systemd>) -> anyhow::Result<String> {
    if !info.has_container_service {
        return Ok("no service".to_owned());
    }
    let Some(systemd) = systemd else {
        return Ok("unknown".to_owned());
    };
    Ok(systemd
        .show(&format!("{}.service", info.name))?
        .word()
        .to_owned())
}

fn as_row(info: &Info, state: &str) -> Vec<String> {
    let id = info.revision.chars().take(12).collect();
    let command = info.command.join(" ").chars().take(40).collect();
    let generation = info.serial.to_string();
    vec![
        info.name.clone(),
        info.image.clone(),
        id,
        generation,
        state.to_owned(),
        command,
    ]
}

/// The keys that atomic's list had, and the generation.
fn as_json(info: &Info, state: &str) -> Value {
    json!({
        "id": info.name,
        "name": info.name,
        "image_name": info.image,
        "image_id": info.revision,
        "generation": info.serial,
        "command": info.command,
        "created": info.created,
        "state": state,
        "running": state == "running",
        "backend": "ostree",
        "runtime": info.runtime,
    })
}
