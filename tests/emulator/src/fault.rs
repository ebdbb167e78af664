//! Faults: what can go wrong upstream, and the schedule of it. Sans-IO.

use crate::error::ApiError;
use crate::pool::Kind;
use serde::{Deserialize, Serialize};

/// Entries one schedule may have: far more than a test needs, little memory.
pub const SCHEDULE_MAX: usize = 1_000;

/// What goes wrong. The names are those of the header, the schedule and the
/// README's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Requests limit.
    #[serde(rename = "429-requests")]
    Requests,
    /// Input token limit.
    #[serde(rename = "429-input")]
    Input,
    /// Output token limit.
    #[serde(rename = "429-output")]
    Output,
    /// Acceleration limit.
    #[serde(rename = "429-ramp")]
    Ramp,
    /// The tier's monthly spend cap.
    #[serde(rename = "429-spend")]
    Spend,
    /// The contract's spend limit.
    #[serde(rename = "429-contract")]
    Contract,
    /// The spend limit the organisation set itself.
    #[serde(rename = "400-spend")]
    OwnSpend,
    /// Authentication.
    #[serde(rename = "401")]
    Authentication,
    /// Billing.
    #[serde(rename = "402")]
    Billing,
    /// Permission.
    #[serde(rename = "403")]
    Permission,
    /// Too large, in the API's JSON.
    #[serde(rename = "413")]
    TooLarge,
    /// Too large, as the edge before the API says it: HTML.
    #[serde(rename = "413-html")]
    TooLargeHtml,
    /// Internal error.
    #[serde(rename = "500")]
    Internal,
    /// A key service cannot be reached.
    #[serde(rename = "503")]
    Unavailable,
    /// Time-out.
    #[serde(rename = "504")]
    Timeout,
    /// Overloaded.
    #[serde(rename = "529")]
    Overloaded,
    /// An `error` event after `after` deltas; a plain 500 where nothing streams.
    ErrorMidStream,
    /// The connection closes after `after` deltas.
    Cut,
    /// The connection closes in the middle of an event.
    CutMidEvent,
    /// The body ends properly, but without the protocol's end mark.
    EndEarly,
    /// Nothing more comes after `after` deltas, for `ms` or for ever.
    Stall,
    /// An admitted message's response head comes after `ms`.
    SlowFirstByte,
    /// An event type that nobody knows, and an unknown field, in the stream.
    UnknownEvent,
    /// The connection closes without an answer.
    Outage,
}

/// A fault and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    pub what: What,
    /// After how many deltas; 1 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// `retry-after` in seconds, where the error has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The span of a stall or of a slow first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

impl Fault {
    /// The number of deltas before it strikes.
    pub fn after(&self) -> u64 {
        self.after.unwrap_or(1)
    }

    /// The limit whose refusal this feigns.
    pub fn limit(&self) -> Option<Kind> {
        match self.what {
            What::Requests => Some(Kind::Requests),
            What::Input => Some(Kind::Input),
            What::Output => Some(Kind::Output),
            _ => None,
        }
    }

    /// The error that stands in for the whole answer, where it is one.
    pub fn error(&self) -> Option<ApiError> {
        let rate = |message: &str| {
            let seconds = Some(self.retry_after_s.unwrap_or(1));
            ApiError { retry_after_s: seconds, ..ApiError::new(429, "rate_limit_error", message) }
        };
        let coded = |error: ApiError, code| ApiError { code: Some(code), ..error };
        let error = match self.what {
            What::Requests => rate("This request would exceed your requests per minute limit"),
            What::Input => rate("This request would exceed your input tokens per minute limit"),
            What::Output => rate("This request would exceed your output tokens per minute limit"),
            What::Ramp => coded(
                rate("Your usage is growing too fast; ramp up more gradually"),
                "ramp_limit_exceeded",
            ),
            // Neither spend refusal has a retry-after: waiting seconds is no use.
            What::Spend => coded(
                ApiError::new(
                    429,
                    "rate_limit_error",
                    "Your organization has reached its monthly usage limit",
                ),
                "enforced_spend_limit_reached",
            ),
            What::Contract => coded(
                ApiError::new(
                    429,
                    "rate_limit_error",
                    "Your organization has reached the spend limit of its contract",
                ),
                "contract_spend_limit_reached",
            ),
            What::OwnSpend => ApiError::invalid(
                "You have reached your specified API usage limits. You will regain access on the 1st of next month at 00:00 UTC.",
            ),
            What::Authentication => ApiError::authentication("invalid x-api-key"),
            What::Billing => ApiError::new(402, "billing_error", "There is a billing problem"),
            What::Permission => ApiError::new(
                403,
                "permission_error",
                "Your API key does not have permission to use the specified resource",
            ),
            What::TooLarge => ApiError::too_large(),
            What::Internal => ApiError::new(500, "api_error", "Internal server error"),
            What::Unavailable => coded(
                ApiError::new(503, "api_error", "The encryption key cannot be reached"),
                "cmek_key_unreachable",
            ),
            What::Timeout => ApiError::new(504, "timeout_error", "The request timed out"),
            What::Overloaded => overloaded(),
            What::TooLargeHtml
            | What::ErrorMidStream
            | What::Cut
            | What::CutMidEvent
            | What::EndEarly
            | What::Stall
            | What::SlowFirstByte
            | What::UnknownEvent
            | What::Outage => return None,
        };
        Some(ApiError { retry_after_s: self.retry_after_s.or(error.retry_after_s), ..error })
    }
}

