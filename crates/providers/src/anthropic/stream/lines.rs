//! Server-sent events by line (WHATWG HTML, 9.2.6): LF, CR and CRLF, comments,
//! data of several lines, split anywhere. A line's value is handed on as it comes,
//! however long it is.

use memchr::memchr2;

/// Names of events have some 20 bytes; a longer one is cut, and then unknown.
const NAME_BYTES_MAX: usize = 64;

/// One step of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The event has a name: [`Lines::name`].
    Name,
    /// More of a data line.
    Data(&'a [u8]),
    /// The data line is complete.
    DataEnd,
    /// An empty line: the event is complete.
    Dispatch,
}

/// Where in the lines it is.
#[derive(Debug, Default)]
pub(super) struct Lines {
    state: State,
    /// A CR was read: an LF right behind belongs to it.
    cr: bool,
    field: Short<8>,
    name: Short<NAME_BYTES_MAX>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In a field's name, or at the start of a line.
    #[default]
    Field,
    /// After the colon, where one space is dropped.
    Colon(Field),
    Value(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Event,
    Data,
    Other,
}

impl Lines {
    /// The name of the event that [`Part::Name`] told of.
    pub(super) fn name(&self) -> &[u8] {
        self.name.text()
    }

    /// The next step within `rest`, which loses what was read; none once all was.
    pub(super) fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Part<'a>> {
        loop {
            let (&byte, tail) = rest.split_first()?;
            if std::mem::take(&mut self.cr) && byte == b'\n' {
                *rest = tail;
                continue;
            }
            let line_end = byte == b'\n' || byte == b'\r';
            match self.state {
                State::Field if line_end => {
                    *rest = tail;
                    self.cr = byte == b'\r';
                    match self.field.take() {
                        None => return Some(Part::Dispatch),
                        Some(Field::Data) => return Some(Part::DataEnd),
                        Some(_) => {}
                    }
                }
                State::Field => {
                    *rest = tail;
                    if byte == b':' {
                        let field = self.field.take().unwrap_or(Field::Other);
                        self.name.length *= usize::from(field != Field::Event);
                        self.state = State::Colon(field);
                    } else {
                        self.field.push(&[byte]);
                    }
                }
                State::Colon(field) => {
                    if byte == b' ' {
                        *rest = tail;
                    }
                    self.state = State::Value(field);
                }
                State::Value(field) if line_end => {
                    *rest = tail;
                    self.cr = byte == b'\r';
                    self.state = State::Field;
                    match field {
                        Field::Event => return Some(Part::Name),
                        Field::Data => return Some(Part::DataEnd),
                        Field::Other => {}
                    }
                }
                State::Value(field) => {
                    let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    let (value, tail) = rest.split_at(end);
                    *rest = tail;
                    match field {
                        Field::Event => self.name.push(value),
                        Field::Data => return Some(Part::Data(value)),
                        Field::Other => {}
                    }
                }
            }
        }
    }
}

/// The first bytes of something that is short.
#[derive(Debug)]
struct Short<const N: usize> {
    bytes: [u8; N],
    /// Of all of it, kept or not, up to `N + 1`.
    length: usize,
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Short<N> {
    fn push(&mut self, more: &[u8]) {
        for &byte in more.iter().take(N + 1) {
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = byte;
            }
            self.length = (self.length + 1).min(N + 1);
        }
    }

    /// All of it; nothing where it was too long.
    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Short<8> {
    /// Which field it names; none where it is empty.
    fn take(&mut self) -> Option<Field> {
        let field = match self.text() {
            b"event" => Field::Event,
            b"data" => Field::Data,
            _ => Field::Other,
        };
        let some = self.length > 0;
        self.length = 0;
        some.then_some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8], window: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut events = Vec::new();
        let mut data = String::new();
        for mut rest in stream.chunks(window) {
            while let Some(part) = lines.next(&mut rest) {
                match part {
                    Part::Name => {
                        events.push(format!("name {}", String::from_utf8_lossy(lines.name())));
                    }
                    Part::Data(piece) => data += &String::from_utf8_lossy(piece),
                    Part::DataEnd => events.push(format!("data {}", std::mem::take(&mut data))),
                    Part::Dispatch => events.push("dispatch".into()),
                }
            }
        }
        events
    }

    #[test]
    fn every_line_end_and_every_split_reads_the_same() {
        let lf = ": hello\nevent: ping\ndata: {\"a\": 1}\nid: 7\n\nevent:x\ndata\ndata:  two\n\n\n";
        let want = [
            "name ping",
            "data {\"a\": 1}",
            "dispatch",
            "name x",
            "data ",
            "data  two",
            "dispatch",
            "dispatch",
        ];
        for end in ["\n", "\r\n", "\r"] {
            let stream = lf.replace('\n', end);
            for window in 1..=stream.len() {
                assert_eq!(read(stream.as_bytes(), window), want, "{end:?} {window}");
            }
        }
    }

    #[test]
    fn a_name_too_long_is_no_name() {
        let stream = format!("event: {}\n", "message_stop".repeat(20));
        assert_eq!(read(stream.as_bytes(), 7), ["name "]);
    }
}
