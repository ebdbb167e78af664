//! What is wrong with a text, and where.

use std::fmt;

use serde::de::{self, Error as _, Expected, Unexpected};

/// What is wrong, in serde's words, and where. Boxed: results stay small.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    message: String,
    /// Line and column, both from 1, once they are known.
    place: Option<(usize, usize)>,
    path: Vec<String>,
}

impl Error {
    pub(crate) fn new(message: &str) -> Self {
        Self(Box::new(Inner { message: message.to_owned(), place: None, path: Vec::new() }))
    }

    pub(crate) fn with_place(mut self, line: usize, column: usize, mut path: Vec<String>) -> Self {
        if self.0.message.starts_with("missing field") {
            // Found missing at the object's end: the last key is beside the point.
            path.pop();
        }
        self.0.place.get_or_insert((line, column));
        self.0.path = path;
        self
    }

    /// The keys, and indices as `[0]`, that lead to it.
    pub fn path(&self) -> &[String] {
        &self.0.path
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.0.place {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Inner { message: message.to_string(), place: None, path: Vec::new() }))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch("type", found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch("value", found, expected)
    }
}

/// In serde's form. A fraction's digits are not in it: printing floats would bring
/// 10 KB gzip into the Worker (docs/bench.md).
fn mismatch(what: &str, found: Unexpected<'_>, expected: &dyn Expected) -> Error {
    let found = match found {
        Unexpected::Float(_) => "a fraction".to_owned(),
        Unexpected::Bool(it) => format!("boolean `{it}`"),
        Unexpected::Unsigned(it) => format!("integer `{it}`"),
        Unexpected::Signed(it) => format!("integer `{it}`"),
        Unexpected::Str(it) => format!("string {it:?}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        Unexpected::Unit => "null".to_owned(),
        _ => "something else".to_owned(),
    };
    Error::custom(format_args!("invalid {what}: {found}, expected {expected}"))
}
