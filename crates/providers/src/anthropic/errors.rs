//! Errors: what the provider's mean, and how ours are written. Rows in
//! data/errors.toml; the message's wording is unstable and decides only where
//! there is no code.

use serde_json::Value;

include!(concat!(env!("OUT_DIR"), "/errors.rs"));

/// Whose fault an error is and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The request: no fallback.
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

/// Error bodies have some 200 bytes; a longer one is not read.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Types and codes have some 40 bytes; longer ones are none.
const NAME_BYTES_MAX: usize = 128;

/// Understands an error response, or with status 0 the data of an `error` event.
/// The body may be anything (413 can be Cloudflare's HTML).
pub fn classify(status: u16, body: &[u8]) -> Classified {
    let value: Value = match body.len() {
        0..=BODY_BYTES_MAX => std::str::from_utf8(body)
            .ok()
            .and_then(|text| ::json::from_str(text).ok())
            .unwrap_or_default(),
        _ => Value::Null,
    };
    let error = &value["error"];
    let name = |value: &Value| {
        let name = value.as_str().filter(|name| name.len() <= NAME_BYTES_MAX);
        name.map(str::to_string)
    };
    let error_type = name(&error["type"]);
    let error_code = name(&error["details"]["error_code"]);
    let message = error["message"].as_str().unwrap_or_default();
    let (class, retry) = row(status, error_type.as_deref(), error_code.as_deref(), message);
    Classified { class, error_type, error_code, retry }
}

/// An error body in the provider's shape.
pub fn body(
    error_type: &str,
    message: &str,
    code: Option<&str>,
    request_id: Option<&str>,
) -> String {
    // In the API's own order, which a JSON map would sort.
    let text = |text: &str| Value::from(text).to_string();
    let details = code
        .map_or_else(String::new, |code| format!(r#","details":{{"error_code":{}}}"#, text(code)));
    format!(
        r#"{{"type":"error","error":{{"type":{},"message":{}{details}}},"request_id":{}}}"#,
        text(error_type),
        text(message),
        request_id.map_or_else(|| "null".into(), text),
    )
}

/// The same as the event that closes a broken stream. The line end before it ends
/// a line that was cut: what the stream had of that event then becomes part of
/// this one, which the SDKs report as an error, instead of an event of its own,
/// at whose half data they would fail.
pub fn sse_event(
    error_type: &str,
    message: &str,
    code: Option<&str>,
    request_id: Option<&str>,
) -> String {
    format!("\nevent: error\ndata: {}\n\n", body(error_type, message, code, request_id))
}

#[derive(Debug)]
struct Row {
    /// 0: any.
    status: u16,
    error_type: Option<&'static str>,
    code: Option<&'static str>,
    message_starts: Option<&'static str>,
    class: Class,
    retry: bool,
}

fn row(status: u16, kind: Option<&str>, code: Option<&str>, message: &str) -> (Class, bool) {
    let find = |fits: &dyn Fn(&Row) -> bool| ROWS.iter().find(|row| fits(row));
    let same = |row: &Row| status == 0 || row.status == status;
    let row = find(&|row| row.code.is_some() && row.code == code && same(row))
        .or_else(|| {
            find(&|row| {
                let starts = row.message_starts.is_some_and(|start| message.starts_with(start));
                code.is_none() && starts && same(row)
            })
        })
        .or_else(|| {
            let bare = |row: &Row| row.code.is_none() && row.message_starts.is_none();
            find(&|row| bare(row) && row.error_type.is_none() && row.status == status)
        })
        .or_else(|| {
            // A status that no row has says less than the type, except that a 4xx
            // is never the provider's failure.
            find(&|row| row.error_type.is_some() && row.error_type == kind)
                .filter(|_| !(400..500).contains(&status))
        });
    match row {
        Some(row) => (row.class, row.retry),
        None if (400..500).contains(&status) => (Class::Client, false),
        None => (Class::Server, status == 0 || status >= 500),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_error_is_told_apart() {
        let cap = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
        let table = [
            (429, "rate_limit_error", None, "x", Class::Rate, true),
            (429, "rate_limit_error", Some("ramp_limit_exceeded"), "x", Class::Ramp, true),
            (
                429,
                "rate_limit_error",
                Some("enforced_spend_limit_reached"),
                "x",
                Class::SpendCap,
                false,
            ),
            (
                429,
                "rate_limit_error",
                Some("contract_spend_limit_reached"),
                "x",
                Class::SpendCap,
                false,
            ),
            (429, "rate_limit_error", Some("a_code_to_come"), "x", Class::Rate, true),
            (400, "invalid_request_error", None, cap, Class::SpendCap, false),
            (400, "invalid_request_error", None, "max_tokens: too large", Class::Client, false),
            (
                400,
                "invalid_request_error",
                Some("organization_on_hold"),
                "x",
                Class::Billing,
                false,
            ),
            (401, "authentication_error", None, "x", Class::Auth, false),
            (
                402,
                "billing_error",
                Some("linked_organization_spend_limit_reached"),
                "x",
                Class::Billing,
                false,
            ),
            (403, "permission_error", Some("sandbox_egress_restricted"), "x", Class::Client, false),
            (403, "permission_error", None, "x", Class::Auth, false),
            (404, "not_found_error", None, "x", Class::Client, false),
            (500, "api_error", None, "x", Class::Server, true),
            (503, "api_error", Some("cmek_key_unreachable"), "x", Class::Server, true),
            (504, "timeout_error", None, "x", Class::Server, true),
            (529, "overloaded_error", None, "x", Class::Overload, true),
            (0, "overloaded_error", None, "Overloaded", Class::Overload, true),
            (520, "overloaded_error", None, "x", Class::Overload, true),
            (418, "overloaded_error", None, "x", Class::Client, false),
        ];
        for (status, kind, code, message, class, retry) in table {
            let got = classify(status, body(kind, message, code, None).as_bytes());
            assert_eq!((got.class, got.retry), (class, retry), "{status} {kind} {code:?}");
            assert_eq!((got.error_type.as_deref(), got.error_code.as_deref()), (Some(kind), code));
        }
    }

    #[test]
    fn a_body_that_is_not_the_providers_is_judged_by_its_status() {
        for (status, class) in [(413, Class::Client), (502, Class::Server), (529, Class::Overload)]
        {
            let got = classify(status, b"<html>cloudflare</html>");
            assert_eq!((got.class, got.error_type), (class, None));
        }
        assert_eq!(classify(502, b"").class, Class::Server);
    }

    #[test]
    fn bodies_have_the_providers_shape() {
        assert_eq!(
            body("rate_limit_error", "Wait \"7\" s.", Some("tollgate_tenant_limit"), Some("req_1")),
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Wait \"7\" s.","details":{"error_code":"tollgate_tenant_limit"}},"request_id":"req_1"}"#
        );
        assert_eq!(
            sse_event("api_error", "a\nb", None, None),
            "\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"a\\nb\"},\"request_id\":null}\n\n"
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(status: u16, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            classify(status, &bytes);
        }
    }
}
