//! The manual pages, the help and the completions, as they are generated.
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be generated fails the test"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the pages are tried with the host's reader"
)]

#[path = "../examples/sysc-runtime-manual/pages.rs"]
mod pages;

use std::process::Command;

use clap::{CommandFactory, ValueEnum};
use sysc_runtime::cli::{self, Cli};

fn verbs() -> Vec<clap::Command> {
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.cloned().collect()
}

#[test]
fn every_verb_has_a_page_with_every_section() {
    let pages = pages::pages().unwrap();
    assert_eq!(pages.len(), verbs().len() + 1);
    for verb in verbs() {
        let name = format!("sysc-runtime-{}.8", verb.get_name());
        let page = pages.iter().find(|page| page.name == name);
        let page = page.unwrap_or_else(|| panic!("there is no {name}"));
        let text = std::str::from_utf8(&page.text).unwrap();
        let sections = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "FILES",
            "ENVIRONMENT",
            "EXAMPLES",
            "SEE ALSO",
        ];
        let mut rest = text;
        for section in sections {
            let heading = match section.contains(' ') {
                true => format!(".SH \"{section}\"\n"),
                false => format!(".SH {section}\n"),
            };
            let (_, after) = rest
                .split_once(&heading)
                .unwrap_or_else(|| panic!("{name} has no {section} where it belongs:\n{text}"));
            assert!(!after.starts_with(".SH"), "{name}: {section} is empty");
            rest = after;
        }
    }
}

#[test]
fn pages_please_their_reader() {
    let scratch = tempfile::tempdir().unwrap();
    for page in pages::pages().unwrap() {
        let path = scratch.path().join(&page.name);
        std::fs::write(&path, &page.text).unwrap();
        // References to pages that are not installed are no fault of the page.
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&lint.stdout);
        assert!(lint.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn every_example_is_understood() {
    for verb in verbs().iter().chain([&Cli::command()]) {
        let help = verb.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_else(|| panic!("{} has no example", verb.get_name()));
        let mut ours = 0;
        for line in help.lines().filter_map(|line| line.strip_prefix("    ")) {
            assert!(line.len() < 76, "too wide for a terminal: {line}");
            for part in line
                .split(" | ")
                .filter(|part| part.starts_with("sysc-runtime "))
            {
                ours += 1;
                cli::parse(part.split_whitespace().map(Into::into))
                    .unwrap_or_else(|error| panic!("{part}: {error}"));
            }
        }
        assert!(ours > 0, "{} has no example of its own", verb.get_name());
    }
}

#[test]
fn completions_know_verbs_and_flags() {
    for shell in [
        clap_complete::Shell::Bash,
        clap_complete::Shell::Zsh,
        clap_complete::Shell::Fish,
    ] {
        assert!(clap_complete::Shell::value_variants().contains(&shell));
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "sysc-runtime", &mut script);
        let script = String::from_utf8(script).unwrap();
        for verb in verbs() {
            assert!(
                script.contains(verb.get_name()),
                "{shell}: {}",
                verb.get_name()
            );
        }
        assert!(script.contains("console-socket"), "{shell} knows no flags");
    }
}
