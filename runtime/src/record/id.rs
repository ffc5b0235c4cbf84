//! Names of containers.

use super::Error;

/// A name that may be a directory's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// Checks a name: `[A-Za-z0-9_+-][A-Za-z0-9_+.-]*`, no `..`, at most 255 bytes.
    pub fn parse(text: &str) -> Result<Id, Error> {
        match fault(text) {
            None => Ok(Id(text.to_owned())),
            Some(reason) => Err(Error::Name {
                id: text.to_owned(),
                reason,
            }),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fault(text: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > 255 {
        Some("it is longer than 255 bytes")
    } else if !text.chars().all(allowed) {
        Some("it holds a character that is not allowed")
    } else if text.starts_with('.') {
        Some("it begins with '.'")
    } else if text.contains("..") {
        Some("it holds '..'")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_names_that_are_and_are_not_allowed() {
        let longest = "x".repeat(255);
        let too_long = "x".repeat(256);
        for good in ["a", "etcd-3.5_1+x", "-x", "+x", "_", longest.as_str()] {
            assert_eq!(Id::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".x",
            "..",
            "a..b",
            "a/b",
            "a b",
            "a'b",
            "ä",
            "a\n",
            too_long.as_str(),
        ] {
            assert!(Id::parse(bad).is_err(), "{bad}");
        }
    }
}
