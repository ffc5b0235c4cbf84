//! Rules for devices, where they forbid all and then allow some.
//!
//! `DevicePolicy=closed` allows what every container may use: null, zero, full, random, urandom,
//! tty, ptmx and pseudo terminals. Nodes may be made of everything, as a container's `/dev` is.

use serde_json::{Map, Value};

use super::{Setting, setting};

pub(super) fn take(sections: &mut Map<String, Value>) -> Vec<Setting> {
    let Some(rules) = sections.get("devices").and_then(Value::as_array) else {
        return Vec::new();
    };
    let Some(settings) = policy(rules) else {
        return Vec::new();
    };
    sections.remove("devices");
    settings
}

/// `None` where systemd cannot say the same.
fn policy(rules: &[Value]) -> Option<Vec<Setting>> {
    if rules.is_empty() {
        return Some(Vec::new());
    }
    let last = rules.iter().rposition(is_of_all);
    let allows = |rule: &Value| rule.get("allow").and_then(Value::as_bool) == Some(true);
    let after = &rules[last.map_or(0, |at| at + 1)..];
    if !after.iter().all(allows) {
        return None;
    }
    let allowed = after.iter().map(entries).collect::<Option<Vec<_>>>()?;
    if last.is_some_and(|at| allows(&rules[at])) {
        return Some(Vec::new());
    }
    let mut settings = vec![setting("DevicePolicy", "closed")];
    let nodes = ["char-* m", "block-* m"].map(str::to_owned);
    let all = nodes.into_iter().chain(allowed.into_iter().flatten());
    settings.extend(all.map(|entry| setting("DeviceAllow", entry)));
    Some(settings)
}

fn is_of_all(rule: &Value) -> bool {
    let access = rule.get("access").and_then(Value::as_str).unwrap_or("rwm");
    kind(rule) == Some(None)
        && number(rule, "major") == Some(None)
        && number(rule, "minor") == Some(None)
        && ["r", "w", "m"].iter().all(|letter| access.contains(letter))
}

/// `None`: no kind that a rule can speak of; `Some(None)`: all kinds.
fn kind(rule: &Value) -> Option<Option<&'static str>> {
    match rule.get("type").and_then(Value::as_str) {
        None | Some("a") => Some(None),
        Some("b") => Some(Some("block")),
        Some("c" | "u") => Some(Some("char")),
        Some(_) => None,
    }
}

/// `None`: no device number; `Some(None)`: all numbers.
fn number(rule: &Value, name: &str) -> Option<Option<u32>> {
    match rule.get(name).filter(|number| !number.is_null()) {
        None => Some(None),
        Some(number) if number.as_i64() == Some(-1) => Some(None),
        Some(number) => u32::try_from(number.as_i64()?).ok().map(Some),
    }
}

fn entries(rule: &Value) -> Option<Vec<String>> {
    let access = rule.get("access").and_then(Value::as_str).unwrap_or("rwm");
    if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
        return None;
    }
    let (major, minor) = (number(rule, "major")?, number(rule, "minor")?);
    let kinds = match kind(rule)? {
        Some(kind) => vec![kind],
        None => vec!["block", "char"],
    };
    let entry = |kind: &str| {
        Some(match (major, minor) {
            (None, None) => format!("{kind}-* {access}"),
            (Some(major), None) => format!("{kind}-{major} {access}"),
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor} {access}"),
            (None, Some(_)) => return None,
        })
    };
    kinds.into_iter().map(entry).collect()
}
