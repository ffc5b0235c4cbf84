//! Everything that can be wrong with an image's contract, or with what it is asked to become.

use std::collections::BTreeMap;
use std::fmt;

use super::template::Place;
use super::values::HOST;

/// What the image's file access reports; only passed on.
pub type FilesError = Box<dyn std::error::Error + Send + Sync>;

/// Why an image cannot be rendered. Values that were pasted into a text are told by their
/// variable's name, never shown: they may be secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the image could not be read.
    #[error("cannot read '{path}' of the image")]
    ReadFile {
        /// The path in the image.
        path: String,
        /// What the store said.
        #[source]
        source: FilesError,
    },
    /// A file that must be text is not.
    #[error(
        "'{file}' of the image is not UTF-8 text\nhelp: until the image is mended, --exports DIR can stand in for that file"
    )]
    NotText {
        /// The path in the image.
        file: String,
    },
    /// manifest.json is not JSON.
    #[error(
        "'{file}' of the image is not valid JSON\nhelp: until the image is mended, --exports DIR can stand in for that file"
    )]
    ManifestSyntax {
        /// The path in the image.
        file: &'static str,
        /// The parser's words, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A key of manifest.json has the wrong type.
    #[error(
        "'{key}' in '{file}' of the image is {found}, and must be {expected}\nhelp: until the image is mended, --exports DIR can stand in for that file"
    )]
    ManifestType {
        /// The path in the image.
        file: &'static str,
        /// The key, with its parents.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A dollar sign that begins no variable.
    #[error("{}", show_stray(.file, .stray))]
    StrayDollar {
        /// The template's path in the image.
        file: String,
        /// Line and what stands there from the dollar sign on.
        stray: Vec<(usize, String)>,
    },
    /// Variables without a value.
    #[error(transparent)]
    Unreplaced(Unreplaced),
    /// Variables that the image does not have.
    #[error(transparent)]
    UnknownVariables(#[from] UnknownVariables),
    /// `--set` without `=`.
    #[error(
        "'{text}' is not of the form NAME=VALUE\nhelp: 'sysc info IMAGE' lists an image's variables"
    )]
    SetForm {
        /// What was given.
        text: String,
    },
    /// `--set` of something that can be no variable.
    #[error(
        "'{name}' cannot be the name of a variable\nhelp: names are letters, digits and '_', and do not begin with a digit"
    )]
    SetName {
        /// The name as given.
        name: String,
    },
    /// `--set` of a name that sysc alone sets.
    #[error("'{name}' cannot be set: sysc gives it its value\nhelp: leave out --set {name}=…")]
    SetForced {
        /// The variable.
        name: String,
    },
    /// An early unit that waits for something late.
    #[error(
        "an early start cannot wait for what comes later: the unit has '{setting}={late}'\nhelp: leave out --early (or \"early\" in the image's manifest.json), or the setting"
    )]
    Early {
        /// The key.
        setting: &'static str,
        /// What it names.
        late: String,
    },
    /// The configuration is not JSON.
    #[error(transparent)]
    ConfigSyntax(#[from] Box<super::syntax::SyntaxError>),
    /// The configuration does not have the form that the runtime specification gives it.
    #[error(
        "'{field}' in '{file}' is not what the OCI runtime specification says: {problem}\nhelp: until the image is mended, --exports DIR can stand in for that file"
    )]
    ConfigShape {
        /// What the configuration was made from.
        file: &'static str,
        /// The field, as `process.args[0]`.
        field: String,
        /// What is wrong with it; names of variables stand for their values.
        problem: String,
    },
    /// The configuration asks for what sysc does not do.
    #[error("'{field}' in '{file}' {problem}")]
    ConfigRule {
        /// What the configuration was made from.
        file: &'static str,
        /// The field, as `root.readonly`.
        field: String,
        /// What is wrong with it, and where there is one, a line of help.
        problem: String,
    },
    /// The unit lets another user than root call the runtime.
    #[error(
        "the unit's '{setting}' would have the runtime called without root, which cannot make the container\nhelp: let the unit be root's, and give the program its user in config.json, as process.user"
    )]
    UnitUser {
        /// The unit's line.
        setting: String,
    },
    /// The image's own OCI configuration cannot be read.
    #[error("the image's OCI configuration cannot be understood")]
    ImageConfig {
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// An ordinary image that does not say what to run.
    #[error(
        "the image has neither an entry point nor a command, so there is nothing to run\nhelp: set ENTRYPOINT or CMD when building the image, or give it an /exports/config.json.template"
    )]
    NoCommand,
    /// An image that states its own namespaces is asked for another network.
    #[error(
        "the image brings a configuration of its own, which says what network it has\nhelp: leave out --network, or give another configuration with --exports DIR"
    )]
    NetworkOfImage,
    /// The image's user is not in the image.
    #[error(
        "the image runs as user '{user}': {problem}\nhelp: the image's own /etc/passwd and /etc/group must have it, or USER must be a number"
    )]
    ImageUser {
        /// `User` of the image's configuration.
        user: String,
        /// What is wrong.
        problem: String,
    },
    /// Something else in the image's configuration cannot be used.
    #[error("{key} '{value}' in the image's configuration {problem}")]
    ImageSetting {
        /// The key of the image configuration.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A host file that is neither file, link nor folder.
    #[error(
        "'/exports/hostfs{path}' is a {kind}\nhelp: only files, links and folders can be copied to the host"
    )]
    HostFileKind {
        /// Path below hostfs.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A host file's place on the host is not acceptable.
    #[error("'/exports/hostfs{path}' cannot become '{target}' on the host: {problem}")]
    HostFileTarget {
        /// Path below hostfs.
        path: String,
        /// The path after renaming.
        target: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Variables that templates use and nobody gave a value.
#[derive(Debug)]
pub struct Unreplaced {
    /// The variables and every place that uses them.
    pub missing: BTreeMap<String, Vec<Place>>,
    /// The variables that have a value.
    pub known: Vec<String>,
}

impl std::error::Error for Unreplaced {}

impl fmt::Display for Unreplaced {
    /// Scripts look for `unreplaced value for: ''NAME''` at the end of a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.missing.len();
        let plural = if count == 1 { " has" } else { "s have" };
        write!(
            f,
            "cannot fill in the image's templates: {count} variable{plural} no value"
        )?;
        for (name, places) in &self.missing {
            let places: Vec<String> = places.iter().map(Place::to_string).collect();
            write!(
                f,
                "\n{}: unreplaced value for: ''{name}''",
                places.join(", ")
            )?;
        }
        write!(f, "\nhelp: give each one with --set NAME=VALUE")?;
        match self.known.is_empty() {
            true => Ok(()),
            false => write!(f, "; these have values: {}", self.known.join(", ")),
        }
    }
}

/// Names that were given values and that nothing of the image looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariables {
    /// The names.
    pub names: Vec<String>,
    /// The variables that are the image's own.
    pub known: Vec<String>,
}

impl std::error::Error for UnknownVariables {}

impl fmt::Display for UnknownVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}the image has no variable '{name}'")?;
            let known = self.known.iter().map(String::as_str);
            if let Some(near) = nearest(name, known.chain(HOST)) {
                write!(f, "; is '{near}' meant?")?;
            }
        }
        match self.known.is_empty() {
            true => write!(f, "\nhelp: it has none that must or can be set for it"),
            false => write!(f, "\nhelp: its variables are {}", self.known.join(", ")),
        }
    }
}

/// What was probably meant by `name`.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&wanted, &known.to_lowercase());
    known
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn show_stray(file: &str, stray: &[(usize, String)]) -> String {
    let mut text = "a '$' begins no variable".to_owned();
    for (line, rest) in stray {
        let rest: String = rest.chars().take(40).collect();
        text.push_str(&format!("\n{file}:{line}: '{rest}'"));
    }
    text.push_str("\nhelp: a literal dollar sign is written '$$'");
    text
}
