//! Judges a rendered OCI configuration before anything is written, so that an image that cannot
//! start is refused at install.
//!
//! First the JSON (a value that breaks it is told by its variable), then the form that the
//! runtime specification gives it, then the contract's own rules.

use oci_spec::runtime::Spec;
use serde_json::Value;

use super::Error;
use super::old_config;
use super::syntax::SyntaxError;
use super::template::Filled;

/// A configuration that will start as far as it can be told from its text.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// In today's form; what is installed is the text.
    pub value: Value,
    pub warnings: Vec<String>,
}

/// Judges `filled`, which was made from `file`.
pub(super) fn check(filled: &Filled, file: &'static str, run_once: bool) -> Result<Checked, Error> {
    let value: Value = serde_json::from_str(&filled.text)
        .map_err(|source| Box::new(SyntaxError::new(filled, file, source)))?;
    let rules = Rules { file, filled };
    rules.not_empty(&value)?;
    rules.escapes(&value)?;
    rules.no_nul(&value)?;
    let (value, warnings) = old_config::modern(value);
    rules.shape(&value)?;
    rules.root(&value, run_once)?;
    rules.process(&value)?;
    rules.mounts(&value)?;
    Ok(Checked { value, warnings })
}

struct Rules<'a> {
    file: &'static str,
    filled: &'a Filled,
}

impl Rules<'_> {
    fn refuse(&self, field: &str, problem: impl Into<String>) -> Error {
        Error::ConfigRule {
            file: self.file,
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    fn not_empty(&self, value: &Value) -> Result<(), Error> {
        match value.as_object() {
            Some(entries) if !entries.is_empty() => Ok(()),
            Some(_) => Err(self.refuse(
                "{}",
                "is not a configuration\nhelp: without the file, sysc makes one from the image's \
                 ENTRYPOINT and CMD",
            )),
            None => Err(self.refuse("the whole file", "must be an object")),
        }
    }

    /// `a\b` as a value is good JSON, and not what its author meant.
    fn escapes(&self, value: &Value) -> Result<(), Error> {
        let text = &self.filled.text;
        let Some((span, name)) = self
            .filled
            .spans
            .iter()
            .find(|(span, _)| text[span.clone()].contains('\\'))
        else {
            return Ok(());
        };
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        let Some(field) = holder(value, "", control) else {
            return Ok(());
        };
        let line = 1 + text[..span.start].matches('\n').count();
        Err(self.refuse(
            &field,
            format!(
                "contains a control character, since a backslash in the value of {name} (line \
                 {line} of the rendered text) begins a JSON escape\nhelp: write it twice"
            ),
        ))
    }

    /// No string of a configuration can be handed to the kernel with a NUL in it.
    fn no_nul(&self, value: &Value) -> Result<(), Error> {
        match holder(value, "", |c| c == '\0') {
            Some(field) => Err(self.refuse(&field, "contains a NUL character")),
            None => Ok(()),
        }
    }

    fn shape(&self, value: &Value) -> Result<(), Error> {
        match serde_path_to_error::deserialize::<_, Spec>(value) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::ConfigShape {
                file: self.file,
                field: error.path().to_string(),
                problem: self.without_values(&error.inner().to_string()),
            }),
        }
    }

    /// The parser quotes what it found; a pasted value may be a secret.
    fn without_values(&self, message: &str) -> String {
        let mut shown = message.to_owned();
        for (span, name) in &self.filled.spans {
            let value = &self.filled.text[span.clone()];
            if !value.is_empty() {
                shown = shown.replace(&format!("{value:?}"), &format!("\"${{{name}}}\""));
                if value.len() > 3 {
                    shown = shown.replace(value, &format!("${{{name}}}"));
                }
            }
        }
        shown
    }

    /// The root is shared with the repository by hard links, so it must not be writable; an
    /// image that runs once gets a layer of its own that is thrown away.
    fn root(&self, value: &Value, run_once: bool) -> Result<(), Error> {
        if value.pointer("/root/path").and_then(Value::as_str) != Some("rootfs") {
            return Err(self.refuse("root.path", "must be \"rootfs\""));
        }
        match value.pointer("/root/readonly") {
            Some(Value::Bool(true)) => Ok(()),
            _ if run_once => Ok(()),
            _ => Err(self.refuse(
                "root.readonly",
                "must be true\nhelp: what the service writes belongs under $STATE_DIRECTORY or \
                 on a tmpfs; see the mounts of config.json",
            )),
        }
    }

    fn process(&self, value: &Value) -> Result<(), Error> {
        let Some(process) = value.get("process") else {
            return Err(self.refuse("process", "is missing"));
        };
        let cwd = process
            .get("cwd")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !cwd.starts_with('/') {
            return Err(self.refuse("process.cwd", "must be an absolute path"));
        }
        match process
            .get("args")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            None | Some([]) => Err(self.refuse("process.args", "must name the program to run")),
            Some([program, ..]) if program == "" => {
                Err(self.refuse("process.args[0]", "is empty: no program to run"))
            }
            Some(_) => Ok(()),
        }
    }

    /// A destination that climbs could cover what others mount (S03).
    fn mounts(&self, value: &Value) -> Result<(), Error> {
        let mounts = value.get("mounts").and_then(Value::as_array);
        for (at, mount) in mounts.into_iter().flatten().enumerate() {
            let field = format!("mounts[{at}].destination");
            let destination = mount
                .get("destination")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if destination.split('/').any(|part| part == "..") {
                return Err(self.refuse(&field, "contains '..'"));
            }
            if destination.split('/').any(|part| part.len() > 255) {
                return Err(self.refuse(&field, "has a name over 255 bytes"));
            }
        }
        Ok(())
    }
}

/// Where the first string stands that holds such a character.
fn holder(value: &Value, path: &str, odd: fn(char) -> bool) -> Option<String> {
    match value {
        Value::String(text) => text.chars().any(odd).then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| holder(item, &format!("{path}[{at}]"), odd)),
        Value::Object(entries) => entries.iter().find_map(|(key, entry)| {
            let dot = if path.is_empty() { "" } else { "." };
            holder(entry, &format!("{path}{dot}{key}"), odd)
        }),
        _ => None,
    }
}
