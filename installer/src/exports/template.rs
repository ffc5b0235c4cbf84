//! Templates by the rules of Python's `string.Template`, which is what atomic filled them with.
//!
//! `$NAME` and `${NAME}` are variables, `$$` is a dollar sign, and a `$` before anything else is
//! an error. Names are `[_a-zA-Z][_a-zA-Z0-9]*`, ASCII only and case-sensitive. Values are pasted
//! as they are: what looks like a variable in a value is text.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::Error;
use super::error::Unreplaced;

/// The resolved variables by name.
pub type Values = BTreeMap<String, String>;

/// A text that was cut at its variables.
#[derive(Clone, Debug)]
pub struct Template {
    file: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable { name: String, line: usize },
}

/// The result of [`Template::fill`]: the text, and where in it each value was pasted.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    /// The rendered text.
    pub text: String,
    /// Byte range in `text` and name of the variable, in the order of the text.
    pub spans: Vec<(Range<usize>, String)>,
}

/// Where a template uses a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The template's path in the image.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Filled {
    /// The same text with `value` in the place of the values of `names`.
    pub(super) fn with(&self, names: &[&str], value: &str) -> Self {
        let mut other = Self::default();
        let mut at = 0;
        for (span, name) in &self.spans {
            other.text.push_str(&self.text[at..span.start]);
            let start = other.text.len();
            let pasted = match names.contains(&name.as_str()) {
                true => value,
                false => &self.text[span.clone()],
            };
            other.text.push_str(pasted);
            other.spans.push((start..other.text.len(), name.clone()));
            at = span.end;
        }
        other.text.push_str(&self.text[at..]);
        other
    }
}

impl Template {
    /// Cuts `text` at its variables; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        Self::parse_at(file, 1, text)
    }

    /// The same for a text whose first line is line `first` of `file`.
    pub fn parse_at(file: &str, first: usize, text: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut stray = Vec::new();
        let (mut rest, mut line) = (text, first);
        while let Some(dollar) = rest.find('$') {
            let (before, after) = rest.split_at(dollar);
            push_text(&mut pieces, before);
            line += before.matches('\n').count();
            let length = match token(&after[1..]) {
                Some(Token::Dollar) => {
                    push_text(&mut pieces, "$");
                    1
                }
                Some(Token::Variable { name, length }) => {
                    pieces.push(Piece::Variable {
                        name: name.to_owned(),
                        line,
                    });
                    length
                }
                None => {
                    stray.push((line, after.lines().next().unwrap_or("$").to_owned()));
                    0
                }
            };
            rest = &after[1 + length..];
        }
        push_text(&mut pieces, rest);
        match stray.is_empty() {
            true => Ok(Self {
                file: file.to_owned(),
                pieces,
            }),
            false => Err(Error::StrayDollar {
                file: file.to_owned(),
                stray,
            }),
        }
    }

    /// Every variable with the place of its use, in the order of the text.
    pub fn variables(&self) -> impl Iterator<Item = (&str, Place)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Variable { name, line } => Some((
                name.as_str(),
                Place {
                    file: self.file.clone(),
                    line: *line,
                },
            )),
        })
    }

    /// The names of its variables, as often as they are used.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Variable { name, .. } => Some(name.as_str()),
        })
    }

    /// Whether the text uses the variable, in either spelling.
    pub fn uses(&self, name: &str) -> bool {
        self.names().any(|used| used == name)
    }

    /// Pastes the values. Every variable without one is named in the error.
    pub fn fill(&self, values: &Values) -> Result<Filled, Error> {
        require([self], values)?;
        let mut filled = Filled::default();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.text.push_str(text),
                Piece::Variable { name, .. } => {
                    let start = filled.text.len();
                    filled
                        .text
                        .push_str(values.get(name).map_or("", String::as_str));
                    filled.spans.push((start..filled.text.len(), name.clone()));
                }
            }
        }
        Ok(filled)
    }
}

/// Checks that every variable of all these templates has a value, and names all that have none.
pub fn require<'a>(
    templates: impl IntoIterator<Item = &'a Template>,
    values: &Values,
) -> Result<(), Error> {
    let mut missing: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for (name, place) in templates.into_iter().flat_map(Template::variables) {
        if !values.contains_key(name) {
            let places = missing.entry(name.to_owned()).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::Unreplaced(Unreplaced {
            missing,
            known: values.keys().cloned().collect(),
        })),
    }
}

/// Whether `name` can be a variable.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name_length(name) == name.len()
}

