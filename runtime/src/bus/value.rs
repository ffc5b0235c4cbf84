//! Values as D-Bus sends them, and as people write them in annotations.

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    F64(f64),
    /// `s`
    Text(String),
    /// `a…`: the type of what it holds, for it may hold nothing.
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A text.
    pub fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    /// `a(sv)`, which is how systemd is told properties.
    pub fn properties(properties: Vec<(String, Value)>) -> Value {
        let pairs = properties.into_iter().map(|(name, value)| {
            Value::Struct(vec![Value::Text(name), Value::Variant(Box::new(value))])
        });
        Value::Array("(sv)".to_owned(), pairs.collect())
    }

    /// The type, as D-Bus writes it.
    pub fn signature(&self) -> String {
        match self {
            Value::Bool(_) => "b".to_owned(),
            Value::Byte(_) => "y".to_owned(),
            Value::I32(_) => "i".to_owned(),
            Value::U32(_) => "u".to_owned(),
            Value::I64(_) => "x".to_owned(),
            Value::U64(_) => "t".to_owned(),
            Value::F64(_) => "d".to_owned(),
            Value::Text(_) => "s".to_owned(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(fields) => {
                let fields: String = fields.iter().map(Value::signature).collect();
                format!("({fields})")
            }
            Value::Variant(_) => "v".to_owned(),
        }
    }

    /// A number of seconds in µs.
    pub fn microseconds(&self) -> Option<u64> {
        const SECOND: u64 = 1_000_000;
        match self {
            Value::I32(number) => u64::try_from(*number).ok()?.checked_mul(SECOND),
            Value::I64(number) => u64::try_from(*number).ok()?.checked_mul(SECOND),
            Value::U32(number) => u64::from(*number).checked_mul(SECOND),
            Value::U64(number) => number.checked_mul(SECOND),
            Value::F64(number) if (0.0..1e12).contains(number) => {
                Some((number * SECOND as f64).round() as u64)
            }
            _ => None,
        }
    }

    /// GVariant's text form: `true`, `5`, `uint64 5`, `@t 5`, `1.5`, `'text'`, `['a', 'b']`,
    /// `('a', 5)`.
    pub fn parse(text: &str) -> Option<Value> {
        let (value, rest) = parse_one(text, None)?;
        rest.trim().is_empty().then_some(value)
    }
}

/// Names of types before a number, and how D-Bus writes them.
const TYPES: [(&str, char); 7] = [
    ("boolean", 'b'),
    ("byte", 'y'),
    ("int32", 'i'),
    ("uint32", 'u'),
    ("int64", 'x'),
    ("uint64", 't'),
    ("double", 'd'),
];

/// A value and what follows it; `kind` is a type that was said before it.
fn parse_one(text: &str, kind: Option<char>) -> Option<(Value, &str)> {
    let text = text.trim_start();
    match text.chars().next()? {
        quote @ ('\'' | '"') => parse_text(&text[1..], quote),
        '[' => {
            let (items, rest) = parse_list(&text[1..], ']', kind)?;
            let element = items.first()?.signature();
            let same = items.iter().all(|item| item.signature() == element);
            same.then_some((Value::Array(element, items), rest))
        }
        '(' => {
            let (fields, rest) = parse_list(&text[1..], ')', None)?;
            (!fields.is_empty()).then_some((Value::Struct(fields), rest))
        }
        '@' => {
            let (kind, rest) = text[1..].split_once(' ')?;
            parse_one(rest, kind.trim_start_matches('a').chars().next())
        }
        _ => parse_word(text, kind),
    }
}

fn parse_text(text: &str, quote: char) -> Option<(Value, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            end if end == quote => return Some((Value::Text(value), &text[at + 1..])),
            other => value.push(other),
        }
    }
    None
}

fn parse_list(text: &str, end: char, kind: Option<char>) -> Option<(Vec<Value>, &str)> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.starts_with(end) {
        let (item, after) = parse_one(rest, kind)?;
        items.push(item);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with(end) => {}
            None => return None,
        }
    }
    Some((items, &rest[1..]))
}

fn parse_word(text: &str, kind: Option<char>) -> Option<(Value, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == word) {
        return parse_one(rest, Some(*kind));
    }
    let value = match (kind, word) {
        (None | Some('b'), "true") => Value::Bool(true),
        (None | Some('b'), "false") => Value::Bool(false),
        (Some('y'), word) => Value::Byte(word.parse().ok()?),
        (Some('i'), word) => Value::I32(word.parse().ok()?),
        (Some('u'), word) => Value::U32(word.parse().ok()?),
        (Some('x'), word) => Value::I64(word.parse().ok()?),
        (Some('t'), word) => Value::U64(word.parse().ok()?),
        (Some('d'), word) => Value::F64(word.parse().ok()?),
        (None, word) if word.contains('.') => Value::F64(word.parse().ok()?),
        (None, word) => Value::I32(word.parse().ok()?),
        _ => return None,
    };
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values() {
        let table = [
            ("true", Value::Bool(true)),
            (" 5 ", Value::I32(5)),
            ("-5", Value::I32(-5)),
            ("uint64 5", Value::U64(5)),
            ("@t 5", Value::U64(5)),
            ("1.5", Value::F64(1.5)),
            ("'it\\'s'", Value::text("it's")),
            (
                "[\"a\", 'b']",
                Value::Array("s".to_owned(), vec![Value::text("a"), Value::text("b")]),
            ),
            (
                "@at [1, 2]",
                Value::Array("t".to_owned(), vec![Value::U64(1), Value::U64(2)]),
            ),
            (
                "[('/dev/null', 'rw')]",
                Value::Array(
                    "(ss)".to_owned(),
                    vec![Value::Struct(vec![
                        Value::text("/dev/null"),
                        Value::text("rw"),
                    ])],
                ),
            ),
        ];
        for (text, value) in table {
            assert_eq!(Value::parse(text), Some(value), "{text}");
        }
        for text in [
            "",
            "x",
            "'x",
            "[1, 'a']",
            "[1",
            "5 6",
            "@b 5",
            "[]",
            "9999999999",
        ] {
            assert_eq!(Value::parse(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        for (text, wanted) in [("2", Some(2_000_000)), ("0.5", Some(500_000)), ("-1", None)] {
            assert_eq!(Value::parse(text).unwrap().microseconds(), wanted);
        }
    }
}
