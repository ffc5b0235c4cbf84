//! `sysc status`: one container, with what systemd says of its service.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::session::{Session, no_container};
use crate::cli::Status;
use crate::deployment::{ContainerName, Deployment};
use crate::host::{Systemd, UnitState};

/// As `systemctl status` exits for a unit that is not active.
const NOT_RUNNING: u8 = 3;

pub(super) fn run(options: &Status, session: &Session) -> anyhow::Result<ExitCode> {
    let name = ContainerName::parse(&options.name)?;
    let current = session.deployments.current(&name)?;
    let container = current.ok_or_else(|| no_container(&name))?;
    let unit = match Systemd::connect() {
        Ok(systemd) => systemd.show(&format!("{name}.service"))?,
        Err(_) => UnitState::default(),
    };
    if options.output.json {
        session.report.json(&as_json(&container, &unit));
    } else {
        session.report.say(as_text(&container, &unit));
    }
    let fine = unit.get("ActiveState") == "active" || !container.info.has_container_service;
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_RUNNING)
    })
}

fn as_text(container: &Deployment, unit: &UnitState) -> String {
    let info = &container.info;
    let since = match unit.get("ActiveState") {
        "active" => unit.get("ActiveEnterTimestamp"),
        _ => unit.get("InactiveEnterTimestamp"),
    };
    let mut state = format!("{} ({})", unit.word(), unit.get("SubState"));
    if !since.is_empty() {
        state = format!("{state} since {since}");
    }
    let mut lines = vec![
        ("Image", info.image.clone()),
        ("Digest", format!("sha256:{}", info.revision)),
        (
            "Generation",
            format!("{} ({})", info.serial, container.dir.display()),
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
    ];
    if unit.get("MainPID") != "0" {
        lines.push(("Main PID", unit.get("MainPID").to_owned()));
    }
    lines.push(("Restarts", unit.get("NRestarts").to_owned()));
    if unit.get("ActiveState") != "active" && unit.get("ExecMainCode") != "0" {
        let result = format!(
            "{} (status {})",
            unit.get("Result"),
            unit.get("ExecMainStatus")
        );
        lines.push(("Last exit", result));
    }
    let values: Vec<_> = info
        .user_values
        .keys()
        .map(|name| (name.as_str(), "set at install"))
        .collect();
    let mut text = info.name.clone();
    for (key, value) in lines
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .chain(values)
    {
        text.push_str(&format!("\n{key:>12}: {value}"));
    }
    text
}

fn as_json(container: &Deployment, unit: &UnitState) -> Value {
    let info = &container.info;
    json!({
        "name": info.name,
        "image": info.image,
        "digest": format!("sha256:{}", info.revision),
        "source": info.source,
        "generation": info.serial,
        "deployment": container.dir,
        "created": info.created,
        "runtime": info.runtime,
        "unit": unit.get("FragmentPath"),
        "enabled": unit.get("UnitFileState"),
        "state": unit.word(),
        "active_state": unit.get("ActiveState"),
        "sub_state": unit.get("SubState"),
        "result": unit.get("Result"),
        "main_pid": unit.get("MainPID").parse::<u32>().unwrap_or(0),
        "restarts": unit.get("NRestarts").parse::<u32>().unwrap_or(0),
        "since": unit.get("ActiveEnterTimestamp"),
    })
}
