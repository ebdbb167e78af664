//! In place of PCRE2: every pattern is refused, and fastokens then takes the
//! regex engine in Rust that it has beside it. No `Regex` is ever made.

use std::fmt;

/// Why a pattern was refused.
#[derive(Debug)]
pub struct Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PCRE2 is left out")
    }
}

impl std::error::Error for Error {}

/// Patterns over bytes.
pub mod bytes {
    use super::Error;

    /// Never made.
    #[derive(Debug)]
    pub enum Regex {}

    /// Never made.
    #[derive(Debug)]
    pub enum CaptureLocations {}

    /// Never made.
    #[derive(Debug)]
    pub enum Match {}

    impl Match {
        /// Never called.
        pub fn start(&self) -> usize {
            match *self {}
        }

        /// Never called.
        pub fn end(&self) -> usize {
            match *self {}
        }
    }

    impl CaptureLocations {
        /// Never called.
        pub fn get(&self, _: usize) -> Option<(usize, usize)> {
            match *self {}
        }
    }

    impl Regex {
        /// Never called.
        pub fn capture_locations(&self) -> CaptureLocations {
            match *self {}
        }

        /// Never called.
        pub fn captures_read_at(
            &self,
            _: &mut CaptureLocations,
            _: &[u8],
            _: usize,
        ) -> Result<Option<Match>, Error> {
            match *self {}
        }

        /// Never called.
        pub fn find_at(&self, _: &[u8], _: usize) -> Result<Option<Match>, Error> {
            match *self {}
        }
    }

    /// Settings, all without effect.
    #[derive(Debug, Default)]
    pub struct RegexBuilder;

    impl RegexBuilder {
        /// The settings.
        pub fn new() -> Self {
            Self
        }

        /// Without effect.
        pub fn utf(&mut self, _: bool) -> &mut Self {
            self
        }

        /// Without effect.
        pub fn ucp(&mut self, _: bool) -> &mut Self {
            self
        }

        /// Without effect.
        pub fn jit_if_available(&mut self, _: bool) -> &mut Self {
            self
        }

        /// Without effect.
        pub fn max_jit_stack_size(&mut self, _: Option<usize>) -> &mut Self {
            self
        }

        /// Refuses.
        pub fn build(&self, _: &str) -> Result<Regex, Error> {
            Err(Error)
        }
    }
}
