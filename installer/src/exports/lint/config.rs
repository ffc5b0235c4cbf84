//! Rules for the configuration.

use serde_json::Value;

use super::super::mounts::writable_binds;
use super::super::read::{CONFIG, CONFIG_TEMPLATE, Config};
use super::super::{Origin, values};
use super::{Finding, Subject, guess, line_of};

/// Folders that are written to, and stand in the image with their whole path: a user's container
/// and a second instance have others.
pub(super) fn fixed_paths(subject: &Subject) -> Vec<Finding> {
    let (file, text) = match &subject.exports.config {
        Config::Verbatim(text) => (CONFIG, text),
        Config::Template(text) => (CONFIG_TEMPLATE, text),
        Config::Ordinary => return Vec::new(),
    };
    let unset: Vec<String> = values::variables(subject.exports)
        .unwrap_or_default()
        .into_iter()
        .filter(|one| one.origin == Origin::Required)
        .map(|one| one.name)
        .collect();
    let config = guess::best(subject, &unset)
        .ok()
        .and_then(|rendered| rendered.config_json);
    let Some(Ok(config)) = config.map(|text| serde_json::from_str::<Value>(&text)) else {
        return Vec::new();
    };
    let own = |path: &&str| {
        ["/var/lib/", "/etc/", "/run/"]
            .iter()
            .any(|dir| path.starts_with(dir))
    };
    let literal = |path: &&str| text.contains(&format!("\"{path}\""));
    writable_binds(&config)
        .into_iter()
        .filter(own)
        .filter(literal)
        .map(|path| {
            let message = format!("'{path}' is the same for every instance of the image");
            let help = "use $STATE_DIRECTORY/$NAME, $CONF_DIRECTORY or $RUN_DIRECTORY";
            let line = line_of(text, &format!("\"{path}\""));
            Finding::advice("fixed-path", message, help).at(file, line)
        })
        .collect()
}
