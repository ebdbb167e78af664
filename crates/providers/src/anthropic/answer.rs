//! A whole answer: what it used.

use crate::Usage;

/// What matters of a non-streaming answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The model that served.
    pub model: String,
    /// Why it ended.
    pub stop_reason: Option<String>,
    /// What it used.
    pub usage: Usage,
}

/// Reads a Messages answer; `None` where it is not one.
pub fn parse(_body: &[u8]) -> Option<Answer> {
    todo!()
}
