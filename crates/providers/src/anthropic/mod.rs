//! Anthropic's Messages API.

pub mod answer;
pub mod errors;
pub mod headers;
pub mod request;
pub mod stream;
mod usage;
