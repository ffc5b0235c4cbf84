//! One word in the syntax that unit files and tmpfiles.d(5) lines share.

use std::borrow::Cow;

/// `word` so that systemd reads it back as it is: `%` begins a specifier, and blanks, quotes and
/// backslashes are only kept within quotes.
pub(super) fn quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    let escaped = match word.contains('%') {
        true => Cow::Owned(word.replace('%', "%%")),
        false => Cow::Borrowed(word),
    };
    if !word.is_empty() && word.chars().all(plain) {
        return escaped;
    }
    let mut quoted = String::from("\"");
    for c in escaped.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

/// The first word of `line` and what follows it; the reverse of [`quote`].
pub(super) fn first_word(line: &str) -> Option<(String, &str)> {
    let line = line.trim_start();
    let mut word = String::new();
    let mut open = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, open) {
            ('\\', _) => match chars.next() {
                Some((_, 'n')) => word.push('\n'),
                Some((_, 't')) => word.push('\t'),
                Some((_, other)) => word.push(other),
                None => return None,
            },
            (c, Some(quote)) if c == quote => open = None,
            ('"' | '\'', None) => open = Some(c),
            (c, None) if c.is_whitespace() => return Some((unpercent(word), &line[at..])),
            (c, _) => word.push(c),
        }
    }
    (open.is_none() && !line.is_empty()).then(|| (unpercent(word), ""))
}

fn unpercent(word: String) -> String {
    match word.contains("%%") {
        true => word.replace("%%", "%"),
        false => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_as_they_were() {
        let cases = [
            ("/var/lib/x", "/var/lib/x"),
            ("/a b", "\"/a b\""),
            ("/100%", "/100%%"),
            ("/q\"u\\o", "\"/q\\\"u\\\\o\""),
            ("/li\nne", "\"/li\\nne\""),
            ("", "\"\""),
        ];
        for (word, right) in cases {
            assert_eq!(quote(word), right);
            let line = format!("  {right} rest");
            assert_eq!(
                first_word(&line),
                Some((word.to_owned(), " rest")),
                "{right}"
            );
        }
        assert_eq!(first_word("  "), None);
        assert_eq!(first_word("\"open"), None);
        assert_eq!(first_word("'a b'c"), Some(("a bc".to_owned(), "")));
    }
}
