//! What is wrong with a text, and where.

use std::fmt;

use serde::de;

/// What is wrong, in serde's words, and where. Boxed: results stay small.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    message: String,
    /// Line and column, both from 1, once they are known.
    place: Option<(usize, usize)>,
}

impl Error {
    pub(crate) fn new(message: &str) -> Self {
        Self(Box::new(Inner { message: message.to_owned(), place: None }))
    }

    pub(crate) fn with_place(mut self, line: usize, column: usize) -> Self {
        self.0.place.get_or_insert((line, column));
        self
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
        Self(Box::new(Inner { message: message.to_string(), place: None }))
    }
}
