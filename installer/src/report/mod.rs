//! What the user reads: the only room that writes to standard output and standard error.
//!
//! Results go to standard output, in words or as JSON; progress, notes and warnings go to
//! standard error, so that `--json` output stays whole.

mod date;
mod diff;
mod progress;
mod table;

pub use date::date;
pub use diff::diff;
pub use progress::{LayerProgress, PullProgress, size};
pub use table::table;

use std::io::{IsTerminal, Write};

/// The way to the user.
#[derive(Clone, Debug)]
pub struct Report {
    terminal: bool,
}

impl Report {
    /// A report to the standard streams; progress is drawn only on a terminal.
    pub fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// A line, or several, of the result.
    pub fn say(&self, text: impl std::fmt::Display) {
        // A reader that went away (`sysc list | head -1`) is no failure.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// The result as JSON.
    pub fn json(&self, value: &serde_json::Value) {
        self.say(format_args!("{value:#}"));
    }

    /// What is going on, for people.
    pub fn note(&self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Something the user should look at, which is no failure.
    pub fn warn(&self, text: impl std::fmt::Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// The one error that ends the command, its causes and what to do next.
    pub fn error(&self, error: &anyhow::Error) {
        let mut causes = error.chain().map(ToString::to_string);
        let (mut text, mut help) = split_help(&causes.next().unwrap_or_default());
        for cause in causes {
            let (cause, advice) = split_help(&cause);
            // A transparent wrapper tells its cause in its own words.
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
            help = help.or(advice);
        }
        self.note(format_args!("sysc: {text}"));
        if let Some(help) = help {
            self.note(help);
        }
    }

    /// The display of a pull.
    pub fn pull(&self) -> PullProgress {
        PullProgress::new(self.clone(), self.terminal)
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes the `help: …` lines off the end of an error's text, so that they can come last.
fn split_help(text: &str) -> (String, Option<String>) {
    match text.split_once("\nhelp: ") {
        Some((text, help)) => (text.to_owned(), Some(format!("help: {help}"))),
        None => (text.to_owned(), None),
    }
}
