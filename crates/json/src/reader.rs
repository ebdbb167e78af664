//! The text and what is read from it, whatever the type.

use std::borrow::Cow;

use serde::de::{Error as _, Expected, Unexpected};

use crate::error::Error;
use crate::path::path_to;

/// Deepest nesting, as `serde_json` has it: each level is a level of the stack.
const DEPTH_MAX: u8 = 128;

/// A place in a text.
pub(crate) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
}

/// One value, or the start of one.
pub(crate) enum Token<'de> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'de, str>),
    /// `[` was read.
    Array,
    /// `{` was read.
    Object,
}

impl<'de> Reader<'de> {
    pub(crate) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The error with the place that was reached.
    pub(crate) fn locate(&self, error: Error) -> Error {
        let read = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = 1 + read.iter().filter(|byte| **byte == b'\n').count();
        let column = read.iter().rev().take_while(|byte| **byte != b'\n').count();
        error.with_place(line, column, path_to(self.text, self.at))
    }

    /// The next byte that is no white space; not taken.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    /// Nothing may be left.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        if self.peek().is_none() { Ok(()) } else { Err(self.fail("trailing characters")) }
    }

    /// Takes the next value, or its opening bracket.
    pub(crate) fn token(&mut self) -> Result<Token<'de>, Error> {
        match self.peek() {
            Some(b'"') => self.string().map(Token::Text),
            Some(b'{') => self.open().map(|()| Token::Object),
            Some(b'[') => self.open().map(|()| Token::Array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true").map(|()| Token::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Token::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Token::Null),
            Some(_) => Err(self.fail("expected value")),
            None => Err(Error::new("EOF while parsing a value")),
        }
    }

    /// Takes `null`, where it is next.
    pub(crate) fn null(&mut self) -> Result<bool, Error> {
        if self.peek() == Some(b'n') { self.word("null").map(|()| true) } else { Ok(false) }
    }

    /// Takes a string.
    pub(crate) fn text(&mut self, expected: &dyn Expected) -> Result<Cow<'de, str>, Error> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        Err(mismatch(&self.token()?, expected))
    }

    /// Takes a whole number of up to 19 digits, where one is next: what most numbers are.
    pub(crate) fn digits(&mut self) -> Option<u64> {
        self.peek()?;
        let bytes = self.text.as_bytes();
        let (mut at, mut number) = (self.at, 0_u64);
        while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
            // Wraps only where there are too many digits.
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        let is_whole = !matches!(bytes.get(at), Some(b'.' | b'e' | b'E' | b'-' | b'+'));
        let count = at - self.at;
        let is_plain = (1..20).contains(&count) && (count == 1 || bytes[self.at] != b'0');
        (is_whole && is_plain).then(|| {
            self.at = at;
            number
        })
    }

    /// Takes the opening bracket of an array or object.
    pub(crate) fn open_as(&mut self, bracket: u8, expected: &dyn Expected) -> Result<(), Error> {
        if self.peek() == Some(bracket) {
            return self.open();
        }
        Err(mismatch(&self.token()?, expected))
    }

    /// Whether another element follows, its comma taken; else the closing
    /// bracket is next.
    pub(crate) fn more(&mut self, is_first: &mut bool, close: u8) -> Result<bool, Error> {
        match self.peek() {
            Some(byte) if byte == close => Ok(false),
            Some(_) if std::mem::take(is_first) => Ok(true),
            Some(b',') => {
                self.at += 1;
                if self.peek() == Some(close) {
                    return Err(self.fail("trailing comma"));
                }
                Ok(true)
            }
            Some(_) if close == b']' => Err(self.fail("expected `,` or `]`")),
            Some(_) => Err(self.fail("expected `,` or `}`")),
            None if close == b']' => Err(Error::new("EOF while parsing a list")),
            None => Err(Error::new("EOF while parsing an object")),
        }
    }

    /// Takes a key; its colon comes with the value.
    pub(crate) fn key(&mut self) -> Result<Cow<'de, str>, Error> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => Err(self.fail("key must be a string")),
        }
    }

    pub(crate) fn colon(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.fail("expected `:`")),
            None => return Err(Error::new("EOF while parsing an object")),
        }
        Ok(())
    }

    /// Takes the closing bracket.
    pub(crate) fn close(&mut self, bracket: u8) -> Result<(), Error> {
        if self.peek() != Some(bracket) {
            return Err(self.fail("trailing characters"));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Takes a value that nobody wants.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        let mut is_first = true;
        match self.token()? {
            Token::Array => {
                while self.more(&mut is_first, b']')? {
                    self.skip()?;
                }
                self.close(b']')
            }
            Token::Object => {
                while self.more(&mut is_first, b'}')? {
                    self.key()?;
                    self.colon()?;
                    self.skip()?;
                }
                self.close(b'}')
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self) -> Result<(), Error> {
        self.at += 1;
        self.depth += 1;
        if self.depth >= DEPTH_MAX { Err(self.fail("recursion limit exceeded")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fail("expected ident"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<Token<'de>, Error> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let text = &rest[..rest.bytes().take_while(is_part).count()];
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        self.at += text.len();
        if is_whole && (digits == "0" || !digits.starts_with('0')) {
            match text.parse() {
                Ok(number) => return Ok(Token::Unsigned(number)),
                Err(_) if digits != "0" => {
                    if let Ok(number) = text.parse() {
                        return Ok(Token::Signed(number));
                    }
                }
                Err(_) => {}
            }
        }
        // With a point, an exponent, or too long for 64 bits; or no number.
        let float = text.parse::<serde_json::Number>().ok().and_then(|number| number.as_f64());
        float.map(Token::Float).ok_or_else(|| self.fail("invalid number"))
    }

    fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        self.at += 1;
        let mut text = Cow::Borrowed(self.plain());
        loop {
            match self.text.as_bytes().get(self.at) {
                None => return Err(Error::new("EOF while parsing a string")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    let char = self.escape()?;
                    text.to_mut().push(char);
                }
                Some(_) => return Err(self.fail(CONTROL)),
            }
            text.to_mut().push_str(self.plain());
        }
    }

    /// Takes what of a string stands for itself.
    fn plain(&mut self) -> &'de str {
        let rest = &self.text[self.at..];
        let plain = &rest[..plain_bytes(rest.as_bytes())];
        self.at += plain.len();
        plain
    }

    fn escape(&mut self) -> Result<char, Error> {
        let char = match self.text.as_bytes().get(self.at + 1) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
            Some(b'u') => return self.unicode(),
            Some(_) => return Err(self.fail("invalid escape")),
            None => return Err(Error::new("EOF while parsing a string")),
        };
        self.at += 2;
        Ok(char)
    }

    /// `\u` and four hex digits; twice for what lies above U+FFFF.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.unit()?;
        let char = match first {
            0xd800..0xdc00 => match self.unit()? {
                second @ 0xdc00..0xe000 => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                _ => return Err(self.fail(SURROGATE)),
            },
            _ => first,
        };
        char::from_u32(char).ok_or_else(|| self.fail(SURROGATE))
    }

    fn unit(&mut self) -> Result<u32, Error> {
        let unit = self.text.as_bytes()[self.at..].first_chunk::<6>();
        let hex = unit.and_then(|unit| unit.strip_prefix(b"\\u"));
        let digit = |value: u32, byte: &u8| Some(value * 16 + char::from(*byte).to_digit(16)?);
        let unit = hex.and_then(|hex| hex.iter().try_fold(0, digit));
        self.at = (self.at + 6).min(self.text.len());
        unit.ok_or_else(|| Error::new("invalid escape"))
    }

    /// The sentence, or the one for the text's end.
    fn fail(&self, message: &str) -> Error {
        let is_end = self.at >= self.text.len();
        Error::new(if is_end { "EOF while parsing a value" } else { message })
    }
}

/// How many bytes come before the first that does not stand for itself.
fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // The high bit of each byte that is zero; above one that is, also of some that are not.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let mut at = 0;
    while let Some(word) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let escapes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & (ONES << 7);
        match quotes | escapes | controls {
            0 => at += 8,
            found => return at + (found.trailing_zeros() / 8) as usize,
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    at + text[at..].iter().take_while(is_plain).count()
}

const CONTROL: &str = "control character (\\u0000-\\u001F) found while parsing a string";
const SURROGATE: &str = "lone leading surrogate in hex escape";

/// Another kind of value than the type takes.
pub(crate) fn mismatch(token: &Token<'_>, expected: &dyn Expected) -> Error {
    let found = match token {
        Token::Null => Unexpected::Other("null"),
        Token::Bool(value) => Unexpected::Bool(*value),
        Token::Unsigned(value) => Unexpected::Unsigned(*value),
        Token::Signed(value) => Unexpected::Signed(*value),
        Token::Float(value) => Unexpected::Float(*value),
        Token::Text(text) => Unexpected::Str(text),
        Token::Array => Unexpected::Seq,
        Token::Object => Unexpected::Map,
    };
    Error::invalid_type(found, expected)
}
