//! `/exports/manifest.json`: the settings of the contract.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Error;

/// Where it stands in the image; what errors call it.
pub const FILE: &str = "/exports/manifest.json";

/// Every key that means something to somebody.
pub(super) const KEYS: [&str; 8] = [
    "defaultValues",
    "early",
    "installedFilesTemplate",
    "noContainerService",
    "renameFiles",
    "useLinks",
    "variableDescriptions",
    "version",
];

/// The settings; all of them are optional. Keys that are not listed here are passed over:
/// `version` because its value was never looked at (images say "1.0", "0.1" or nothing),
/// `useLinks` because a host file of sysc never shares an inode with the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// `defaultValues`: values of variables that nobody else sets.
    pub default_values: BTreeMap<String, String>,
    /// `variableDescriptions`: what `sysc info` says of variables. Ours: atomic had no such key.
    pub descriptions: BTreeMap<String, String>,
    /// `renameFiles`: other places for files of hostfs.
    pub rename_files: Vec<Rename>,
    /// `installedFilesTemplate`: host paths, after renaming, whose content is a template.
    pub installed_files_template: Vec<String>,
    /// `noContainerService`: the image brings host files only.
    pub no_container_service: bool,
    /// `early`: the service is up before D-Bus and the network. Ours: atomic had no such key.
    pub early: bool,
}

/// One entry of `renameFiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The host path, a file's or a folder's.
    pub from: String,
    /// The new path; a template.
    pub to: String,
    /// The line of manifest.json.
    pub line: usize,
}

impl Manifest {
    /// Reads the settings.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text)
            .map_err(|source| Error::ManifestSyntax { file: FILE, source })?;
        let keys = value
            .as_object()
            .ok_or_else(|| wrong("the whole file", "an object", &value))?;
        let key = |name: &str| keys.get(name).filter(|value| !value.is_null());

        let mut manifest = Self::default();
        if let Some(value) = key("defaultValues") {
            manifest.default_values = texts("defaultValues", value)?;
        }
        if let Some(value) = key("variableDescriptions") {
            manifest.descriptions = texts("variableDescriptions", value)?;
        }
        if let Some(value) = key("renameFiles") {
            manifest.rename_files = rename_files(value, text)?;
        }
        if let Some(value) = key("installedFilesTemplate") {
            manifest.installed_files_template = strings("installedFilesTemplate", value)?;
        }
        if let Some(value) = key("noContainerService") {
            manifest.no_container_service = boolean("noContainerService", value)?;
        }
        if let Some(value) = key("early") {
            manifest.early = boolean("early", value)?;
        }
        if let Some(value) = key("useLinks") {
            boolean("useLinks", value)?;
        }
        Ok(manifest)
    }
}

/// Numbers and booleans are taken as Python prints them, since atomic pasted them so.
fn texts(key: &str, value: &Value) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    for (name, value) in object(key, value)? {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            other => return Err(wrong(&format!("{key}.{name}"), "a string", other)),
        };
        values.insert(name.clone(), text);
    }
    Ok(values)
}

fn rename_files(value: &Value, text: &str) -> Result<Vec<Rename>, Error> {
    let mut renames = Vec::new();
    for (from, value) in object("renameFiles", value)? {
        let to = value.as_str();
        let to = to.ok_or_else(|| wrong(&format!("renameFiles.{from}"), "a string", value))?;
        let quoted = format!("\"{from}\"");
        let line = text
            .find(&quoted)
            .map_or(1, |at| 1 + text[..at].matches('\n').count());
        renames.push(Rename {
            from: from.clone(),
            to: to.to_owned(),
            line,
        });
    }
    Ok(renames)
}

fn strings(key: &str, value: &Value) -> Result<Vec<String>, Error> {
    let list = value
        .as_array()
        .ok_or_else(|| wrong(key, "a list of strings", value))?;
    let string = |item: &Value| {
        item.as_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong(key, "a list of strings", item))
    };
    list.iter().map(string).collect()
}

fn object<'a>(key: &str, value: &'a Value) -> Result<&'a serde_json::Map<String, Value>, Error> {
    value
        .as_object()
        .ok_or_else(|| wrong(key, "an object", value))
}

fn boolean(key: &str, value: &Value) -> Result<bool, Error> {
    value
        .as_bool()
        .ok_or_else(|| wrong(key, "true or false", value))
}

fn wrong(key: &str, expected: &'static str, value: &Value) -> Error {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Error::ManifestType {
        file: FILE,
        key: key.to_owned(),
        expected,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read() {
        let text = r#"{
            "version": "1.0",
            "defaultValues": {"PORT": "80", "COUNT": 3, "ON": true, "EMPTY": ""},
            "renameFiles": {
                "/usr/bin/x": "/usr/bin/${NAME}"
            },
            "installedFilesTemplate": ["/etc/x.conf"],
            "noContainerService": true,
            "early": true,
            "useLinks": false,
            "variableDescriptions": {"PORT": "where it listens"},
            "somethingNew": {"a": []}
        }"#;
        let manifest = Manifest::parse(text).unwrap();
        let values = [
            ("COUNT", "3"),
            ("EMPTY", ""),
            ("ON", "True"),
            ("PORT", "80"),
        ];
        assert_eq!(
            manifest.default_values.into_iter().collect::<Vec<_>>(),
            values.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let rename = Rename {
            from: "/usr/bin/x".to_owned(),
            to: "/usr/bin/${NAME}".to_owned(),
            line: 5,
        };
        assert_eq!(manifest.rename_files, [rename]);
        assert_eq!(manifest.installed_files_template, ["/etc/x.conf"]);
        assert!(manifest.no_container_service && manifest.early);
        assert_eq!(manifest.descriptions["PORT"], "where it listens");
    }

    #[test]
    fn nothing_is_required() {
        for text in [
            "{}",
            r#"{"version": 1}"#,
            r#"{"defaultValues": null, "useLinks": null}"#,
        ] {
            assert_eq!(
                Manifest::parse(text).unwrap(),
                Manifest::default(),
                "{text}"
            );
        }
    }

    /// T11: bad JSON names the file, a wrong type the key.
    #[test]
    fn t11_what_is_wrong_is_named() {
        let cases = [
            ("", FILE),
            ("{", FILE),
            ("[]", "the whole file"),
            (r#"{"defaultValues": []}"#, "defaultValues"),
            (r#"{"defaultValues": {"A": {}}}"#, "defaultValues.A"),
            (r#"{"defaultValues": {"A": null}}"#, "defaultValues.A"),
            (r#"{"renameFiles": {"/a": 1}}"#, "renameFiles./a"),
            (r#"{"renameFiles": "x"}"#, "renameFiles"),
            (
                r#"{"installedFilesTemplate": "x"}"#,
                "installedFilesTemplate",
            ),
            (
                r#"{"installedFilesTemplate": [1]}"#,
                "installedFilesTemplate",
            ),
            (r#"{"noContainerService": "true"}"#, "noContainerService"),
            (r#"{"useLinks": 1}"#, "useLinks"),
            (r#"{"early": "yes"}"#, "early"),
        ];
        for (text, named) in cases {
            let message = Manifest::parse(text).expect_err(text).to_string();
            assert!(
                message.contains(named) && message.contains(FILE),
                "{text}: {message}"
            );
        }
    }
}
