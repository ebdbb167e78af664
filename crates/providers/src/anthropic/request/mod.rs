//! A request's facts, from its body in windows of any size, without keeping it:
//! one pass, features of the text and a few short strings.
//!
//! Called by the Worker once a request, before anything else reads the body.
//! Unknown fields pass. What is refused: bodies that are not JSON, nested too
//! deeply or too large; fields of the wrong type that a decision depends on;
//! such fields given twice. Everything else is the provider's to judge.

mod capture;
mod facts;
mod field;
#[cfg(feature = "parts")]
mod parts;
mod pdf;
mod prefix;
mod reader;
mod source;

pub use facts::{Facts, SYSTEM_BYTES_KEPT, Text, Thinking, ToolChoice};
#[cfg(feature = "parts")]
pub use parts::Part;

use crate::json::{Fault, Parser};
use reader::Reader;

/// The largest body that the provider takes (Messages and count_tokens: 32 MB;
/// platform.claude.com docs, API overview, read 2026-11).
pub const BODY_BYTES_MAX: u64 = 32 << 20;

/// Which endpoint's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
}

/// Why a body is refused, for the user: never contains the prompt's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// 400 or 413.
    pub status: u16,
    /// The field's path, e.g. `messages.0.role`.
    pub field: Option<String>,
    /// A sentence: problem and remedy.
    pub message: String,
}

/// Reads a request body in windows.
#[derive(Debug)]
pub struct Scanner {
    api: Api,
    parser: Parser,
    reader: Reader,
    bytes: u64,
}

impl Scanner {
    /// For a body of this endpoint.
    pub fn new(api: Api) -> Self {
        Self { api, parser: Parser::new(), reader: Reader::default(), bytes: 0 }
    }

    /// Also notes what a caller may be forbidden whose key everybody can read:
    /// the system prompt's text, roles and fields beyond the usual.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.reader.strict = true;
        self
    }

    /// Reads the next window, of any size.
    pub fn feed(&mut self, window: &[u8]) -> Result<(), Invalid> {
        self.bytes = self.bytes.saturating_add(window.len() as u64);
        if self.bytes > BODY_BYTES_MAX {
            return Err(Invalid::too_large());
        }
        self.parser.feed(window, &mut self.reader).map_err(|fault| invalid(fault, &self.reader))
    }

    /// The facts, once the whole body was fed.
    pub fn finish(mut self) -> Result<Facts, Invalid> {
        self.parser.finish(&mut self.reader).map_err(|fault| invalid(fault, &self.reader))?;
        let mut facts = self.reader.facts(self.api)?;
        facts.bytes = self.bytes;
        Ok(facts)
    }
}

impl Invalid {
    /// The body is larger than the provider takes; also for a `content-length`
    /// that says so before any byte is read.
    pub fn too_large() -> Self {
        Self {
            status: 413,
            field: None,
            message: format!(
                "The request is larger than {} MiB, the most that the provider takes. \
                 Send large files by the Files API, or split the request.",
                BODY_BYTES_MAX >> 20
            ),
        }
    }

    fn field(path: String, problem: &str) -> Self {
        Self { status: 400, message: format!("{path}: {problem}"), field: Some(path) }
    }
}

fn invalid(fault: Fault<Invalid>, reader: &Reader) -> Invalid {
    match fault {
        Fault::Refused(invalid) => invalid,
        Fault::Json { at, problem } => Invalid {
            status: 400,
            field: None,
            message: format!(
                "The request body is not valid JSON: {problem} (at byte {at}). \
                 Send one JSON object, encoded in UTF-8."
            ),
        },
        Fault::Depth { at } => {
            let path = reader.path();
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            Invalid {
                status: 400,
                message: format!(
                    "{place}nested more than {} levels deep (at byte {at}). Flatten it, \
                     or send it as a string.",
                    crate::json::DEPTH_MAX
                ),
                field: (!path.is_empty()).then_some(path),
            }
        }
    }
}
