//! The provider's levels, from its response headers.

/// What the headers of one response tell; absurd values are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// The request bucket, exact.
    pub requests: Option<Level>,
    /// The input bucket, rounded to the nearest 1,000 tokens.
    pub input: Option<Level>,
    /// The output bucket, rounded as well.
    pub output: Option<Level>,
    /// The fast mode's input bucket.
    pub fast_input: Option<Level>,
    /// The fast mode's output bucket.
    pub fast_output: Option<Level>,
    /// How long to wait, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The provider's name for the request.
    pub request_id: Option<String>,
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its capacity.
    pub limit: u64,
    /// What was left, at most `limit`.
    pub remaining: u64,
    /// When it is full again, Unix epoch milliseconds, to the second.
    pub reset_ms: Option<u64>,
}

/// Reads the headers of a response; names in any case.
pub fn levels<'a>(_headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> RateHeaders {
    todo!()
}
