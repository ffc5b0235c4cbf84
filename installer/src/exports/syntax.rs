//! Where a rendered text stops being JSON, and whose fault that is: a value's or the template's.

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::template::Filled;

/// Where a rendered configuration stops being JSON.
#[derive(Debug)]
pub struct SyntaxError {
    file: &'static str,
    /// Of the rendered text, counted from 1.
    line: usize,
    column: usize,
    /// The line, with the names of variables in the place of their values.
    shown: String,
    fault: Fault,
    /// Bytes of the template's own text before it.
    got_to: usize,
    /// The parser's words, which hold nothing of the text.
    problem: String,
}

/// What must be changed.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The values of these variables: with others the text gets further.
    Values(Vec<String>),
    /// The file itself, at this line: whatever the values are, it stops there.
    Template(usize),
}

impl SyntaxError {
    /// What the parser says of `filled`, which was made from `file`.
    pub(super) fn new(filled: &Filled, file: &'static str, source: serde_json::Error) -> Self {
        let text = filled.text.as_str();
        let (line, column) = place(text, &source);
        let start = offset(text, line, 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let words = source.to_string();
        let problem = words
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        Self {
            file,
            line,
            column,
            shown: masked(filled, start..end),
            fault: fault(filled, offset(text, line, column)),
            got_to: own_rest(filled, 0) - own_rest(filled, offset(text, line, column)),
            problem,
        }
    }
}

impl SyntaxError {
    /// The variables whose values may be at fault.
    pub(super) fn suspects(&self) -> &[String] {
        match &self.fault {
            Fault::Values(names) => names,
            Fault::Template(_) => &[],
        }
    }

    /// How much of the template is JSON.
    pub(super) fn got_to(&self) -> usize {
        self.got_to
    }
}

/// Line and column, both from 1. What follows a line's last character is told by the parser as
/// the next line's beginning.
fn place(text: &str, error: &serde_json::Error) -> (usize, usize) {
    match (error.line().max(1), error.column()) {
        (line, 0) if line > 1 => {
            let before = text.lines().nth(line - 2).map_or(0, str::len);
            (line - 1, before + 1)
        }
        place => place,
    }
}

/// The byte at a line and column.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line {
        1 => 0,
        line => text
            .match_indices('\n')
            .nth(line - 2)
            .map_or(text.len(), |(at, _)| at + 1),
    };
    let at = (start + column.saturating_sub(1)).min(text.len());
    text.floor_char_boundary(at)
}

/// The text of `range`, values replaced by `${NAME}`.
fn masked(filled: &Filled, range: Range<usize>) -> String {
    let mut shown = String::new();
    let mut at = range.start;
    let touches = |span: &Range<usize>| span.start <= range.end && span.end >= range.start;
    for (span, name) in filled.spans.iter().filter(|(span, _)| touches(span)) {
        shown.push_str(filled.text.get(at..span.start).unwrap_or_default());
        shown.push_str(&format!("${{{name}}}"));
        at = at.max(span.end);
    }
    shown.push_str(filled.text.get(at..range.end).unwrap_or_default());
    shown.trim().chars().take(200).collect()
}

/// Found by trying: a variable is at fault if the text gets further with another value of it.
fn fault(filled: &Filled, stop: usize) -> Fault {
    let mut names: Vec<&str> = Vec::new();
    for (_, name) in filled.spans.iter().filter(|(span, _)| span.start <= stop) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let rest = own_rest(filled, stop);
    let better = |names: &[&str]| {
        HARMLESS
            .iter()
            .any(|value| gets_further(filled, names, value, rest))
    };
    let guilty: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| better(&[name]))
        .collect();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match guilty.is_empty() {
        false => Fault::Values(owned(&guilty)),
        true if better(&names) => Fault::Values(owned(&names)),
        true => Fault::Template(template_line(filled, stop)),
    }
}

/// Within a string, in a list and after one, and in the place of a number.
const HARMLESS: [&str; 2] = ["", "0"];

fn gets_further(filled: &Filled, names: &[&str], value: &str, rest: usize) -> bool {
    let other = filled.with(names, value);
    match serde_json::from_str::<Value>(&other.text) {
        Ok(_) => true,
        Err(error) => {
            let (line, column) = place(&other.text, &error);
            own_rest(&other, offset(&other.text, line, column)) < rest
        }
    }
}

/// How much of the template's own text, values not counted, follows the byte `at`.
fn own_rest(filled: &Filled, at: usize) -> usize {
    let pasted = filled
        .spans
        .iter()
        .map(|(span, _)| span.end.saturating_sub(span.start.max(at)))
        .sum::<usize>();
    (filled.text.len() - at).saturating_sub(pasted)
}

/// The template's line that the byte `at` comes from.
fn template_line(filled: &Filled, at: usize) -> usize {
    let lines = |text: &str| text.matches('\n').count();
    let pasted: usize = filled
        .spans
        .iter()
        .map(|(span, _)| lines(&filled.text[span.start.min(at)..span.end.min(at)]))
        .sum();
    1 + lines(&filled.text[..at]) - pasted
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            shown,
            fault,
            problem,
            ..
        } = self;
        write!(
            f,
            "'{file}' does not give valid JSON: {problem}\n\
             line {line}, column {column} of the rendered text: {shown}"
        )?;
        match fault {
            Fault::Values(names) => write!(f, "\nhelp: look at the value of {}", names.join(", ")),
            Fault::Template(at) => write!(
                f,
                "\nhelp: no value is at fault, but the image: line {at} of {file}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::{Template, Values};
    use super::*;

    /// The template, the values, and what must be changed.
    #[test]
    fn who_is_to_blame_is_found_by_trying() {
        let values =
            |names: &[&str]| Fault::Values(names.iter().map(|n| (*n).to_owned()).collect());
        let list = "[\n \"$A\",\n $B\n \"$A\"\n]";
        let cases = [
            (list, "a\"", "1,", values(&["A"])),
            (list, "a", "1,,", values(&["B"])),
            (list, "a", "1", values(&["B"])),
            (list, "a\nb", "1,", values(&["A"])),
            ("[\"$A$B\"]", "\"", "\"", values(&["A", "B"])),
            ("[\"$A\",\n$B,\n]", "a", "1", Fault::Template(3)),
            ("[$B,\n\"$A\",\n1 2]", "a", "1,\n\n3", Fault::Template(3)),
            ("{\"$A\": 1 \"$B\": 2}", "a", "b", Fault::Template(1)),
            ("{\"a\": $A,\n\"b\": $B, ,}", "1", "2", Fault::Template(2)),
            ("[$A", "1", "", Fault::Template(1)),
        ];
        for (template, a, b, right) in cases {
            let template = Template::parse("t", template).unwrap();
            let filled = template.fill(&Values::from([
                ("A".into(), a.into()),
                ("B".into(), b.into()),
            ]));
            let filled = filled.unwrap();
            let error = serde_json::from_str::<Value>(&filled.text).unwrap_err();
            assert_eq!(
                SyntaxError::new(&filled, "f", error).fault,
                right,
                "{}",
                filled.text
            );
        }
    }
}
