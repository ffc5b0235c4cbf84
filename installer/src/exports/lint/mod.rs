//! What an image's author should know before anybody installs it.
//!
//! In: an image's files (or a folder that is going to be its `/exports`), and its configuration
//! where there is one already. Out: findings, each with the rule that it comes from. An error is
//! what an installation would refuse; everything else is advice. Nothing is looked up on the host.

mod config;
mod guess;
mod image;
mod manifest;
mod unit;

use std::collections::BTreeMap;

use super::template::Template;
use super::{Error, Exports, ImageFiles};

/// Something that an author should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The rule's name.
    pub rule: &'static str,
    /// The file of the image, where it is about one.
    pub file: Option<String>,
    /// Its line, from 1, where it is about one.
    pub line: Option<usize>,
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An installation would refuse the image.
    Error,
    /// It installs, and could be better.
    Advice,
}

/// What the rules look at.
pub(super) struct Subject<'a> {
    pub exports: &'a Exports,
    /// `/exports/manifest.json`, where there is one.
    pub manifest: Option<&'a str>,
    pub templates: &'a [Template],
    /// The image's OCI configuration; none for a folder.
    pub image_config: Option<&'a [u8]>,
    /// Values that were given to judge it with.
    pub values: &'a BTreeMap<String, String>,
}

/// The rules, in the order of their findings.
const RULES: [fn(&Subject) -> Vec<Finding>; 7] = [
    guess::renders,
    manifest::unknown_keys,
    manifest::unused_defaults,
    manifest::undescribed_variables,
    unit::settings,
    config::fixed_paths,
    image::labels,
];

/// Judges an image, or a folder that is to become one's `/exports`.
pub fn lint(
    files: &dyn ImageFiles,
    image_config: Option<&[u8]>,
    values: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let read = || -> Result<_, Error> {
        let exports = Exports::read(files)?;
        let templates = exports.templates()?;
        Ok((exports, templates))
    };
    let (exports, templates) = match read() {
        Ok(read) => read,
        // Nothing more can be said of what cannot be read.
        Err(error) => return vec![refusal(&error)],
    };
    let manifest = files.file(super::manifest::FILE).ok().flatten();
    let manifest = manifest.and_then(|text| String::from_utf8(text).ok());
    let subject = Subject {
        exports: &exports,
        manifest: manifest.as_deref(),
        templates: &templates,
        image_config,
        values,
    };
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&subject)).collect();
    findings.sort_by_key(|finding| finding.level);
    findings
}

impl Finding {
    fn advice(rule: &'static str, message: String, help: &str) -> Self {
        Self {
            level: Level::Advice,
            rule,
            file: None,
            line: None,
            message,
            help: Some(help.to_owned()).filter(|help| !help.is_empty()),
        }
    }

    fn at(self, file: &str, line: Option<usize>) -> Self {
        Self {
            file: Some(file.to_owned()),
            line,
            ..self
        }
    }
}

/// An error of reading or rendering, its advice apart.
fn refusal(error: &Error) -> Finding {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let (message, help) = match text.split_once("\nhelp: ") {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (text, None),
    };
    Finding {
        level: Level::Error,
        rule: "refused",
        file: None,
        line: None,
        message,
        help,
    }
}

