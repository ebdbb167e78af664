//! Counts the text of `content_block_delta` and `content_block_start` events
//! without keeping it.

use std::convert::Infallible;

use tokens::{FeatureScanner, Features};

use crate::json::{Fault, Handler, Parser, Token};

/// What the blocks of a stream brought so far.
#[derive(Debug, Default)]
pub(super) struct Delta {
    parser: Option<Parser>,
    counts: Counts,
}

impl Delta {
    /// More of an event's data.
    pub(super) fn feed(&mut self, data: &[u8]) {
        let parser = self.parser.get_or_insert_with(|| {
            self.counts.begin();
            Parser::new()
        });
        let Err(fault) = parser.feed(data, &mut self.counts) else { return };
        match fault {
            // What it was is not known: then its bytes are no bound.
            Fault::Json { .. } | Fault::Depth { .. } => self.counts.hidden = true,
            Fault::Refused(never) => match never {},
        }
    }

    /// The event is over.
    pub(super) fn end(&mut self) {
        self.parser = None;
    }

    /// The text that the client sees, tools' input included.
    pub(super) fn shown(&self) -> Features {
        self.counts.shown.features()
    }
}

impl std::ops::Deref for Delta {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    shown: FeatureScanner,
    /// Bytes of thinking, signatures and what is not known.
    pub(super) hidden_bytes: u64,
    /// Whether anything was generated that is not shown in full.
    pub(super) hidden: bool,
    /// Citations: their text is quoted, not generated.
    pub(super) citations: u64,
    depth: u32,
    /// Above 0 while within something that is not counted: its depth.
    skip: u32,
    key: Key,
    token: [u8; 24],
    length: usize,
}

/// What the value behind the last key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    /// Not counted.
    #[default]
    Other,
    /// `delta` or `content_block`.
    Inner,
    Type,
    Shown,
    Hidden,
}

impl Counts {
    fn begin(&mut self) {
        (self.depth, self.skip, self.key) = (0, 0, Key::Other);
    }

    fn key_of(&mut self) -> Key {
        let name = self.token.get(..self.length).unwrap_or_default();
        match (self.depth, name) {
            (1, b"delta" | b"content_block") => Key::Inner,
            (1, _) => Key::Other,
            (_, b"type") => Key::Type,
            (_, b"text" | b"partial_json" | b"name") => Key::Shown,
            (_, b"citation") => {
                self.citations += 1;
                Key::Other
            }
            // Results of tools that the provider ran, ids: not generated.
            (_, b"id" | b"tool_use_id" | b"content" | b"input" | b"citations" | b"caller") => {
                Key::Other
            }
            _ => Key::Hidden,
        }
    }

    /// A compaction's tokens are billed apart, and not by what is shown of it. What
    /// else is hidden is told by its keys.
    fn type_of(&mut self) {
        let name = self.token.get(..self.length).unwrap_or_default();
        self.hidden |= matches!(name, b"compaction" | b"compaction_delta");
    }
}

impl Handler for Counts {
    type Refusal = Infallible;

    fn open(&mut self, _object: bool) -> Result<(), Infallible> {
        self.depth += 1;
        let way = self.depth == 1 || (self.depth == 2 && self.key == Key::Inner);
        if self.skip == 0 && !way {
            self.skip = self.depth;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Infallible> {
        if self.skip == self.depth {
            self.skip = 0;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn start(&mut self, token: Token) -> Result<(), Infallible> {
        self.length = 0;
        if token != Token::Key && self.skip == 0 && self.key == Key::Hidden {
            self.hidden |= token == Token::String;
        }
        Ok(())
    }

    #[inline]
    fn piece(&mut self, text: &[u8]) {
        if self.skip > 0 {
            return;
        }
        match self.key {
            Key::Shown => self.shown.feed(text),
            Key::Hidden => self.hidden_bytes += text.len() as u64,
            Key::Other | Key::Inner | Key::Type => {
                for &byte in text.iter().take(self.token.len() + 1) {
                    if let Some(slot) = self.token.get_mut(self.length) {
                        *slot = byte;
                    }
                    self.length = (self.length + 1).min(self.token.len() + 1);
                }
            }
        }
    }

    fn end(&mut self, token: Token) -> Result<(), Infallible> {
        if self.skip > 0 {
            return Ok(());
        }
        if token == Token::Key {
            self.key = self.key_of();
        } else {
            if self.key == Key::Type {
                self.type_of();
            }
            self.key = Key::Other;
        }
        Ok(())
    }
}
