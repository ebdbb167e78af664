//! Reads JSON text into types by serde, built for size.
//!
//! The same language as `serde_json::from_str`, and the same errors, but one
//! form for each thing: a struct is an object (`serde_json` also compiles each
//! struct's reading from an array), and what does not depend on the type is
//! compiled once. That is a third of the code for each type, and the Worker
//! reads some fifty types. Writing stays `serde_json`'s. Knows nothing of
//! Tollgate.
#![forbid(unsafe_code)]

mod error;
mod path;
mod reader;
mod typed;

use serde::Deserialize;

pub use error::Error;
use reader::Reader;

/// Reads one value; nothing but white space may follow it.
///
/// # Errors
/// Not JSON, nested deeper than 128, or not of the type: with line and column.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let mut reader = Reader::new(text);
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| reader.locate(error))
}

#[cfg(test)]
mod tests;