enum Token<'a> {
    Dollar,
    Variable { name: &'a str, length: usize },
}

/// What stands behind a dollar sign, and how long it is.
fn token(after: &str) -> Option<Token<'_>> {
    if after.starts_with('$') {
        return Some(Token::Dollar);
    }
    let (name, length) = match after.strip_prefix('{') {
        Some(inner) => {
            let name = inner.split_once('}')?.0;
            (name, name.len() + 2)
        }
        None => {
            let length = name_length(after);
            (&after[..length], length)
        }
    };
    is_name(name).then_some(Token::Variable { name, length })
}

/// Length of the longest name that `text` begins with.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first().is_none_or(u8::is_ascii_digit) {
        return 0;
    }
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count()
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// T02: dollar signs as Python's `string.Template` takes them.
    #[test]
    fn t02_dollar_signs() {
        let values = values(&[
            ("NAME", "web"),
            ("name", "low"),
            ("_x1", "one"),
            ("N", "en"),
        ]);
        let cases = [
            ("A=$$HOME", "A=$HOME"),
            ("B=$$$NAME", "B=$web"),
            ("C=${NAME}ctl", "C=webctl"),
            ("H=$name", "H=low"),
            ("I=$_x1", "I=one"),
            ("J=$NÄME", "J=enÄME"),
            ("$NAME$NAME", "webweb"),
            ("$$(date) $$", "$(date) $"),
            ("$$$$", "$$"),
            ("$NAME-1.$NAME", "web-1.web"),
            ("", ""),
            ("no variable", "no variable"),
        ];
        for (text, right) in cases {
            let template = Template::parse("t", text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(template.fill(&values).unwrap().text, right, "{text}");
        }
    }

    #[test]
    fn t02_a_stray_dollar_is_an_error_with_its_line() {
        let cases = [
            "E=cost $5",
            "F=$ x",
            "G=${NAME",
            "$",
            "${}",
            "${1A}",
            "${ä}",
            "$Ä",
            "${A B}",
        ];
        for text in cases {
            let error = Template::parse("service.template", &format!("one\n\n{text}\n"));
            let message = error.expect_err(text).to_string();
            assert!(message.contains("service.template:3"), "{text}: {message}");
        }
    }

    #[test]
    fn every_stray_dollar_is_named_at_once() {
        let message = Template::parse("f", "$1\n$A\n$-")
            .expect_err("stray")
            .to_string();
        assert!(
            message.contains("f:1: '$1'") && message.contains("f:3: '$-'"),
            "{message}"
        );
    }

    #[test]
    fn values_are_text_and_are_not_filled_again() {
        let values = values(&[("A", "$B ${B} $$ $"), ("B", "no")]);
        let filled = Template::parse("t", "<$A>").unwrap().fill(&values).unwrap();
        assert_eq!(filled.text, "<$B ${B} $$ $>");
        assert_eq!(filled.spans, [(1..filled.text.len() - 1, "A".to_owned())]);
    }

    /// T01: all missing ones at once, with their places.
    #[test]
    fn t01_every_missing_variable_is_named_with_its_lines() {
        let template = Template::parse("config.json.template", "$PORT\n${RECEIVER} $HAVE\n$PORT");
        let error = template
            .unwrap()
            .fill(&values(&[("HAVE", "x")]))
            .unwrap_err()
            .to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].contains("2 variables"), "{error}");
        assert_eq!(
            lines[1],
            "config.json.template:1, config.json.template:3: unreplaced value for: ''PORT''"
        );
        assert_eq!(
            lines[2],
            "config.json.template:2: unreplaced value for: ''RECEIVER''"
        );
        assert!(
            lines[3].starts_with("help: ") && lines[3].contains("HAVE"),
            "{error}"
        );
    }

    #[test]
    fn d_a_longer_name_is_another_variable() {
        let error = Template::parse("t", "$NAMEctl")
            .unwrap()
            .fill(&values(&[("NAME", "x")]));
        assert!(error.unwrap_err().to_string().contains("''NAMEctl''"));
    }

    #[test]
    fn variables_are_listed_with_lines() {
        let template = Template::parse("t", "$A\n${B} $$C\n\n$D").unwrap();
        let found: Vec<_> = template
            .variables()
            .map(|(name, at)| (name, at.line))
            .collect();
        assert_eq!(found, [("A", 1), ("B", 2), ("D", 4)]);
    }

    #[test]
    fn names_are_ascii_words() {
        for good in ["A", "_", "a1", "_1", "FOO_BAR"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1", "A-B", "Ä", "A B", "A="] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
