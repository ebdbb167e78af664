//! A push parser for JSON (RFC 8259): windows of any size in, events out,
//! nothing kept but where it is. It accepts what serde_json accepts, numbers
//! beyond a float's range included.
//!
//! Used for request bodies and for the events of a stream.

mod text;

use text::{Utf8, plain};

/// Levels of nesting, as serde_json allows: the 128th is refused.
pub(crate) const DEPTH_MAX: u32 = 127;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Key,
    String,
    Number,
    True,
    False,
    Null,
}

/// Who reads the events.
pub(crate) trait Handler {
    /// Why the reader wants no more.
    type Refusal;
    /// An object or array opens.
    fn open(&mut self, object: bool) -> Result<(), Self::Refusal>;
    /// The innermost object or array closes.
    fn close(&mut self) -> Result<(), Self::Refusal>;
    /// A token begins.
    fn start(&mut self, token: Token) -> Result<(), Self::Refusal>;
    /// More of its text: of strings decoded, valid as a whole, split anywhere; of
    /// numbers as written; of the other literals nothing.
    fn piece(&mut self, text: &[u8]);
    /// It ends.
    fn end(&mut self, token: Token) -> Result<(), Self::Refusal>;
}

/// Why reading stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault<R> {
    /// Not JSON: what is wrong, and at which byte, from 0.
    Json { at: u64, problem: &'static str },
    /// Nested too deeply, at which byte.
    Depth { at: u64 },
    /// The handler's refusal.
    Refused(R),
}

/// Where the parser is in its input.
#[derive(Debug)]
pub(crate) struct Parser {
    state: State,
    /// One bit a level, 1 for objects, the innermost lowest.
    objects: u128,
    depth: u32,
    /// Bytes of the windows before this one.
    before: u64,
    utf8: Utf8,
    /// Where the last byte was that is not plain text of a string.
    plain_from: u64,
    /// `Key` or `String` while in a string.
    token: Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// A value or `]`.
    FirstElement,
    /// A key or `}`.
    FirstKey,
    /// A key, after a comma.
    Key,
    Colon,
    /// A comma or the container's end.
    Comma,
    /// Only white space may follow.
    Done,
    InString,
    Escape,
    /// Digits of `\u` still to come, and the value so far.
    Hex {
        left: u8,
        value: u16,
        high: u16,
    },
    /// A leading surrogate was read: `\` must follow, then `u`.
    Low {
        high: u16,
        slash: bool,
    },
    Number(Number),
    Literal {
        token: Token,
        at: u8,
    },
}

