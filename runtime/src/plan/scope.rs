//! The unit of systemd that a container gets where systemd makes its cgroup.

use std::collections::HashMap;
use std::path::Path;

use super::Error;
use crate::bus::Value;
use crate::facts::Facts;

/// Annotations whose name begins like this are properties of the unit.
const PROPERTY: &str = "org.systemd.property.";

/// A transient unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// Its name, which ends in `.scope`.
    pub unit: String,
    /// The slice that it is in.
    pub slice: String,
    /// Whether it is the user's systemd that makes it, not the host's.
    pub of_user: bool,
    /// What the configuration adds, in the order of their names.
    pub properties: Vec<(String, Value)>,
}

/// From `slice:prefix:name`. Without it, the container's name and the usual slice.
pub fn plan(
    asked: Option<&Path>,
    id: &str,
    annotations: &HashMap<String, String>,
    facts: &Facts,
) -> Result<Scope, Error> {
    let of_user = facts.rootless;
    let usual = if of_user {
        "user.slice"
    } else {
        "system.slice"
    };
    let text = asked.map(|path| path.to_string_lossy().into_owned());
    let parts: Vec<&str> = match &text {
        Some(text) => text.split(':').collect(),
        None => vec!["", "sysc", id],
    };
    let wrong = |reason: String| Error::Field {
        field: "linux.cgroupsPath".to_owned(),
        reason,
    };
    let [slice, prefix, name] = parts[..] else {
        return Err(wrong(format!(
            "with --systemd-cgroup it is 'slice:prefix:name', not '{}'",
            parts.join(":")
        )));
    };
    let slice = if slice.is_empty() { usual } else { slice };
    if !is_slice(slice) {
        return Err(wrong(format!("'{slice}' is not the name of a slice")));
    }
    let unit = match prefix {
        "" => format!("{name}.scope"),
        prefix => format!("{prefix}-{name}.scope"),
    };
    if name.is_empty() || name.ends_with(".slice") || !is_unit(&unit) {
        return Err(wrong(format!("'{name}' cannot name a scope")));
    }
    Ok(Scope {
        unit,
        slice: slice.to_owned(),
        of_user,
        properties: properties(annotations)?,
    })
}

/// `a-b.slice` is in `a.slice`; so no part between dashes is empty, but for the root's `-.slice`.
fn is_slice(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".slice") else {
        return false;
    };
    let has_parts = stem.split('-').all(|part| !part.is_empty());
    is_unit(name) && (stem == "-" || has_parts)
}

/// The characters that systemd allows in names.
fn is_unit(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    name.len() <= 255 && name.chars().all(allowed)
}

fn properties(annotations: &HashMap<String, String>) -> Result<Vec<(String, Value)>, Error> {
    let mut properties = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PROPERTY) else {
            continue;
        };
        let property = property(name, text).map_err(|reason| Error::Field {
            field: format!("annotations.{key}"),
            reason,
        });
        properties.push(property?);
    }
    properties.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(properties)
}

/// Times are said in seconds by names that end in `Sec`, and told to systemd in µs.
fn property(name: &str, text: &str) -> Result<(String, Value), String> {
    if name.len() < 3 || !name.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(format!("'{name}' is not the name of a property"));
    }
    let value = Value::parse(text)
        .ok_or_else(|| format!("'{text}' is not a value, such as 5, true, 'text' or ['a', 'b']"))?;
    let seconds = name.strip_suffix("Sec");
    match seconds.filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase())) {
        None => Ok((name.to_owned(), value)),
        Some(stem) => {
            let time = value.microseconds();
            let time = time.ok_or_else(|| format!("'{text}' is not a number of seconds"))?;
            Ok((format!("{stem}USec"), Value::U64(time)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::CgroupMode;

    fn scope(path: Option<&str>, annotations: &[(&str, &str)]) -> Result<Scope, Error> {
        let facts = Facts {
            cgroup_mode: CgroupMode::Unified,
            own_cgroup: "/".into(),
            is_root: true,
            rootless: false,
        };
        let annotations = annotations
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
            .collect();
        plan(path.map(Path::new), "web", &annotations, &facts)
    }

    #[test]
    fn names_come_from_the_path() {
        let table = [
            (None, "system.slice", "sysc-web.scope"),
            (Some("a-b.slice:p:n"), "a-b.slice", "p-n.scope"),
            (Some(":p:n"), "system.slice", "p-n.scope"),
            (Some("-.slice::n"), "-.slice", "n.scope"),
        ];
        for (path, slice, unit) in table {
            let scope = scope(path, &[]).unwrap();
            assert_eq!((scope.slice.as_str(), scope.unit.as_str()), (slice, unit));
        }
        let wrong = [
            "/a/b",
            "a:b",
            "a:b:c",
            "a/b.slice:p:n",
            "-a.slice:p:n",
            "a--b.slice:p:n",
            ".slice:p:n",
            ":p:",
            ":p:x.slice",
            ":p:a/b",
        ];
        for path in wrong {
            assert!(scope(Some(path), &[]).is_err(), "{path}");
        }
    }

    #[test]
    fn annotations_become_properties() {
        let found = scope(
            None,
            &[
                ("org.systemd.property.TimeoutStopSec", "1.5"),
                ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
                ("other", "x"),
            ],
        );
        let wanted = [
            ("CollectMode".to_owned(), Value::text("inactive-or-failed")),
            ("TimeoutStopUSec".to_owned(), Value::U64(1_500_000)),
        ];
        assert_eq!(found.unwrap().properties, wanted);
        for (key, text) in [
            ("org.systemd.property.A", "1"),
            ("org.systemd.property.Collect-Mode", "1"),
            ("org.systemd.property.CollectMode", "inactive"),
            ("org.systemd.property.TimeoutStopSec", "'x'"),
        ] {
            assert!(scope(None, &[(key, text)]).is_err(), "{key}");
        }
    }
}
