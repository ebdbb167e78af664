//! Reads an SSE answer as it flows by: usage, progress, how it ended.
//!
//! Called by the Worker with every chunk, so most of it is about skipping: of
//! deltas only the text is counted; of the few events that tell more, one event's
//! data is kept, up to [`EVENT_BYTES_MAX`]. Nothing else is held.

mod delta;
mod lines;

use delta::Delta;
use lines::{Lines, Part};

use serde_json::Value;
use tokens::{Estimate, Family, estimate};

use super::usage;
use crate::Usage;
use crate::models;

/// Data of a `message_start`, `message_delta` or `error` event: some 500 bytes;
/// message_start repeats no prompt (SDK 2.13.0, types). A longer one is not read.
const EVENT_BYTES_MAX: usize = 64 << 10;
/// Output tokens that a block may take beyond its text (start, name, end). An
/// assumption: there is no published figure.
const BLOCK_TOKENS: u64 = 32;

/// What a stream has told so far.
#[derive(Debug, Default)]
pub struct Meter {
    lines: Lines,
    event: Event,
    /// Data of an event that is read whole.
    data: Vec<u8>,
    overflow: bool,
    has_data: bool,
    delta: Delta,
    blocks: u64,
    usage: Option<Usage>,
    model: Option<String>,
    stop_reason: Option<String>,
    error: Option<StreamError>,
    saw_content: bool,
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

/// What the current event is, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Event {
    /// Of no interest; also one whose name does not come first, which the
    /// provider never sends.
    #[default]
    Other,
    Start,
    BlockStart,
    BlockDelta,
    Delta,
    Stop,
    Error,
}

impl Event {
    fn named(name: &[u8]) -> Self {
        match name {
            b"content_block_delta" => Self::BlockDelta,
            b"content_block_start" => Self::BlockStart,
            b"message_start" => Self::Start,
            b"message_delta" => Self::Delta,
            b"message_stop" => Self::Stop,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }

    /// Whether its data is read as a whole.
    fn whole(self) -> bool {
        matches!(self, Self::Start | Self::Delta | Self::Error)
    }
}

impl Meter {
    /// For a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes, split anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(part) = self.lines.next(&mut rest) {
            match part {
                Part::Name => self.event = Event::named(self.lines.name()),
                Part::Data(piece) => self.piece(piece),
                Part::DataEnd => {
                    self.has_data = true;
                    self.piece(b"\n");
                }
                Part::Dispatch => self.dispatch(),
            }
        }
    }

    /// The usage, by the last event that told it.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Whether the protocol's own end was seen (invariant 12).
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether a content block began.
    pub fn saw_content(&self) -> bool {
        self.saw_content
    }

    /// Why the answer ended.
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.as_deref()
    }

    /// The model that serves.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The `error` event, if one came.
    pub fn error(&self) -> Option<&StreamError> {
        self.error.as_ref()
    }

    /// Bytes of the answer's text so far: shown, and of hidden or summarised
    /// content (thinking, signatures).
    pub fn content_bytes(&self) -> (u64, u64) {
        (self.delta.shown().bytes, self.delta.hidden_bytes)
    }

    /// Output tokens generated so far. The upper bound is the bytes streamed, or
    /// `max_tokens` where something hidden is billed: `thinking` says whether the
    /// request allows it. What was generated and did not arrive is not in it.
    pub fn output_so_far(&self, max_tokens: u64, thinking: bool) -> Estimate {
        let family = self.model().and_then(models::class_of).map_or(Family::From47, |m| m.family);
        let text = estimate(&self.delta.shown(), family);
        let told = self.usage.as_ref().map_or(0, |usage| usage.output);
        let bytes = text.upper + (self.blocks + self.delta.citations) * BLOCK_TOKENS;
        let hidden = thinking || self.delta.hidden;
        let upper = if hidden { max_tokens } else { bytes.min(max_tokens) };
        let upper = upper.max(told);
        let estimate = (text.estimate + self.delta.hidden_bytes / 4).clamp(told.min(upper), upper);
        Estimate { lower: text.lower.max(told).min(estimate), estimate, upper }
    }

    fn piece(&mut self, piece: &[u8]) {
        match self.event {
            Event::BlockDelta | Event::BlockStart => self.delta.feed(piece),
            event if event.whole() => self.keep(piece),
            _ => {}
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        self.overflow |= self.data.len() + piece.len() > EVENT_BYTES_MAX;
        if !self.overflow {
            self.data.extend_from_slice(piece);
        }
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.event);
        // An event without data is none (WHATWG HTML, server-sent events).
        if std::mem::take(&mut self.has_data) {
            match event {
                Event::BlockDelta => {
                    self.saw_content = true;
                    self.delta.end();
                }
                Event::BlockStart => {
                    self.saw_content = true;
                    self.blocks += 1;
                    self.delta.end();
                }
                Event::Stop => self.ended = true,
                Event::Start | Event::Delta | Event::Error if !self.overflow => self.whole(event),
                _ => {}
            }
        }
        self.data.clear();
        self.overflow = false;
    }

    /// An event whose data is read as a whole.
    fn whole(&mut self, event: Event) {
        let Ok(text) = std::str::from_utf8(&self.data) else { return };
        let Ok(value) = ::json::from_str::<Value>(text) else { return };
        let text = |value: &Value| value.as_str().map(|text| clip(text).to_string());
        match event {
            Event::Start => {
                let message = &value["message"];
                self.model = text(&message["model"]);
                self.stop_reason = text(&message["stop_reason"]);
                usage::update(self.usage.get_or_insert_default(), &message["usage"]);
            }
            Event::Delta => {
                if let Some(reason) = text(&value["delta"]["stop_reason"]) {
                    self.stop_reason = Some(reason);
                }
                usage::update(self.usage.get_or_insert_default(), &value["usage"]);
            }
            _ => {
                let error = &value["error"];
                self.error = Some(StreamError {
                    error_type: text(&error["type"]).unwrap_or_else(|| "api_error".into()),
                    error_code: text(&error["details"]["error_code"]),
                });
            }
        }
    }
}

/// Names are short; a longer one is not one.
fn clip(name: &str) -> &str {
    name.get(..128).unwrap_or(name)
}