/// 529, also the body of a mid-stream `error` event.
pub fn overloaded() -> ApiError {
    ApiError::new(529, "overloaded_error", "Overloaded")
}

/// One line of the schedule: a fault, for whom, for how many requests, when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many requests it still meets; every one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// Seconds from the schedule's posting until it begins.
    #[serde(default)]
    pub from_s: u64,
    /// For how many seconds; without end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
    /// Only requests with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only requests for this model id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only requests for this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Who asks: what an [`Entry`] is matched with.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The key, if any was sent.
    pub key: Option<&'a str>,
    /// The model asked for, if any.
    pub model: Option<&'a str>,
    /// The path.
    pub path: &'a str,
}

/// The faults to come.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: Vec<Entry>,
    posted_ms: u64,
}

impl Schedule {
    /// A schedule that begins at `now_ms`.
    pub fn new(entries: Vec<Entry>, now_ms: u64) -> Result<Self, String> {
        if entries.len() > SCHEDULE_MAX {
            return Err(format!("at most {SCHEDULE_MAX} faults"));
        }
        Ok(Self { entries, posted_ms: now_ms })
    }

    /// The fault that meets this request: of the first entry that matches, which
    /// is then used up by one.
    pub fn take(&mut self, now_ms: u64, asker: Asker<'_>) -> Option<Fault> {
        let since_s = now_ms.saturating_sub(self.posted_ms) / 1_000;
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == value)
        };
        let entry = self.entries.iter_mut().find(|entry| {
            entry.next != Some(0)
                && since_s >= entry.from_s
                && entry.for_s.is_none_or(|span| since_s - entry.from_s < span)
                && is(&entry.key, asker.key)
                && is(&entry.model, asker.model)
                && is(&entry.path, Some(asker.path))
        })?;
        if let Some(next) = &mut entry.next {
            *next -= 1;
        }
        Some(entry.fault)
    }

    /// What is left of it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ANY: Asker<'_> =
        Asker { key: Some("k"), model: Some("claude-opus-5"), path: "/v1/messages" };

    fn schedule(entries: serde_json::Value) -> Schedule {
        Schedule::new(serde_json::from_value(entries).unwrap(), 0).unwrap()
    }

    #[test]
    fn a_counted_fault_meets_so_many_requests_and_the_next_entry_follows() {
        let mut schedule =
            schedule(json!([{"what": "529", "next": 2}, {"what": "500", "next": 1}]));
        let met: Vec<_> = (0..4).map(|_| schedule.take(0, ANY).map(|fault| fault.what)).collect();
        assert_eq!(
            met,
            [Some(What::Overloaded), Some(What::Overloaded), Some(What::Internal), None]
        );
    }

    #[test]
    fn an_outage_has_its_seconds() {
        let mut schedule = schedule(json!([{"what": "outage", "from_s": 2, "for_s": 3}]));
        let met: Vec<_> =
            [0, 1_999, 2_000, 4_999, 5_000].map(|now| schedule.take(now, ANY).is_some()).into();
        assert_eq!(met, [false, false, true, true, false]);
    }

    #[test]
    fn an_entry_meets_only_whom_it_names() {
        for (field, value, meets) in [
            ("key", "k", true),
            ("key", "other", false),
            ("model", "claude-opus-5", true),
            ("model", "claude-opus-4-8", false),
            ("path", "/v1/messages", true),
            ("path", "/v1/models", false),
        ] {
            let mut schedule = schedule(json!([{"what": "cut", field: value}]));
            assert_eq!(schedule.take(0, ANY).is_some(), meets, "{field} {value}");
        }
    }

    #[test]
    fn spend_caps_have_no_retry_after_and_the_ramp_limit_has() {
        let error =
            |what| Fault { what, after: None, retry_after_s: None, ms: None }.error().unwrap();
        assert_eq!(error(What::Spend).retry_after_s, None);
        assert_eq!(error(What::Spend).code, Some("enforced_spend_limit_reached"));
        assert_eq!(error(What::Contract).retry_after_s, None);
        assert_eq!(error(What::Ramp).retry_after_s, Some(1));
        assert_eq!(error(What::Ramp).code, Some("ramp_limit_exceeded"));
    }
}
