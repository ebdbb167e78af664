//! An emulator of the Claude Messages API, with real limits.
//!
//! The cores ([`bucket`], [`pool`], [`prompt`], [`prompt_cache`], [`fault`], [`answer`], [`sse`])
//! know neither clock nor socket; [`http`] is the shell around them. It follows
//! the provider's documentation, and is tested against that, never against the
//! gateway. It is not a model: its text is made of plain words.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test's panic is its report"))]

pub mod answer;
pub mod bucket;
pub mod catalog;
pub mod clock;
pub mod control;
pub mod count;
pub mod error;
pub mod fault;
pub mod http;
mod ordered;
pub mod pool;
pub mod prompt;
pub mod prompt_cache;
pub mod request;
pub mod sse;
pub mod state;
pub mod words;
