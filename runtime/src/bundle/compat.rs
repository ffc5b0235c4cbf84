//! Old forms of config.json, made new before the types are looked at.
//!
//! Images built for system containers carry configurations from before OCI 1.0. Unknown keys
//! (`platform`, `linux.selinuxProcessLabel`) need nothing here: the parser passes them over, as the
//! specification demands.

use serde_json::{Map, Value, json};

/// Translates what older configurations said differently. Gives the names of capabilities that were
/// left out.
pub fn modernise(config: &mut Value) -> Vec<String> {
    if let Some(object) = config.as_object_mut() {
        let linux = object.entry("linux").or_insert(Value::Null);
        if linux.is_null() {
            *linux = json!({});
        }
        object.entry("ociVersion").or_insert_with(|| json!("1.0.0"));
    }
    move_to_process(config, "capabilities");
    move_to_process(config, "rlimits");
    let mut unknown = Vec::new();
    if let Some(capabilities) = config.pointer_mut("/process/capabilities") {
        expand_capabilities(capabilities);
        unknown = forget_unknown_capabilities(capabilities);
    }
    if let Some(process) = config
        .pointer_mut("/process")
        .and_then(Value::as_object_mut)
    {
        process.entry("user").or_insert_with(|| json!({}));
    }
    if let Some(Value::Array(flags)) = config.pointer_mut("/process/scheduler/flags") {
        flags.iter_mut().for_each(parsers_flag);
    }
    if let Some(linux) = config.pointer_mut("/linux").and_then(Value::as_object_mut) {
        forget_empty_filter(linux);
    }
    for mount in list(config, "/mounts") {
        absolute_destination(mount);
    }
    for namespace in list(config, "/linux/namespaces") {
        drop_empty_path(namespace);
    }
    drop_nulls(config);
    unknown
}

/// Before 1.0 capabilities and limits stood below `linux`.
fn move_to_process(config: &mut Value, key: &str) {
    let Some(old) = config.pointer_mut("/linux").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(value) = old.remove(key) else {
        return;
    };
    if let Some(process) = config
        .pointer_mut("/process")
        .and_then(Value::as_object_mut)
    {
        process.entry(key).or_insert(value);
    }
}

/// A plain list means: these, and no others, for a program that may pass none of them on.
fn expand_capabilities(capabilities: &mut Value) {
    if capabilities.is_array() {
        let list = capabilities.take();
        *capabilities = json!({"bounding": list, "effective": list, "permitted": list});
    }
}

/// A capability that this program has never heard of cannot be granted; as with runc, the rest is.
fn forget_unknown_capabilities(capabilities: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    for set in capabilities
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        if let Some(names) = set.as_array_mut() {
            names.retain(|name| {
                let parsed = serde_json::from_value::<oci_spec::runtime::Capability>(name.clone());
                if parsed.is_err() {
                    unknown.extend(name.as_str().map(str::to_owned));
                }
                parsed.is_ok()
            });
        }
    }
    unknown.sort();
    unknown.dedup();
    unknown
}

/// The parser (oci-spec 0.10) spells two of the specification's flags in a way of its own.
fn parsers_flag(flag: &mut Value) {
    let other = match flag.as_str() {
        Some("SCHED_FLAG_RESET_ON_FORK") => "SCHED_RESET_ON_FORK",
        Some("SCHED_FLAG_DL_OVERRUN") => "SCHED_FLAG_D_L_OVERRUN",
        _ => return,
    };
    *flag = other.into();
}

/// A filter without rules and default is none, and an empty path of its listener is none either:
/// Go's writers say so.
fn forget_empty_filter(linux: &mut Map<String, Value>) {
    let Some(filter) = linux.get_mut("seccomp").and_then(Value::as_object_mut) else {
        return;
    };
    let empty = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        other => other.is_none_or(Value::is_null),
    };
    if empty(filter.get("listenerPath")) {
        filter.remove("listenerPath");
    }
    if empty(filter.get("defaultAction")) && empty(filter.get("syscalls")) {
        linux.remove("seccomp");
    }
}

/// `proc` means `/proc`, as it did before destinations had to be absolute.
fn absolute_destination(mount: &mut Value) {
    if let Some(Value::String(destination)) = mount.get_mut("destination")
        && !destination.starts_with('/')
    {
        destination.insert(0, '/');
    }
}

/// An empty path of a namespace is none.
fn drop_empty_path(namespace: &mut Value) {
    if namespace.get("path").and_then(Value::as_str) == Some("")
        && let Some(object) = namespace.as_object_mut()
    {
        object.remove("path");
    }
}

/// Go's writers say `null` for an empty list or map.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn list<'a>(config: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    config
        .pointer_mut(pointer)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_become_new() {
        let table = [
            (
                json!({"process": {"capabilities": ["CAP_KILL", "CAP_OF_TOMORROW"]}}),
                "/process/capabilities",
                json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}),
            ),
            (
                json!({"process": {}, "linux": {"capabilities": ["CAP_KILL"]}}),
                "/process/capabilities/effective",
                json!(["CAP_KILL"]),
            ),
            (
                json!({"process": {}, "linux": {"rlimits": [{"type": "RLIMIT_CORE"}]}}),
                "/process/rlimits/0/type",
                json!("RLIMIT_CORE"),
            ),
            (
                json!({"mounts": [{"destination": "proc"}]}),
                "/mounts/0/destination",
                json!("/proc"),
            ),
            (
                json!({"linux": {"namespaces": [{"type": "pid", "path": ""}]}}),
                "/linux/namespaces",
                json!([{"type": "pid"}]),
            ),
            (
                json!({"linux": {"seccomp": {"syscalls": []}}}),
                "/linux",
                json!({}),
            ),
            (
                json!({"linux": {"seccomp": {"defaultAction": "x", "listenerPath": ""}}}),
                "/linux/seccomp",
                json!({"defaultAction": "x"}),
            ),
            (json!({"linux": null}), "/linux", json!({})),
            (json!({}), "/ociVersion", json!("1.0.0")),
        ];
        for (mut config, pointer, wanted) in table {
            modernise(&mut config);
            let found = config.pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(found, wanted, "{pointer}");
        }
    }
}
