//! The API's errors: status, type, code, and the documented body.
//!
//! Source: pip anthropic 2.13.0 (`_error_classes.py`, `types/shared`) and the
//! errors page of platform.claude.com, read 2026-11-24.

use crate::ordered::{json, object};
use crate::pool::{Kind, Refused};

/// One error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.details.error_code`, where there is one.
    pub code: Option<&'static str>,
    /// The sentence for people.
    pub message: String,
    /// `retry-after` in seconds, where it is sent.
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    /// An error without code or retry-after.
    pub fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code: None, message: message.into(), retry_after_s: None }
    }

    /// 400: the request itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 401: the key is missing or wrong.
    pub fn authentication(message: &str) -> Self {
        Self::new(401, "authentication_error", message)
    }

    /// 404: no such model or path.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found_error", message)
    }

    /// 413: the body is over the limit.
    pub fn too_large() -> Self {
        Self::new(413, "request_too_large", "Request exceeds the maximum size")
    }

    /// 429 of a rate limit: `retry-after` is rounded up, so that a retry then
    /// is not too early.
    pub fn rate_limited(refused: &Refused) -> Self {
        let what = match refused.kind {
            Kind::Requests => "requests",
            Kind::Input => "input tokens",
            Kind::Output => "output tokens",
        };
        Self {
            retry_after_s: Some(refused.wait_ms.div_ceil(1_000).max(1)),
            ..Self::new(
                429,
                "rate_limit_error",
                format!(
                    "This request would exceed your organization's rate limit of {} {what} per minute",
                    refused.per_minute
                ),
            )
        }
    }

    /// The body, JSON.
    pub fn body(&self, request_id: &str) -> String {
        let mut fields = vec![("type", json(self.kind)), ("message", json(&self.message))];
        if let Some(code) = self.code {
            fields.push(("details", object! { "error_code": json(code) }));
        }
        object! {
            "type": json("error"),
            "error": crate::ordered::join(&fields),
            "request_id": json(request_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_absent_without_a_code() {
        assert_eq!(
            ApiError::invalid("no").body("req_1"),
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"},"request_id":"req_1"}"#
        );
    }

    #[test]
    fn retry_after_is_rounded_up_and_at_least_a_second() {
        for (wait_ms, retry_after) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2)] {
            let refused = Refused { kind: Kind::Output, per_minute: 5, wait_ms };
            assert_eq!(ApiError::rate_limited(&refused).retry_after_s, Some(retry_after));
        }
    }
}
