//! `list`: all containers.

use anyhow::Result;
use serde_json::Value;

use super::Tools;
use crate::cli::{ListArgs, ListFormat};
use crate::record::{Error, State, Status};
use crate::report;

/// Prints a table, a JSON array, or names alone.
pub fn list(tools: &Tools, args: &ListArgs) -> Result<u8> {
    let mut found: Vec<(State, Status)> = Vec::new();
    for id in tools.registry.ids()? {
        match tools.registry.look(&id) {
            // Removed since the names were read.
            Err(Error::Missing { .. }) => {}
            other => found.push(other?),
        }
    }
    match (args.quiet, args.format) {
        (true, _) => found
            .iter()
            .for_each(|(state, _)| report::answer(&state.id)),
        (false, ListFormat::Json) => {
            let all: Vec<Value> = found
                .iter()
                .map(|(state, status)| state.shown(*status))
                .collect();
            report::answer(&Value::from(all).to_string());
        }
        (false, ListFormat::Table) => report::table(&rows(&found)),
    }
    Ok(0)
}

fn rows(found: &[(State, Status)]) -> Vec<Vec<String>> {
    let columns = ["id", "pid", "status", "bundle", "created", "owner"];
    let mut rows = vec![columns.map(str::to_uppercase).to_vec()];
    rows.extend(found.iter().map(|(state, status)| {
        let shown = state.shown(*status);
        let cell = |column: &&str| match &shown[*column] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        columns.iter().map(cell).collect()
    }));
    rows
}
