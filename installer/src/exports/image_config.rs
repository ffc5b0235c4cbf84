//! The parts of an image's own OCI configuration that a service is made from (image-spec,
//! config.md). Absent and `null` mean the same; what is not listed is passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Error;

/// `config` of the image configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageConfig {
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    #[serde(deserialize_with = "or_default")]
    stop_signal: String,
    #[serde(deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// The label that asks for one run at install.
const RUN_LABEL: &str = "atomic.run";

impl ImageConfig {
    /// Reads the image configuration blob.
    pub fn parse(blob: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(default)]
            config: Option<ImageConfig>,
        }
        let outer: Outer =
            serde_json::from_slice(blob).map_err(|source| Error::ImageConfig { source })?;
        Ok(outer.config.unwrap_or_default())
    }

    /// Whether installing this image means to run it once and throw it away.
    pub fn run_once(&self) -> bool {
        self.labels
            .get(RUN_LABEL)
            .is_some_and(|value| value == "once")
    }

    /// The signal that asks the service to stop, where the image names one. It goes into a unit
    /// file, so nothing but the name or number of a signal is let through.
    pub fn stop_signal(&self) -> Result<Option<&str>, Error> {
        let signal = self.stop_signal.as_str();
        let name = signal.strip_prefix("SIG").unwrap_or(signal);
        let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '+' | '-');
        match name.is_empty() {
            true if signal.is_empty() => Ok(None),
            false if name.len() <= 10 && name.chars().all(word) => Ok(Some(signal)),
            _ => Err(Error::ImageSetting {
                key: "StopSignal",
                value: signal.to_owned(),
                problem: "is not a signal",
            }),
        }
    }
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ImageConfig {
        ImageConfig::parse(text.as_bytes()).unwrap()
    }

    /// T11: `Labels: null` and everything else that may be absent.
    #[test]
    fn t11_absent_and_null_are_the_same() {
        let cases = [
            "{}",
            r#"{"config": null}"#,
            r#"{"config": {}}"#,
            r#"{"config": {"Labels": null, "Env": null, "Cmd": null, "User": null,
                "Volumes": null, "StopSignal": null, "OnBuild": null}}"#,
        ];
        for text in cases {
            let config = parse(text);
            assert!(config.cmd.is_empty() && config.env.is_empty() && config.volumes.is_empty());
            assert!(!config.run_once(), "{text}");
            assert_eq!(config.stop_signal().unwrap(), None, "{text}");
        }
        assert!(ImageConfig::parse(b"[").is_err());
        assert!(ImageConfig::parse(br#"{"config": {"Cmd": "sh"}}"#).is_err());
    }

    #[test]
    fn once_is_the_only_value_of_the_run_label() {
        for (value, right) in [
            ("once", true),
            ("Once", false),
            ("", false),
            ("always", false),
        ] {
            let text = format!(r#"{{"config": {{"Labels": {{"atomic.run": "{value}"}}}}}}"#);
            assert_eq!(parse(&text).run_once(), right, "{value}");
        }
    }

    #[test]
    fn a_stop_signal_is_a_signal_and_nothing_else() {
        let signal = |value: &str| {
            let text = serde_json::json!({"config": {"StopSignal": value}}).to_string();
            parse(&text)
                .stop_signal()
                .map(|signal| signal.map(str::to_owned))
        };
        for good in ["SIGTERM", "SIGRTMIN+3", "QUIT", "9", "SIGUSR1"] {
            assert_eq!(signal(good).unwrap().as_deref(), Some(good));
        }
        for bad in [
            "SIG",
            "SIGTERM\nExecStart=/bin/sh",
            "term",
            "SIG TERM",
            "SIGTERMSIGTERMX",
        ] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }
}
