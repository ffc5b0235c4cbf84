//! Verbs of other tools: what somebody who types one of them is looking for here.

use clap::Error;
use clap::error::{ContextKind, ContextValue};

/// What they are called elsewhere, and what to do here.
const ELSEWHERE: [(&[&str], &str); 10] = [
    (
        &["start", "restart", "enable", "disable"],
        "a container is a unit of systemd: 'systemctl VERB NAME'",
    ),
    (
        &["log", "journal"],
        "'sysc logs NAME' shows what a service has said",
    ),
    (
        &["remove", "rm", "delete", "purge"],
        "'sysc uninstall NAME' removes a container, 'sysc images delete IMAGE' an image",
    ),
    (&["rmi"], "'sysc images delete IMAGE' gives up an image"),
    (
        &["inspect", "show"],
        "'sysc status NAME' shows a container, 'sysc info IMAGE' an image",
    ),
    (
        &["create", "up", "deploy"],
        "'sysc install IMAGE' makes a service of an image",
    ),
    (
        &["shell", "enter", "attach", "login"],
        "'sysc exec NAME sh' opens a shell in a container",
    ),
    (
        &["upgrade"],
        "'sysc update NAME' brings a container to a newer image",
    ),
    (
        &["build", "push", "commit"],
        "images are made elsewhere, with 'podman build' for example; 'sysc new NAME' begins one",
    ),
    (
        &["config", "edit"],
        "'sysc update --set NAME=VALUE CONTAINER' changes values, 'systemctl edit NAME' the unit",
    ),
];

/// An error about a verb that is none, with what was probably meant.
pub(super) fn with_hint(mut error: Error) -> Error {
    let Some(ContextValue::String(verb)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let found = ELSEWHERE
        .iter()
        .find(|(words, _)| words.contains(&verb.as_str()));
    if let Some((_, hint)) = found {
        let hint = hint.replace("VERB", verb);
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::None);
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![hint.into()]),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn verbs_of_other_tools_lead_to_ours() {
        let told = |verb: &str| {
            let error = Cli::try_parse_from(["sysc", verb, "x"]).unwrap_err();
            with_hint(error).to_string()
        };
        assert!(told("start").contains("'systemctl start NAME'"));
        assert!(told("remove").contains("'sysc uninstall NAME'"));
        assert!(!told("remove").contains("recover"), "{}", told("remove"));
        assert!(told("instal").contains("'install'"), "{}", told("instal"));
        for (words, _) in ELSEWHERE {
            for verb in words {
                assert!(told(verb).contains("tip: "), "{verb}: {}", told(verb));
            }
        }
    }
}
