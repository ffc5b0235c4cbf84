//! One page for the command and one for each verb: synopsis, options and examples from the
//! definition of the command line, the rest from the texts in `manual/`.

#[path = "prose.rs"]
mod prose;

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::Roff;

use prose::Prose;

/// The day on which the texts were last gone through.
const DATE: &str = "2026-11-25";

/// A manual page.
#[derive(Debug)]
pub struct Page {
    /// Name of its file.
    pub name: String,
    /// Its text, in roff.
    pub text: Vec<u8>,
}

const COMMON: &str = include_str!("../../manual/common.md");
const PASSED: &str = include_str!("../../manual/passed.md");
const RUNTIME: &str = include_str!("../../manual/sysc-runtime.md");

/// Of each verb its text, and what to read beside it.
const VERBS: [(&str, &str, &[&str]); 16] = [
    (
        "run",
        include_str!("../../manual/run.md"),
        &["create", "exec", "delete", "spec"],
    ),
    ("exec", include_str!("../../manual/exec.md"), &["run", "ps"]),
    (
        "create",
        include_str!("../../manual/create.md"),
        &["start", "run", "delete", "spec"],
    ),
    (
        "start",
        include_str!("../../manual/start.md"),
        &["create", "run"],
    ),
    (
        "state",
        include_str!("../../manual/state.md"),
        &["list", "ps"],
    ),
    (
        "kill",
        include_str!("../../manual/kill.md"),
        &["delete", "state", "signal(7)"],
    ),
    (
        "halt",
        include_str!("../../manual/halt.md"),
        &["kill", "systemd.kill(5)", "pid_namespaces(7)"],
    ),
    (
        "delete",
        include_str!("../../manual/delete.md"),
        &["kill", "state"],
    ),
    (
        "ps",
        include_str!("../../manual/ps.md"),
        &["state", "events", "ps(1)"],
    ),
    (
        "pause",
        include_str!("../../manual/pause.md"),
        &["resume", "systemctl(1)"],
    ),
    (
        "resume",
        include_str!("../../manual/resume.md"),
        &["pause", "systemctl(1)"],
    ),
    (
        "update",
        include_str!("../../manual/update.md"),
        &["events", "systemctl(1)", "cgroups(7)"],
    ),
    (
        "events",
        include_str!("../../manual/events.md"),
        &["update", "ps", "cgroups(7)"],
    ),
    ("list", include_str!("../../manual/list.md"), &["state"]),
    (
        "spec",
        include_str!("../../manual/spec.md"),
        &["run", "create", "features"],
    ),
    (
        "features",
        include_str!("../../manual/features.md"),
        &["spec"],
    ),
];

/// All pages.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut command = sysc_runtime::cli::Cli::command().disable_help_subcommand(true);
    command.build();
    let verbs: Vec<&str> = VERBS.iter().map(|(verb, _, _)| *verb).collect();
    let mut pages = vec![page(&command, &[RUNTIME, COMMON], &verbs)?];
    for (verb, text, related) in VERBS {
        let Some(command) = command.find_subcommand(verb) else {
            return Err(io::Error::other(format!("there is no verb '{verb}'")));
        };
        let texts: &[&str] = match verb {
            "run" | "create" | "exec" => &[text, PASSED, COMMON],
            _ => &[text, COMMON],
        };
        pages.push(page(command, texts, related)?);
    }
    Ok(pages)
}

/// Of each section the first text counts that has it.
fn page(command: &Command, texts: &[&str], related: &[&str]) -> io::Result<Page> {
    let man = Man::new(command.clone().version(env!("CARGO_PKG_VERSION")))
        .section("8")
        .date(DATE)
        .source(concat!("sysc ", env!("CARGO_PKG_VERSION")))
        .manual("System containers");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    let prose = Prose::read(texts);
    prose.section("Description").to_writer(&mut text)?;
    text.extend(options(&man)?);
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    for title in prose.titles() {
        prose.section(title).to_writer(&mut text)?;
    }
    let examples = command.get_after_help().map(ToString::to_string);
    prose::examples(&examples.unwrap_or_default()).to_writer(&mut text)?;
    see_also(command, related).to_writer(&mut text)?;
    Ok(Page {
        name: man.get_filename(),
        text,
    })
}

/// Above possible values stands a break too many, at which readers of manuals frown.
fn options(man: &Man) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    man.render_options_section(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(text.replace(".br\n\n.br\n", ".br\n").into_bytes())
}

fn see_also(command: &Command, related: &[&str]) -> Roff {
    let page = |name: &&str| match name.split_once('(') {
        Some((name, section)) => format!("`{name}`({section}"),
        None => format!("`sysc-runtime-{name}`(8)"),
    };
    let whole = (!command.has_subcommands()).then(|| "`sysc-runtime`(8)".to_owned());
    let all: Vec<String> = whole.into_iter().chain(related.iter().map(page)).collect();
    prose::titled("See also", &all.join(", "))
}