/// The line of `text` that `part` stands in first.
fn line_of(text: &str, part: &str) -> Option<usize> {
    text.find(part)
        .map(|at| 1 + text[..at].matches('\n').count())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Files, etcd};
    use super::*;

    fn findings(files: &Files) -> Vec<Finding> {
        lint(files, None, &BTreeMap::new())
    }

    /// `rule file:line` of each.
    fn told(files: &Files) -> Vec<String> {
        let place = |finding: &Finding| {
            let file = finding.file.clone().unwrap_or_default();
            let line = finding
                .line
                .map(|line| format!(":{line}"))
                .unwrap_or_default();
            format!("{} {file}{line}", finding.rule)
        };
        findings(files).iter().map(place).collect()
    }

    const CONFIG: &str = "{\"ociVersion\": \"1.0.2\", \"process\": {\"args\": [\"/x\", \"$PORT\"],
        \"cwd\": \"/\", \"user\": {\"uid\": 0, \"gid\": 0}},
        \"root\": {\"path\": \"rootfs\", \"readonly\": true},
        \"mounts\": [{\"destination\": \"/a\", \"type\": \"bind\",
            \"source\": \"/var/lib/a\", \"options\": [\"rbind\", \"rw\"]}
        $MORE]}\n";
    const UNIT: &str = "[Unit]\nDescription=x\n\n[Service]\nExecStart=$EXEC_START\n\
        ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE\nWorkingDirectory=$DESTDIR\n";

    fn image(manifest: &str, unit: &str) -> Files {
        Files::default()
            .file("/exports/config.json.template", CONFIG)
            .file("/exports/service.template", unit)
            .file("/exports/manifest.json", manifest)
    }

    const GOOD: &str =
        "{\n\"version\": \"1.0\",\n\"defaultValues\": {\"PORT\": \"80\", \"MORE\": \"\"}\n}";

    /// W04: a misspelt key, an unused default, a variable without either, a bad unit setting.
    #[test]
    fn w04_each_rule_tells_where() {
        let cases = [
            (
                GOOD,
                UNIT,
                vec!["fixed-path /exports/config.json.template:5"],
            ),
            (
                "{\"defaultValue\": {}}",
                UNIT,
                vec![
                    "unknown-key /exports/manifest.json:1",
                    "undescribed-variable /exports/config.json.template:6",
                    "undescribed-variable /exports/config.json.template:1",
                    "fixed-path /exports/config.json.template:5",
                ],
            ),
            (
                "{\"defaultValues\": {\"PORT\": \"80\", \"MORE\": \"\",\n\"PROT\": \"1\"}}",
                "[Service]\nExecStart=$EXEC_START\nRestrat=always\nX-Own=1\n",
                vec![
                    "unused-default /exports/manifest.json:2",
                    "unknown-setting /exports/service.template:3",
                    "foreground /exports/service.template",
                    "fixed-path /exports/config.json.template:5",
                ],
            ),
        ];
        for (manifest, unit, right) in cases {
            assert_eq!(told(&image(manifest, unit)), right, "{manifest}");
        }
    }

    #[test]
    fn w04_what_an_installation_refuses_is_an_error() {
        let config = |text: &str| Files::default().file("/exports/config.json.template", text);
        let cases = [
            Files::default().file("/exports/manifest.json", "{"),
            Files::default().file("/exports/service.template", "cost $5"),
            config("{\"root\": 1, }"),
            config(&CONFIG.replace("true", "false")),
            config(&CONFIG.replace("\"/x\"", "")),
            Files::default().special("/exports/hostfs/etc/odd", "fifo"),
        ];
        for files in cases {
            let found = findings(&files);
            assert_eq!(found[0].level, Level::Error, "{found:?}");
        }
    }

    /// What cannot be known without a value is no error.
    #[test]
    fn variables_without_a_value_are_guessed() {
        for files in [etcd(), image("{}", UNIT)] {
            let found = findings(&files);
            assert!(found.iter().all(|f| f.level == Level::Advice), "{found:?}");
        }
        let odd = CONFIG.replace("\"cwd\": \"/\"", "\"cwd\": \"$DIR\"");
        let files = Files::default().file("/exports/config.json.template", &odd);
        assert!(findings(&files).iter().all(|f| f.level == Level::Advice));
        let values = BTreeMap::from([("DIR".to_owned(), "relative".to_owned())]);
        let found = lint(&files, None, &values);
        assert_eq!(found[0].level, Level::Error, "{found:?}");
    }

    #[test]
    fn labels_of_an_image() {
        let config = br#"{"config": {"Cmd": ["x"], "Labels": {"version": "1"}}}"#;
        let found = lint(&Files::default(), Some(config), &BTreeMap::new());
        let rules: Vec<_> = found.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["label"], "{found:?}");
        assert!(found[0].message.contains("name, summary"), "{found:?}");
    }
}