/// How much of a number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Value,
            objects: 0,
            depth: 0,
            before: 0,
            utf8: Utf8::default(),
            plain_from: 0,
            token: Token::String,
        }
    }

    /// Reads one more window.
    #[inline]
    pub(crate) fn feed<H: Handler>(
        &mut self,
        window: &[u8],
        handler: &mut H,
    ) -> Result<(), Fault<H::Refusal>> {
        let mut i = 0;
        while let Some(&byte) = window.get(i) {
            let step = match self.state {
                State::InString => self.string(&window[i..], handler),
                State::Number(number) => self.number(number, &window[i..], handler),
                _ => {
                    self.plain_from = self.before + i as u64;
                    self.step(byte, handler).map(|()| 1)
                }
            };
            match step {
                Ok(read) => i += read,
                Err(stop) => return Err(self.fault(stop, i)),
            }
        }
        self.before += window.len() as u64;
        Ok(())
    }

    /// The input is over.
    pub(crate) fn finish<H: Handler>(&mut self, handler: &mut H) -> Result<(), Fault<H::Refusal>> {
        if let State::Number(number) = self.state {
            self.number_end(number, handler).map_err(|stop| self.fault(stop, 0))?;
        }
        if self.state == State::Done {
            return Ok(());
        }
        Err(self.fault(Stop::Problem("it ends too early"), 0))
    }

    fn fault<R>(&self, stop: Stop<R>, i: usize) -> Fault<R> {
        let at = self.before + i as u64;
        match stop {
            Stop::Problem(problem) => Fault::Json { at, problem },
            // Where in the string is not known once a window was left.
            Stop::Utf8 => Fault::Json { at: self.plain_from, problem: "a string is not UTF-8" },
            Stop::Depth => Fault::Depth { at },
            Stop::Refused(refusal) => Fault::Refused(refusal),
        }
    }

    /// One byte outside the insides of strings and numbers.
    fn step<H: Handler>(&mut self, byte: u8, h: &mut H) -> Result<(), Stop<H::Refusal>> {
        match self.state {
            State::Escape => return self.escape(byte, h),
            State::Hex { left, value, high } => return self.hex(byte, left, value, high, h),
            State::Low { high, slash } => return self.low(byte, high, slash),
            State::Literal { token, at } => return self.literal(byte, token, at, h),
            _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => return Ok(()),
            _ => {}
        }
        match (self.state, byte) {
            (State::FirstElement, b']') | (State::FirstKey, b'}') => self.close(h),
            (State::Value | State::FirstElement, _) => self.value(byte, h),
            (State::FirstKey | State::Key, b'"') => {
                self.token = Token::Key;
                self.state = State::InString;
                Ok(h.start(Token::Key)?)
            }
            (State::FirstKey | State::Key, _) => Err(Stop::Problem("a key in quotes must come")),
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(())
            }
            (State::Colon, _) => Err(Stop::Problem("a colon must come after a key")),
            (State::Comma, b',') => {
                self.state = if self.objects & 1 == 1 { State::Key } else { State::Value };
                Ok(())
            }
            (State::Comma, b'}') if self.objects & 1 == 1 => self.close(h),
            (State::Comma, b']') if self.objects & 1 == 0 => self.close(h),
            (State::Comma, _) => Err(Stop::Problem("a comma or a closing bracket must come")),
            _ => Err(Stop::Problem("something follows after the end")),
        }
    }

    fn value<H: Handler>(&mut self, byte: u8, h: &mut H) -> Result<(), Stop<H::Refusal>> {
        let (token, state) = match byte {
            b'{' | b'[' => return self.open(byte == b'{', h),
            b'"' => (Token::String, State::InString),
            b't' => (Token::True, State::Literal { token: Token::True, at: 1 }),
            b'f' => (Token::False, State::Literal { token: Token::False, at: 1 }),
            b'n' => (Token::Null, State::Literal { token: Token::Null, at: 1 }),
            b'-' => (Token::Number, State::Number(Number::Minus)),
            b'0' => (Token::Number, State::Number(Number::Zero)),
            b'1'..=b'9' => (Token::Number, State::Number(Number::Whole)),
            _ => return Err(Stop::Problem("a value must come")),
        };
        self.token = token;
        self.state = state;
        h.start(token)?;
        if token == Token::Number {
            h.piece(&[byte]);
        }
        Ok(())
    }

    fn open<H: Handler>(&mut self, object: bool, h: &mut H) -> Result<(), Stop<H::Refusal>> {
        if self.depth == DEPTH_MAX {
            return Err(Stop::Depth);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        self.state = if object { State::FirstKey } else { State::FirstElement };
        Ok(h.open(object)?)
    }

    fn close<H: Handler>(&mut self, h: &mut H) -> Result<(), Stop<H::Refusal>> {
        // Every closing bracket is matched before it comes here, so depth >= 1.
        self.depth -= 1;
        self.objects >>= 1;
        self.after_value();
        Ok(h.close()?)
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 { State::Done } else { State::Comma };
    }

    /// The inside of a string, up to what is not plain; at least one byte.
    fn string<H: Handler>(&mut self, rest: &[u8], h: &mut H) -> Result<usize, Stop<H::Refusal>> {
        let (plain, ascii) = plain(rest);
        if plain > 0 {
            let text = &rest[..plain];
            let checked = (ascii && self.utf8.need == 0) || self.utf8.check(text);
            if !checked {
                return Err(Stop::Utf8);
            }
            h.piece(text);
        }
        let Some(&byte) = rest.get(plain) else { return Ok(plain) };
        if self.utf8.need != 0 {
            return Err(Stop::Utf8);
        }
        match byte {
            b'"' => {
                if self.token == Token::Key {
                    self.state = State::Colon;
                } else {
                    self.after_value();
                }
                h.end(self.token)?;
            }
            b'\\' => self.state = State::Escape,
            // Told at the next call, where it is the first byte.
            _ if plain > 0 => return Ok(plain),
            _ => return Err(Stop::Problem("a control character in a string must be escaped")),
        }
        Ok(plain + 1)
    }

    fn escape<H: Handler>(&mut self, byte: u8, h: &mut H) -> Result<(), Stop<H::Refusal>> {
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                self.state = State::Hex { left: 4, value: 0, high: 0 };
                return Ok(());
            }
            _ => return Err(Stop::Problem("an escape that JSON does not have")),
        };
        self.state = State::InString;
        h.piece(&[plain]);
        Ok(())
    }

    fn hex<H: Handler>(
        &mut self,
        byte: u8,
        left: u8,
        value: u16,
        high: u16,
        h: &mut H,
    ) -> Result<(), Stop<H::Refusal>> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err(Stop::Problem("four hexadecimal digits must follow \\u"));
        };
        let value = value << 4 | digit as u16;
        if left > 1 {
            self.state = State::Hex { left: left - 1, value, high };
            return Ok(());
        }
        if high == 0 && (0xD800..0xDC00).contains(&value) {
            self.state = State::Low { high: value, slash: false };
            return Ok(());
        }
        let unit = u32::from(value);
        let code = match high {
            0 => unit,
            _ if (0xDC00..0xE000).contains(&value) => {
                0x1_0000 + ((u32::from(high) - 0xD800) << 10) + (unit - 0xDC00)
            }
            _ => return Err(Stop::Problem(SURROGATE)),
        };
        // A trailing surrogate on its own is the only value that is no char here.
        let Some(decoded) = char::from_u32(code) else { return Err(Stop::Problem(SURROGATE)) };
        self.state = State::InString;
        h.piece(decoded.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn low<R>(&mut self, byte: u8, high: u16, slash: bool) -> Result<(), Stop<R>> {
        self.state = match (slash, byte) {
            (false, b'\\') => State::Low { high, slash: true },
            (true, b'u') => State::Hex { left: 4, value: 0, high },
            _ => return Err(Stop::Problem(SURROGATE)),
        };
        Ok(())
    }

    fn literal<H: Handler>(
        &mut self,
        byte: u8,
        token: Token,
        at: u8,
        h: &mut H,
    ) -> Result<(), Stop<H::Refusal>> {
        let word: &[u8] = match token {
            Token::True => b"true",
            Token::False => b"false",
            _ => b"null",
        };
        if word.get(usize::from(at)) != Some(&byte) {
            return Err(Stop::Problem("a word that JSON does not have"));
        }
        if usize::from(at) + 1 < word.len() {
            self.state = State::Literal { token, at: at + 1 };
            return Ok(());
        }
        self.after_value();
        Ok(h.end(token)?)
    }

    /// More of a number, up to what does not belong to it; may read nothing, and
    /// then the state has changed.
    fn number<H: Handler>(
        &mut self,
        mut number: Number,
        rest: &[u8],
        h: &mut H,
    ) -> Result<usize, Stop<H::Refusal>> {
        for (i, &byte) in rest.iter().enumerate() {
            match number.next(byte) {
                Some(next) => number = next,
                None if i == 0 => return self.number_end(number, h).map(|()| 0),
                None => {
                    // It ends at the next call, so that a fault is told where it is.
                    self.state = State::Number(number);
                    h.piece(&rest[..i]);
                    return Ok(i);
                }
            }
        }
        self.state = State::Number(number);
        h.piece(rest);
        Ok(rest.len())
    }

    fn number_end<H: Handler>(
        &mut self,
        number: Number,
        h: &mut H,
    ) -> Result<(), Stop<H::Refusal>> {
        match number {
            Number::Zero | Number::Whole | Number::Fraction | Number::Exponent => {
                self.after_value();
                Ok(h.end(Token::Number)?)
            }
            _ => Err(Stop::Problem("a number that JSON does not have")),
        }
    }
}

const SURROGATE: &str = "a surrogate without its partner";

impl Number {
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus | Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::E, b'+' | b'-') => Self::Sign,
            (Self::E | Self::Sign | Self::Exponent, b'0'..=b'9') => Self::Exponent,
            _ => return None,
        })
    }
}

enum Stop<R> {
    Problem(&'static str),
    Utf8,
    Depth,
    Refused(R),
}

impl<R> From<R> for Stop<R> {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal)
    }
}
