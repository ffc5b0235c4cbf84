//! The texts in `manual/`, as roff.
//!
//! ```text
//! paragraphs of the description, with `names` and *terms*
//!
//! ## Title of a section
//! `term`
//! : what it means
//! ```

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// The order in which sections follow the options.
const ORDER: [&str; 5] = [
    "Life of a container",
    "Exit status",
    "Files",
    "Environment",
    "Notes",
];

/// Sections by title.
#[derive(Debug)]
pub struct Prose<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Prose<'a> {
    /// Of several texts the first that has a section is the one that counts.
    pub fn read(texts: &[&'a str]) -> Prose<'a> {
        let sections = |text: &'a str| {
            let mut parts = text.split("## ");
            let description = ("Description", parts.next().unwrap_or_default());
            let rest = parts.filter_map(|part| part.split_once('\n'));
            [description].into_iter().chain(rest)
        };
        Prose(texts.iter().copied().flat_map(sections).collect())
    }

    /// What there is beside the description, in order.
    pub fn titles(&self) -> impl Iterator<Item = &'static str> {
        ORDER
            .into_iter()
            .filter(|wanted| self.0.iter().any(|(title, _)| title == wanted))
    }

    /// A section, as roff.
    pub fn section(&self, title: &str) -> Roff {
        let found = self.0.iter().find(|(name, _)| *name == title);
        titled(title, found.map_or("", |(_, text)| text))
    }
}

/// A section of that title.
pub fn titled(title: &str, text: &str) -> Roff {
    let mut roff = heading(title);
    for (paragraphs, block) in text.trim().split("\n\n").enumerate() {
        if block.contains("\n: ") {
            definitions(&mut roff, block);
        } else {
            if paragraphs > 0 {
                roff.control("PP", []);
            }
            roff.text(inlines(&block.replace('\n', " ")));
        }
    }
    roff
}

fn heading(title: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title.to_uppercase().as_str()]);
    roff
}

/// Terms, each with a line that begins with a colon.
fn definitions(roff: &mut Roff, block: &str) {
    for line in block.lines() {
        match line.strip_prefix(": ") {
            Some(meaning) => roff.text(inlines(meaning)),
            None => {
                roff.control("TP", []);
                roff.text(inlines(line))
            }
        };
    }
}

/// Every second piece between two marks is what they mark.
fn inlines(text: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    for (at, piece) in text.split('`').enumerate() {
        if at % 2 == 1 {
            found.push(bold(piece));
            continue;
        }
        for (at, piece) in piece.split('*').enumerate() {
            found.push(if at % 2 == 1 {
                italic(piece)
            } else {
                roman(piece)
            });
        }
    }
    found
}

/// What stands below the help of a verb: sentences, and indented twice the lines to type.
pub fn examples(text: &str) -> Roff {
    let mut roff = heading("Examples");
    for (at, line) in text.lines().skip(1).enumerate() {
        match line.strip_prefix("    ") {
            Some(command) => {
                roff.control("RS", ["4"]).control("nf", []);
                roff.text([roman(command)]);
                roff.control("fi", []).control("RE", []);
            }
            None => {
                if at > 0 {
                    roff.control("PP", []);
                }
                roff.text(inlines(line.trim()));
            }
        }
    }
    roff
}
