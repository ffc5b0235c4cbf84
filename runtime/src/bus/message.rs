//! Messages of D-Bus as bytes: calls to write, answers and signals to read.
//!
//! ```text
//!  'l' kind flags version │ length of the body │ serial │ fields a(yv) │ pad to 8 │ body
//! ```
//!
//! Every value is aligned to its size, counted from the message's beginning; the body begins at a
//! multiple of eight, so it can be made by itself.

use super::Value;

const LITTLE_ENDIAN: u8 = b'l';
const VERSION: u8 = 1;
/// What is read at once before the length is known.
pub const HEAD: usize = 16;
/// No message that we wait for comes near it.
const LONGEST: usize = 1 << 20;

/// Kinds of messages.
const CALL: u8 = 1;
const ANSWER: u8 = 2;
const FAILURE: u8 = 3;
const SIGNAL: u8 = 4;

/// What is called.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub name: &'a str,
}

/// What comes in, as far as we want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// To the call with this serial.
    Answer(u32, Body),
    /// The same, for the worse: the error's name and what it says.
    Failure(u32, String, String),
    /// The member's name.
    Signal(String, Body),
    /// Nothing for us.
    Other,
}

/// What a message carries, to be read from the front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
    at: usize,
}

/// The bytes of a call. Without a bus between us there is nobody to name as the destination.
pub fn call(serial: u32, member: Member, arguments: &[Value]) -> Vec<u8> {
    let mut body = Writer::default();
    arguments.iter().for_each(|value| body.value(value));
    let signature: String = arguments.iter().map(Value::signature).collect();
    let mut message = Writer::default();
    message.0.extend([LITTLE_ENDIAN, CALL, 0, VERSION]);
    message.number(body.0.len() as u32);
    message.number(serial);
    let mut fields = Writer::default();
    for (code, kind, text) in [
        (1, "o", member.path),
        (2, "s", member.interface),
        (3, "s", member.name),
        (6, "s", member.destination),
    ] {
        fields.align(8);
        fields.0.push(code);
        fields.signature(kind);
        fields.text(text);
    }
    if !signature.is_empty() {
        fields.align(8);
        fields.0.push(8);
        fields.signature("g");
        fields.signature(&signature);
    }
    // The fields begin at 16, so their own alignment is the message's.
    message.number(fields.0.len() as u32);
    message.0.extend(fields.0);
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// How many bytes follow the first sixteen. `None` for what is no message.
pub fn rest(head: &[u8; HEAD]) -> Option<usize> {
    let number = |at: usize| -> Option<usize> {
        Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    if head[0] != LITTLE_ENDIAN || head[3] != VERSION {
        return None;
    }
    let fields = number(12)?.checked_next_multiple_of(8)?;
    fields
        .checked_add(number(4)?)
        .filter(|length| *length <= LONGEST)
}

/// Reads a message, of which `tail` is what follows the head.
pub fn read(head: &[u8; HEAD], tail: &[u8]) -> Option<Incoming> {
    let length = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let body = Body {
        bytes: tail.get(tail.len().checked_sub(length)?..)?.to_vec(),
        at: 0,
    };
    let fields_length = u32::from_le_bytes(head[12..16].try_into().ok()?) as usize;
    let mut fields = Body {
        bytes: tail.get(..fields_length)?.to_vec(),
        at: 0,
    };
    let (mut serial, mut member, mut error) = (0, String::new(), String::new());
    while fields.at < fields.bytes.len() {
        fields.align(8)?;
        let code = fields.byte()?;
        match (code, fields.signature()?.as_str()) {
            (5, "u") => serial = fields.number()?,
            (3, "s") => member = fields.text()?,
            (4, "s") => error = fields.text()?,
            (_, "u") => drop(fields.number()?),
            (_, "g") => drop(fields.signature()?),
            (_, "s" | "o") => drop(fields.text()?),
            _ => return None,
        }
    }
    Some(match head[1] {
        ANSWER => Incoming::Answer(serial, body),
        FAILURE => Incoming::Failure(serial, error, { body }.text().unwrap_or_default()),
        SIGNAL => Incoming::Signal(member, body),
        _ => Incoming::Other,
    })
}

impl Body {
    /// `s`, and `o`
    pub fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let text = self.take(length)?.to_vec();
        self.byte()?;
        String::from_utf8(text).ok()
    }

    /// `u`
    pub fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// `g`; before the value of a `v` stands its type.
    pub fn signature(&mut self) -> Option<String> {
        let length = self.byte()? as usize;
        let text = self.take(length)?.to_vec();
        self.byte()?;
        String::from_utf8(text).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(length)?;
        let found = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(found)
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn wide(&mut self, bytes: [u8; 8]) {
        self.align(8);
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.number(u32::from(*value)),
            Value::Byte(value) => self.0.push(*value),
            Value::I32(value) => self.number(*value as u32),
            Value::U32(value) => self.number(*value),
            Value::I64(value) => self.wide(value.to_le_bytes()),
            Value::U64(value) => self.wide(value.to_le_bytes()),
            Value::F64(value) => self.wide(value.to_le_bytes()),
            Value::Text(text) => self.text(text),
            Value::Array(element, items) => self.array(element, items),
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }

    /// The length is of the items alone, without the gap before the first one.
    fn array(&mut self, element: &str, items: &[Value]) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(match element.chars().next() {
            Some('x' | 't' | 'd' | '(') => 8,
            Some('y' | 'v') => 1,
            _ => 4,
        });
        let start = self.0.len();
        items.iter().for_each(|item| self.value(item));
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: Member = Member {
        destination: "d",
        path: "/p",
        interface: "i.i",
        name: "Name",
    };

    fn split(message: &[u8]) -> ([u8; HEAD], &[u8]) {
        let (head, tail) = message.split_first_chunk().unwrap();
        (*head, tail)
    }

    #[test]
    fn bytes_are_as_the_specification_has_them() {
        let properties = Value::properties(vec![("P".to_owned(), Value::U64(7))]);
        let message = call(3, MEMBER, &[Value::text("ab"), properties]);
        let (head, tail) = split(&message);
        assert_eq!(head[..4], [b'l', 1, 0, 1]);
        assert_eq!(head[8..12], [3, 0, 0, 0]);
        assert_eq!(rest(&head), Some(tail.len()));
        let body = [
            2, 0, 0, 0, b'a', b'b', 0, 0, // s, and a gap
            24, 0, 0, 0, 0, 0, 0, 0, // length of the array, and a gap to its first struct
            1, 0, 0, 0, b'P', 0, // s
            1, b't', 0, 0, 0, 0, 0, 0, 0, 0, // type of the variant, and a gap
            7, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(head[4], body.len() as u8);
        assert_eq!(tail[tail.len() - body.len()..], body);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut message = call(
            1,
            MEMBER,
            &[Value::U32(5), Value::text("x"), Value::text("done")],
        );
        message[1] = SIGNAL;
        let (head, tail) = split(&message);
        let Some(Incoming::Signal(name, mut body)) = read(&head, tail) else {
            panic!()
        };
        assert_eq!(name, "Name");
        assert_eq!(body.number(), Some(5));
        assert_eq!(body.text().as_deref(), Some("x"));
        assert_eq!(body.text().as_deref(), Some("done"));
        assert_eq!(body.text(), None);
    }

    #[test]
    fn nonsense_is_no_message() {
        let message = call(1, MEMBER, &[Value::text("x")]);
        let (head, tail) = split(&message);
        for cut in 0..tail.len() {
            // Too short to hold what it says; whatever comes of it, it must not panic.
            let _ = read(&head, &tail[..cut]);
        }
        assert_eq!(rest(&[0; HEAD]), None);
        assert_eq!(
            rest(&[b'l', 1, 0, 1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]),
            None
        );
    }
}
