//! Device rules as version 1 takes them: everything or nothing, and exceptions from that.

use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::plan::{Access, Rule};

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

pub fn write(directory: &Path, rules: &[Rule]) -> std::io::Result<()> {
    for (file, line) in lines(rules).map_err(|reason| Error::new(ErrorKind::Unsupported, reason))? {
        std::fs::write(directory.join(file), &line)
            .map_err(|error| Error::new(error.kind(), format!("'{line}' to '{file}': {error}")))?;
    }
    Ok(())
}

/// The lines to write, and to which file. They begin with "nothing" unless the rules do.
fn lines(rules: &[Rule]) -> Result<Vec<(&'static str, String)>, String> {
    let mut lines = vec![(DENY, "a".to_owned())];
    let mut exceptions: Vec<Rule> = Vec::new();
    let mut usual = false;
    for rule in rules {
        let file = if rule.allow { ALLOW } else { DENY };
        if is_of_all(rule) {
            usual = rule.allow;
            exceptions.clear();
            lines = vec![(file, "a".to_owned())];
            continue;
        }
        if rule.allow != usual {
            exceptions.push(*rule);
        } else if exceptions.iter().any(|wider| holds_more(wider, rule)) {
            // The kernel would take the line and do nothing.
            return Err(format!(
                "'{}': version 1 cannot except devices from an exception",
                text(rule)
            ));
        }
        lines.push((file, text(rule)));
    }
    Ok(lines)
}

fn is_of_all(rule: &Rule) -> bool {
    rule.kind.is_none() && rule.access == Access::ALL
}

/// Whether `rule` speaks of some of the devices only that `wider` speaks of.
fn holds_more(wider: &Rule, rule: &Rule) -> bool {
    let covers = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
    let same = (wider.major, wider.minor) == (rule.major, rule.minor);
    wider.kind == rule.kind
        && !same
        && covers(wider.major, rule.major)
        && covers(wider.minor, rule.minor)
        && wider.access.0 & rule.access.0 != 0
}

fn text(rule: &Rule) -> String {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let kind = match rule.kind {
        None => 'a',
        Some(crate::plan::DeviceKind::Block) => 'b',
        Some(crate::plan::DeviceKind::Character) => 'c',
    };
    let (major, minor) = (number(rule.major), number(rule.minor));
    format!("{kind} {major}:{minor} {}", rule.access)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::device_rules;
    use serde_json::json;

    fn of(list: serde_json::Value) -> Result<Vec<String>, String> {
        let devices: Vec<oci_spec::runtime::LinuxDeviceCgroup> =
            serde_json::from_value(list).unwrap();
        let lines = lines(&device_rules(&devices).unwrap())?;
        Ok(lines
            .into_iter()
            .map(|(file, line)| format!("{file} {line}"))
            .collect())
    }

    #[test]
    fn all_is_forbidden_but_for_exceptions() {
        let found = of(json!([{"allow": true, "type": "b", "major": 8, "access": "rw"}])).unwrap();
        let wanted = [
            "devices.deny a",
            "devices.allow b 8:* rw",
            "devices.allow b *:* m",
        ];
        assert_eq!(found[..3], wanted);
        assert!(found.contains(&"devices.allow c 1:3 rwm".to_owned()));
        let found = of(json!([{"allow": true, "access": "rwm"}])).unwrap();
        assert_eq!(found[0], "devices.allow a");
    }

    #[test]
    fn what_the_kernel_would_pass_over_is_refused() {
        let reason = of(json!([
            {"allow": true, "type": "b", "major": 8, "access": "rw"},
            {"allow": false, "type": "b", "major": 8, "minor": 1, "access": "w"}]));
        assert!(reason.unwrap_err().starts_with("'b 8:1 w'"));
    }
}
