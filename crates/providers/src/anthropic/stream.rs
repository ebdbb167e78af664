//! Reads an SSE answer as it flows by: usage, progress, how it ended.

use tokens::Estimate;

use crate::Usage;

/// What a stream has told so far.
#[derive(Debug, Default)]
pub struct Meter {
    usage: Option<Usage>,
    ended: bool,
}

/// An `error` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// `error.type`.
    pub error_type: String,
    /// `error.details.error_code`.
    pub error_code: Option<String>,
}

impl Meter {
    /// For a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes, split anywhere.
    pub fn feed(&mut self, _bytes: &[u8]) {
        todo!()
    }

    /// The usage, by the last event that told it.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Whether the protocol's own end was seen (invariant 12).
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether a byte of content was seen.
    pub fn saw_content(&self) -> bool {
        todo!()
    }

    /// Why the answer ended.
    pub fn stop_reason(&self) -> Option<&str> {
        todo!()
    }

    /// The model that serves.
    pub fn model(&self) -> Option<&str> {
        todo!()
    }

    /// The `error` event, if one came.
    pub fn error(&self) -> Option<&StreamError> {
        todo!()
    }

    /// Output tokens generated so far. The upper bound is `max_tokens` where
    /// something hidden is billed: `thinking` says whether the request allows it.
    pub fn output_so_far(&self, _max_tokens: u64, _thinking: bool) -> Estimate {
        todo!()
    }
}
