//! The rule that everything an installation would refuse is an error: the image is rendered, with
//! guesses for the variables that have no value yet.

use std::collections::BTreeMap;

use super::super::{Error, Host, Network, Origin, Rendered, Request, SourceKind, render, values};
use super::{Finding, Subject, refusal};

/// In the place of a number or a word, of a path, and of a piece of JSON after a list's last one.
const GUESSES: [&str; 3] = ["1", "/1", ""];

pub(super) fn renders(subject: &Subject) -> Vec<Finding> {
    let unset = match values::variables(subject.exports) {
        Ok(variables) => variables
            .into_iter()
            .filter(|one| one.origin == Origin::Required && !subject.values.contains_key(&one.name))
            .map(|one| one.name)
            .collect::<Vec<_>>(),
        Err(error) => return vec![refusal(&error)],
    };
    match best(subject, &unset) {
        Ok(rendered) => {
            let advice = |text: String| Finding::advice("warning", text, "");
            rendered.warnings.into_iter().map(advice).collect()
        }
        Err(error) if by_guess(&error, &unset) => vec![Finding::advice(
            "not-judged",
            "whether the configuration is a good one depends on values that are not known"
                .to_owned(),
            "give them with --set",
        )],
        Err(error) => vec![refusal(&error)],
    }
}

/// The first guess that an installation would take, or else what is wrong with the one that got
/// furthest. Each variable gets its own guess, so that few of them are tried for many.
pub(super) fn best(subject: &Subject, unset: &[String]) -> Result<Rendered, Error> {
    let mut chosen: BTreeMap<String, String> = subject.values.clone();
    chosen.extend(
        unset
            .iter()
            .map(|name| (name.clone(), GUESSES[0].to_owned())),
    );
    let mut outcome = attempt(subject, &chosen);
    for name in unset.iter().rev() {
        for guess in &GUESSES[1..] {
            if outcome.is_ok() {
                return outcome;
            }
            let mut other = chosen.clone();
            other.insert(name.clone(), (*guess).to_owned());
            let tried = attempt(subject, &other);
            if progress(&tried) > progress(&outcome) {
                (chosen, outcome) = (other, tried);
            }
        }
    }
    outcome
}

/// How far a rendering got: not JSON, JSON, good.
fn progress(outcome: &Result<Rendered, Error>) -> (u8, usize) {
    match outcome {
        Ok(_) => (2, 0),
        Err(Error::ConfigSyntax(error)) => (0, error.got_to()),
        Err(_) => (1, 0),
    }
}

/// The error may be one of the guess alone.
fn by_guess(error: &Error, unset: &[String]) -> bool {
    match error {
        Error::ConfigSyntax(error) => error.suspects().iter().any(|name| unset.contains(name)),
        _ => false,
    }
}

fn attempt(subject: &Subject, user_values: &BTreeMap<String, String>) -> Result<Rendered, Error> {
    let host = host();
    let ordinary = br#"{"config": {"Cmd": ["/bin/true"]}}"#;
    let request = Request {
        name: "lint",
        serial: 1,
        destdir: "/var/lib/containers/atomic/lint.0",
        image_name: "lint:latest",
        image_id: "0",
        image_config: subject.image_config.unwrap_or(ordinary),
        once: false,
        early: false,
        network: Network::Host,
        user_values,
        host: &host,
        carried: &[],
        source: &|_| SourceKind::Dir,
        folder: &|_| None,
    };
    render(subject.exports, &request)
}

/// A host like any other. Its directories are told apart from literal paths.
fn host() -> Host {
    Host {
        run_directory: "/run".to_owned(),
        state_directory: "/var/lib".to_owned(),
        conf_directory: "/etc".to_owned(),
        runtime: "/usr/bin/sysc-runtime".to_owned(),
        installer: "/usr/bin/sysc".to_owned(),
        uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
        capabilities: vec!["CAP_CHOWN".to_owned()],
        uid: 0,
        gid: 0,
        systemd: 252,
        unified_cgroups: true,
    }
}
