//! `containers list` and `containers delete`, with the columns and keys that atomic had.

use std::io::BufRead;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};

use super::grammar::List;
use super::minute;
use crate::cli;
use crate::deployment::{Brief, ContainerName, Info, is_slot_of};
use crate::host::Systemd;
use crate::image::Reference;
use crate::verb::list::state;
use crate::verb::session::{self, Session, no_container};
use crate::verb::uninstall;

/// Header of each column, and how much of its values is shown.
const COLUMNS: [(&str, usize); 8] = [
    ("CONTAINER ID", 12),
    ("IMAGE", 20),
    ("NAME", 10),
    ("COMMAND", 10),
    ("CREATED", 16),
    ("STATE", 10),
    ("BACKEND", 10),
    ("RUNTIME", 10),
];

/// One line of the list.
struct Line {
    info: Info,
    state: String,
}

impl Line {
    fn values(&self) -> [String; 8] {
        let info = &self.info;
        [
            info.name.clone(),
            info.image.clone(),
            info.name.clone(),
            info.command.join(" "),
            minute(info.created),
            self.state.clone(),
            "ostree".to_owned(),
            info.runtime.clone(),
        ]
    }

    /// `containers list` without `-a` leaves out those that are known not to run.
    fn inactive(&self) -> bool {
        self.state == "inactive"
    }

    fn json(&self) -> Value {
        let [id, image, name, command, created, state, backend, runtime] = self.values();
        json!({
            "id": id, "image_id": self.info.revision, "image_name": image, "name": name,
            "command": command, "created": created, "state": state, "backend": backend,
            "runtime": runtime, "vulnerable": false, "running": self.state == "running",
        })
    }

    /// Whether a filter's text is part of the value.
    fn matches(&self, (key, text): &(usize, String)) -> bool {
        self.values()[*key].to_lowercase().contains(text)
    }
}

pub(super) fn list(options: &List, session: &Session) -> anyhow::Result<ExitCode> {
    let filters = filters(&options.filter)?;
    let systemd = Systemd::connect().ok();
    let mut lines = Vec::new();
    for (_, current) in session::containers(session)? {
        match current {
            Ok(current) => {
                let state = state(&Brief::of(&current.info, &current.dir), systemd.as_ref())?;
                lines.push(Line {
                    info: current.info,
                    state,
                });
            }
            Err(error) => session.report.warn(error),
        }
    }
    lines.retain(|line| {
        (options.all || !line.inactive()) && filters.iter().all(|filter| line.matches(filter))
    });
    if options.json {
        session
            .report
            .json(&lines.iter().map(Line::json).collect::<Vec<_>>().into());
        return Ok(ExitCode::SUCCESS);
    }
    if options.quiet {
        lines
            .iter()
            .for_each(|line| session.report.say(&line.info.name));
        return Ok(ExitCode::SUCCESS);
    }
    let cut = |(value, (_, width)): (String, (&str, usize))| match options.no_trunc {
        true => value,
        false => value.chars().take(width).collect(),
    };
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| line.values().into_iter().zip(COLUMNS).map(cut).collect())
        .collect();
    let headers = COLUMNS.map(|(header, _)| header);
    super::images::say_table(&headers, &rows, options.noheading, session.report);
    Ok(ExitCode::SUCCESS)
}

fn filters(texts: &[String]) -> anyhow::Result<Vec<(usize, String)>> {
    const KEYS: [(&str, usize); 7] = [
        ("container", 0),
        ("image", 1),
        ("command", 3),
        ("created", 4),
        ("state", 5),
        ("backend", 6),
        ("runtime", 7),
    ];
    let parse = |text: &String| {
        let found = text.split_once('=').and_then(|(key, value)| {
            let (_, column) = KEYS.into_iter().find(|(known, _)| *known == key)?;
            Some((column, value.to_lowercase()))
        });
        match found {
            Some(found) => Ok(found),
            None => {
                let known = KEYS.map(|(key, _)| key).join(", ");
                bail!("the filter '{text}' is not KEY=TEXT\nhelp: keys are {known}")
            }
        }
    };
    texts.iter().map(parse).collect()
}

/// The container of this name, or the one whose deployment is called so.
pub(super) fn find(name: &str, session: &Session) -> anyhow::Result<ContainerName> {
    let asked = ContainerName::parse(name)?;
    if session.deployments.current(&asked)?.is_some() {
        return Ok(asked);
    }
    let slot = session.deployments.dir().join(name);
    for (container, current) in session.deployments.containers()? {
        if is_slot_of(&slot, container.as_str()) && current.is_ok_and(|found| found.dir == slot) {
            return Ok(container);
        }
    }
    Err(no_container(&asked))
}

/// The containers that were made from an image, or the one of that name.
pub(super) fn of_image(image: &str, session: &Session) -> anyhow::Result<Vec<String>> {
    if let Ok(name) = find(image, session) {
        return Ok(vec![name.to_string()]);
    }
    let name = Reference::parse(image)?.name();
    let mut names = Vec::new();
    for (container, current) in session.deployments.containers()? {
        if current.is_ok_and(|current| Some(current.info.image) == name) {
            names.push(container.to_string());
        }
    }
    Ok(names)
}

pub(super) fn delete(
    names: &[String],
    all: bool,
    yes: bool,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let names: Vec<ContainerName> = match (all, names) {
        (true, []) => session
            .deployments
            .containers()?
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        (false, []) | (true, _) => bail!("name containers, or give --all alone"),
        (false, names) => names
            .iter()
            .map(|name| find(name, session))
            .collect::<Result<_, _>>()?,
    };
    if !yes && !confirmed(&names, session)? {
        bail!("nothing was deleted\nhelp: --assumeyes deletes without asking");
    }
    for name in names {
        let options = cli::Uninstall {
            name: name.to_string(),
        };
        uninstall::run(&options, session)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn confirmed(names: &[ContainerName], session: &Session) -> anyhow::Result<bool> {
    let names: Vec<&str> = names.iter().map(ContainerName::as_str).collect();
    session
        .report
        .note(format_args!("Delete {}? (y/N)", names.join(", ")));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
