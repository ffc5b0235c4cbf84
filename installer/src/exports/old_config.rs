//! Configurations from before OCI 1.0, read as their authors meant them.
//!
//! Only a copy is changed, to be judged by today's types: the file that is installed keeps the
//! image's own words, which sysc-runtime translates in the same way when it starts. Keys that
//! are no longer known (`platform`, `linux.selinuxProcessLabel`) are passed over by the types.

use oci_spec::runtime::Capability;
use serde_json::{Map, Value, json};

/// The configuration in today's form, and what its author should know of the translation.
pub(super) fn modern(mut config: Value) -> (Value, Vec<String>) {
    let mut warnings = Vec::new();
    without_nulls(&mut config);
    if let Some(whole) = config.as_object_mut() {
        whole.entry("ociVersion").or_insert_with(|| json!("1.0.0"));
        for key in ["capabilities", "rlimits"] {
            warnings.extend(from_linux_to_process(whole, key));
        }
        let mounts = whole.get_mut("mounts").and_then(Value::as_array_mut);
        for mount in mounts.into_iter().flatten() {
            absolute(mount);
        }
        let namespaces = whole
            .get_mut("linux")
            .and_then(|linux| linux.get_mut("namespaces"));
        for namespace in namespaces
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            without_empty_path(namespace);
        }
    }
    if let Some(capabilities) = config.pointer_mut("/process/capabilities") {
        warnings.extend(as_sets(capabilities));
        warnings.extend(only_known(capabilities));
    }
    (config, warnings)
}

/// `null` was how Go programs wrote an empty list.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, entry| !entry.is_null());
            entries.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// ociVersion 0.3 had these keys under `linux`.
fn from_linux_to_process(whole: &mut Map<String, Value>, key: &str) -> Option<String> {
    let moved = whole.get_mut("linux")?.as_object_mut()?.remove(key)?;
    let process = whole.get_mut("process")?.as_object_mut()?;
    if process.contains_key(key) {
        return Some(format!("linux.{key} has no effect beside process.{key}"));
    }
    process.insert(key.to_owned(), moved);
    Some(format!(
        "linux.{key} is taken for process.{key}, its place since OCI 1.0"
    ))
}

/// A destination without its first slash.
fn absolute(mount: &mut Value) {
    if let Some(Value::String(destination)) = mount.get_mut("destination")
        && !destination.starts_with('/')
    {
        *destination = format!("/{destination}");
    }
}

/// A namespace with an empty path is a new one.
fn without_empty_path(namespace: &mut Value) {
    if let Some(entries) = namespace.as_object_mut() {
        entries.retain(|key, value| key != "path" || value != "");
    }
}

/// A plain list: the process has these, and no program that it starts inherits them.
fn as_sets(capabilities: &mut Value) -> Option<String> {
    if !capabilities.is_array() {
        return None;
    }
    let list = capabilities.take();
    *capabilities = json!({"bounding": list, "effective": list, "permitted": list});
    let sets = "bounding, effective and permitted";
    Some(format!(
        "the list process.capabilities is taken for the sets {sets}"
    ))
}

/// A capability of a newer kernel than this program knows; other words are left for the types
/// to refuse.
fn only_known(capabilities: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for set in capabilities
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        let Some(names) = set.as_array_mut() else {
            continue;
        };
        names.retain(|name| {
            let known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            let word = name.as_str().unwrap_or_default();
            let of_the_form = word.strip_prefix("CAP_").is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            });
            if known || !of_the_form {
                return true;
            }
            let warning = format!("capability '{word}' is not known and will not be given");
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
            false
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R14: the forms of configurations in the wild.
    #[test]
    fn r14_old_forms_are_read_as_they_were_meant() {
        let kill = json!(["CAP_KILL"]);
        let sets = json!({"bounding": kill, "effective": kill, "permitted": kill});
        let rlimits = json!([{"type": "RLIMIT_CORE", "hard": 1, "soft": 1}]);
        let cases = [
            (
                json!({"process": {"capabilities": ["CAP_KILL"]}}),
                "/process/capabilities",
                &sets,
            ),
            (
                json!({"process": {}, "linux": {"capabilities": ["CAP_KILL"]}}),
                "/process/capabilities",
                &sets,
            ),
            (
                json!({"process": {}, "linux": {"rlimits": rlimits}}),
                "/process/rlimits",
                &rlimits,
            ),
            (
                json!({"process": {"capabilities": {"bounding": ["CAP_KILL", "CAP_NEW"]}}}),
                "/process/capabilities/bounding",
                &kill,
            ),
            (
                json!({"mounts": [{"destination": "a"}]}),
                "/mounts/0/destination",
                &json!("/a"),
            ),
            (
                json!({"linux": {"namespaces": [{"type": "pid", "path": ""}]}}),
                "/linux/namespaces/0",
                &json!({"type": "pid"}),
            ),
            (
                json!({"linux": {"seccomp": {"architectures": null}}}),
                "/linux/seccomp",
                &json!({}),
            ),
            (json!({"process": {}}), "/ociVersion", &json!("1.0.0")),
        ];
        for (old, pointer, right) in cases {
            let (config, _) = modern(old.clone());
            assert_eq!(config.pointer(pointer), Some(right), "{old}");
        }
    }

    #[test]
    fn r14_what_changes_a_meaning_is_told() {
        let told = |config| modern(config).1.join("\n");
        assert!(told(json!({"process": {}, "linux": {"capabilities": []}})).contains("linux.cap"));
        assert!(told(json!({"process": {"capabilities": []}})).contains("the list process.cap"));
        let unknown = json!({"process": {"capabilities": ["CAP_NEW", "CAP_NEW", "nonsense"]}});
        let warnings = modern(unknown).1;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[1].contains("'CAP_NEW'"));
        assert_eq!(
            told(json!({"process": {"capabilities": {}}, "platform": {"os": "linux"}})),
            ""
        );
    }
}
