//! A whole answer: what it used. Called once a non-streaming request.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::usage;
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

/// Reads a Messages answer; `None` where it is not one, or tells no usage.
pub fn parse(body: &[u8]) -> Option<Answer> {
    // The content is skipped, not kept.
    let message: Message<'_> = ::json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    if message.kind != "message" || message.usage["output_tokens"].as_u64().is_none() {
        return None;
    }
    let mut used = Usage::default();
    usage::update(&mut used, &message.usage);
    Some(Answer {
        model: message.model.into_owned(),
        stop_reason: message.stop_reason.map(Cow::into_owned),
        usage: used,
    })
}

/// Tokens that a count_tokens answer tells.
pub fn count(body: &[u8]) -> Option<u64> {
    let value: Value = ::json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    value["input_tokens"].as_u64()
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    usage: Value,
}
