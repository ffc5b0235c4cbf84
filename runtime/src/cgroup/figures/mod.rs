//! What a container uses, as figures in the shape of runc's `events`.
//!
//! Read here and not by libcgroups, which gives no figure at all when one controller is missing (as
//! below most units), and version 2's times in other units than version 1's. A figure whose file is
//! not there is left out, so pressure is told where the kernel measures it.

mod legacy;
mod oom;
mod unified;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use oom::OomWatch;

use super::Home;
use super::hierarchy::{self, Hierarchy};

/// The figures of now.
pub fn figures(home: &Home) -> Value {
    let places = Places::of(home);
    let mut data = match hierarchy::is_unified() {
        true => unified::figures(&places),
        false => legacy::figures(&places),
    };
    // Keys that readers of runc's output expect, of things that we do not do.
    data["intel_rdt"] = json!({});
    data["network_interfaces"] = Value::Null;
    data
}

/// Where a container's figures are, in each hierarchy.
pub struct Places(Vec<(Hierarchy, PathBuf)>);

impl Places {
    fn of(home: &Home) -> Places {
        let table = hierarchy::table_of(home.init);
        let place = |hierarchy: Hierarchy| {
            let own = home.own.map(Path::to_owned);
            let own = own.filter(|own| hierarchy.directory(own).is_dir());
            let path = own.or_else(|| hierarchy.path_in(&table))?;
            let directory = hierarchy.directory(&path);
            Some((hierarchy, directory))
        };
        Places(hierarchy::all().into_iter().filter_map(place).collect())
    }

    fn directory(&self, controller: &str) -> Option<&Path> {
        self.0
            .iter()
            .find(|(hierarchy, _)| hierarchy::is_unified() || hierarchy.has(controller))
            .map(|(_, directory)| directory.as_path())
    }

    fn text(&self, controller: &str, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.directory(controller)?.join(name)).ok()?;
        Some(text.trim().to_owned())
    }

    /// One number; `max` is the greatest there is.
    fn number(&self, controller: &str, name: &str) -> Option<u64> {
        match self.text(controller, name)?.as_str() {
            "max" => Some(u64::MAX),
            text => text.parse().ok(),
        }
    }

    /// Lines of a name and a number.
    fn table(&self, controller: &str, name: &str) -> Map<String, Value> {
        let text = self.text(controller, name).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let (name, number) = line.split_once(' ')?;
                Some((name.to_owned(), number.parse::<u64>().ok()?.into()))
            })
            .collect()
    }

    /// Sizes of huge pages that there are figures for, as in `hugetlb.2MB.…`.
    fn page_sizes(&self, suffix: &str) -> Vec<String> {
        let entries = self.directory("hugetlb").map(std::fs::read_dir);
        let names = entries.into_iter().flatten().flatten().flatten();
        let size = |name: String| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
            (!size.contains('.')).then(|| size.to_owned())
        };
        let mut sizes: Vec<String> = names
            .filter_map(|entry| size(entry.file_name().into_string().ok()?))
            .collect();
        sizes.sort();
        sizes
    }
}

/// `0-2,8` as single numbers.
fn numbers(text: &str) -> Vec<u16> {
    let parts = text.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    });
    parts.flatten().collect()
}

/// An object without the fields that there is nothing for.
fn known(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}

/// `8:0 Read 123`, as one entry of a blkio list.
fn block_entry(device: &str, operation: &str, value: u64) -> Option<Value> {
    let (major, minor) = device.split_once(':')?;
    let (major, minor): (u64, u64) = (major.parse().ok()?, minor.parse().ok()?);
    Some(json!({"major": major, "minor": minor, "op": operation, "value": value}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_numbers() {
        for (text, wanted) in [("0-2,8", vec![0, 1, 2, 8]), ("", vec![]), ("x", vec![])] {
            assert_eq!(numbers(text), wanted, "{text}");
        }
    }
}
