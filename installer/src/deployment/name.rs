//! The name of a container: it becomes a directory, a unit and an argument of the runtime.

use std::fmt;

/// Bytes that the longest file name made from a container's name adds to it:
/// `.NAME.tmp-` and a serial of up to twenty digits.
const LONGEST_ADDITION: usize = 26;

/// A container name: `[A-Za-z0-9_][A-Za-z0-9_.+-]*`, short enough that every file name made
/// from it fits in 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

/// A text that cannot name a container.
#[derive(Debug, thiserror::Error)]
pub enum InvalidName {
    /// No text at all.
    #[error("a container's name cannot be empty\nhelp: give one with --name NAME")]
    Empty,
    /// Too long for the files that are named after it.
    #[error(
        "the container name '{start}…' is {length} bytes long; at most {} are possible\n\
         help: give a shorter one with --name NAME",
        255 - LONGEST_ADDITION
    )]
    TooLong {
        /// How the name begins.
        start: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A character that a name cannot have, or not there.
    #[error(
        "the container name '{}' has '{}' {}; names are made of letters, digits and '_', and after \
         the first character also '.', '+' and '-'",
        name.escape_debug(),
        character.escape_debug(),
        if *first { "at its beginning" } else { "in it" }
    )]
    Character {
        /// The name as given.
        name: String,
        /// The first character that does not fit.
        character: char,
        /// It is the first one.
        first: bool,
    },
}

impl ContainerName {
    /// Checks `text` against the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > 255 - LONGEST_ADDITION {
            let start = text.chars().take(32).collect();
            return Err(InvalidName::TooLong {
                start,
                length: text.len(),
            });
        }
        let fits = |(position, c): &(usize, char)| {
            c.is_ascii_alphanumeric()
                || *c == '_'
                || (*position > 0 && matches!(c, '.' | '+' | '-'))
        };
        match text.char_indices().find(|at| !fits(at)) {
            None => Ok(Self(text.to_owned())),
            Some((position, character)) => Err(InvalidName::Character {
                name: text.to_owned(),
                character,
                first: position == 0,
            }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_place_are_refused() {
        let long = "x".repeat(300);
        let bad = [
            "",
            "../x",
            "a/b",
            "-x",
            ".x",
            "+x",
            "a b",
            "a'b",
            "a\nb",
            "ä",
            long.as_str(),
        ];
        for text in bad {
            assert!(ContainerName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for text in [
            "etcd",
            "etcd-3.0",
            "web.0",
            "_x",
            "a+b",
            "x".repeat(229).as_str(),
        ] {
            assert_eq!(ContainerName::parse(text).unwrap().as_str(), text);
        }
    }
}
