//! Errors: what the provider's mean, and how ours are written.

/// Whose fault an error is and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The request: no retry, no fallback.
    Client,
    /// A rate limit: wait for `retry-after`.
    Rate,
    /// The acceleration limit: wait, then ramp slower.
    Ramp,
    /// A spend limit: nothing goes until it is lifted.
    SpendCap,
    /// The provider is overloaded for everybody.
    Overload,
    /// The credential.
    Auth,
    /// The account's billing.
    Billing,
    /// The provider's own failure.
    Server,
}

/// An error, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it is.
    pub class: Class,
    /// `error.type`, where the body tells it.
    pub error_type: Option<String>,
    /// `error.details.error_code`, where the body tells it.
    pub error_code: Option<String>,
    /// Whether the same request can succeed later.
    pub retry: bool,
}

/// Understands an error response; the body may be anything.
pub fn classify(_status: u16, _body: &[u8]) -> Classified {
    todo!()
}

/// An error body in the provider's shape.
pub fn body(
    _error_type: &str,
    _message: &str,
    _code: Option<&str>,
    _request_id: Option<&str>,
) -> String {
    todo!()
}

/// The same as the event that closes a broken stream.
pub fn sse_event(
    _error_type: &str,
    _message: &str,
    _code: Option<&str>,
    _request_id: Option<&str>,
) -> String {
    todo!()
}
