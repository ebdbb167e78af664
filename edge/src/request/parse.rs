//! Step 1: the head of a request becomes typed values, once; nobody checks
//! again inside. (The body's turn comes after auth: providers' `Scanner`.)

use limits::message::{Millis, Priority};
use providers::anthropic::request::Api;

use super::errors::Problem;
use super::headers::Headers;

/// The provider's own bound on Messages bodies (facts: docs of 2026-09; 413
/// beyond it), for count_tokens as well.
pub const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest `x-tollgate-user` (it is a key of the Gate's maps).
const USER_BYTES_MAX: usize = 128;
/// Longest `idempotency-key`: what others take who have such a header (Stripe's API
/// reference, 2026-11).
const KEY_BYTES_MAX: usize = 255;
/// Longest wait that may be asked for: the Gate's own bound (limits::settings).
const WAIT_S_MAX: u64 = 3_600;
/// Waits where none is asked for, by priority (design §4).
const WAIT_S_DEFAULT: [u64; 3] = [30, 120, 600];

/// Where a provider request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    /// `POST /v1/messages` or `/v1/messages/count_tokens`.
    Post(Api),
    /// What costs no tokens, or is passed through unmetered by the operator's
    /// leave: path and query. Only the key must live.
    Unmetered(String),
}

/// How the answer cache is to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheWish {
    /// What was asked.
    pub mode: CacheMode,
    /// `; ttl=SECONDS`.
    pub ttl_s: Option<u64>,
}

/// `x-tollgate-cache`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// As the route and the tenant say.
    #[default]
    Unset,
    /// Use it, whatever the route says.
    Default,
    /// Neither read nor write.
    Skip,
    /// Do not read, but write.
    Refresh,
    /// Answer from the cache or not at all.
    Only,
}

/// `x-tollgate-delivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// As it comes.
    #[default]
    Stream,
    /// Whole or not at all.
    Atomic,
}

/// The `x-tollgate-*` headers, understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// `x-tollgate-priority`.
    pub priority: Option<Priority>,
    /// `x-tollgate-max-wait`.
    pub max_wait_ms: Option<Millis>,
    /// What the client's SDK waits at most: `x-stainless-timeout`.
    pub client_timeout_ms: Option<Millis>,
    /// Whether the client's SDK sends it again: `x-stainless-retry-count`.
    pub is_retry: Option<bool>,
    /// `x-tollgate-user`.
    pub user: Option<String>,
    /// `x-tollgate-cache`.
    pub cache: CacheWish,
    /// `x-tollgate-job`.
    pub job: Option<String>,
    /// `x-tollgate-delivery`.
    pub delivery: Delivery,
    /// `idempotency-key`.
    pub idempotency_key: Option<String>,
}

impl Wishes {
    /// Reads the headers; an absurd value is refused by its name.
    pub fn parse(headers: &Headers) -> Result<Self, Problem> {
        let mut wishes = Self::default();
        for (name, value) in headers.iter() {
            match name {
                "x-tollgate-priority" => {
                    wishes.priority = Some(match value {
                        "critical" => Priority::Critical,
                        "normal" => Priority::Normal,
                        "background" => Priority::Background,
                        _ => return Err(bad(name, "must be critical, normal or background")),
                    });
                }
                "x-tollgate-max-wait" => {
                    let s = seconds(value).filter(|s| *s <= WAIT_S_MAX).ok_or_else(|| {
                        bad(name, "must be a whole number of seconds from 0 to 3600")
                    })?;
                    wishes.max_wait_ms = Some(s * 1000);
                }
                // The SDK's own figure, not a wish: what is absurd is passed over.
                "x-stainless-timeout" => {
                    wishes.client_timeout_ms =
                        seconds(value.split('.').next().unwrap_or(value)).map(|s| s.saturating_mul(1000));
                }
                "x-stainless-retry-count" => {
                    wishes.is_retry = value.parse::<u32>().ok().map(|count| count > 0);
                }
                "x-tollgate-user" => wishes.user = Some(text_ok(value, USER_BYTES_MAX).ok_or_else(|| {
                    bad(name, "must be 1 to 128 visible ASCII characters without spaces")
                })?),
                "x-tollgate-cache" => wishes.cache = cache(value).ok_or_else(|| {
                    bad(name, "must be skip, refresh, only or default, and may end in `; ttl=SECONDS` (60 to 86400)")
                })?,
                "x-tollgate-job" => wishes.job = Some(job_id(value).ok_or_else(|| {
                    bad(name, "must be the id of a job: 1 to 64 of the characters A-Z a-z 0-9 _ . -")
                })?),
                "x-tollgate-delivery" => {
                    wishes.delivery = match value {
                        "stream" => Delivery::Stream,
                        "atomic" => Delivery::Atomic,
                        _ => return Err(bad(name, "must be stream or atomic")),
                    };
                }
                "idempotency-key" => {
                    let ok = text_ok(value, KEY_BYTES_MAX);
                    wishes.idempotency_key = Some(ok.ok_or_else(|| {
                        bad(name, "must be 1 to 255 visible ASCII characters without spaces")
                    })?);
                }
                _ => {}
            }
        }
        if wishes.job.is_some() && wishes.user.is_some() {
            // Its end user's own budget could refuse it half-way.
            return Err(bad(
                "x-tollgate-job",
                "a job's requests name no end user: leave x-tollgate-user out",
            ));
        }
        Ok(wishes)
    }

    /// How long the request may wait at this priority.
    pub fn wait_ms(&self, priority: Priority) -> Millis {
        // A job is never refused half-way while somebody still waits for it.
        let default = match self.job {
            Some(_) => Priority::Background,
            None => priority,
        };
        let default = WAIT_S_DEFAULT[default as usize] * 1000;
        let wish = self.max_wait_ms.unwrap_or(default);
        self.client_timeout_ms.map_or(wish, |most| wish.min(most))
    }

    /// When nobody waits for the answer any more to a request that came now and may
    /// take `total_ms`.
    pub fn ends_ms(&self, total_ms: Millis, now: Millis) -> Millis {
        now.saturating_add(self.client_timeout_ms.unwrap_or(Millis::MAX).min(total_ms))
    }
}

/// Which provider endpoint a method and path name, if any.
pub fn endpoint(method: &str, path: &str, query: &str) -> Option<Result<Endpoint, Problem>> {
    let wrong_method = |allowed: &str| {
        let message = format!("{path} takes {allowed} only.");
        Some(Err(Problem::new(405, "invalid_request_error", "tollgate_wrong_method", message)))
    };
    match (method, path) {
        ("POST", "/v1/messages") => Some(Ok(Endpoint::Post(Api::Messages))),
        ("POST", "/v1/messages/count_tokens") => Some(Ok(Endpoint::Post(Api::CountTokens))),
        (_, "/v1/messages" | "/v1/messages/count_tokens") => wrong_method("POST"),
        (_, path) if path == "/v1/models" || model_path(path) => match method {
            "GET" | "HEAD" => {
                let query = if query.is_empty() { String::new() } else { format!("?{query}") };
                Some(Ok(Endpoint::Unmetered(format!("{path}{query}"))))
            }
            _ => wrong_method("GET"),
        },
        _ => None,
    }
}

/// An unknown `/v1/…` path, where the account passes such paths through.
pub fn passed_through(path: &str, query: &str) -> Option<Endpoint> {
    let safe = path.split('/').all(|part| part != ".." && part != ".")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./~".contains(&b));
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    (path.starts_with("/v1/") && safe).then(|| Endpoint::Unmetered(format!("{path}{query}")))
}

/// What can be a job's id.
pub fn job_id(text: &str) -> Option<String> {
    limits::policy::is_name(text).then(|| text.to_owned())
}

/// Whether a path is about jobs.
pub fn is_jobs(path: &str) -> bool {
    path.strip_prefix("/v1/jobs").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `/v1/models/ID` with an id that cannot be read as more path.
fn model_path(path: &str) -> bool {
    path.strip_prefix("/v1/models/").is_some_and(|id| {
        !id.is_empty()
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && id != ".."
    })
}

fn bad(name: &str, problem: &str) -> Problem {
    Problem::bad("tollgate_bad_header", format!("{name}: {problem}."))
}

fn seconds(text: &str) -> Option<u64> {
    let ok = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if ok { text.parse().ok() } else { None }
}

fn text_ok(text: &str, bytes_max: usize) -> Option<String> {
    let ok = (1..=bytes_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    ok.then(|| text.to_owned())
}

fn cache(text: &str) -> Option<CacheWish> {
    let (mode, rest) = text.split_once(';').map_or((text, None), |(m, r)| (m, Some(r)));
    let mode = match mode.trim() {
        "skip" => CacheMode::Skip,
        "refresh" => CacheMode::Refresh,
        "only" => CacheMode::Only,
        "default" => CacheMode::Default,
        _ => return None,
    };
    let ttl_s = match rest {
        None => None,
        Some(rest) => {
            Some(seconds(rest.trim().strip_prefix("ttl=")?).filter(|s| (60..=86_400).contains(s))?)
        }
    };
    Some(CacheWish { mode, ttl_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[(&str, &str)]) -> Result<Wishes, Problem> {
        let mut headers = Headers::default();
        list.iter().for_each(|(name, value)| headers.add(name, value));
        Wishes::parse(&headers)
    }

    #[test]
    fn absurd_header_values_are_refused_by_name() {
        for (name, value) in [
            ("x-tollgate-priority", "urgent"),
            ("x-tollgate-priority", ""),
            ("x-tollgate-max-wait", "-1"),
            ("x-tollgate-max-wait", "1e9"),
            ("x-tollgate-max-wait", "99999999999999999999"),
            ("x-tollgate-max-wait", "3601"),
            ("x-tollgate-user", ""),
            ("x-tollgate-user", "a b"),
            ("x-tollgate-user", "é"),
            ("x-tollgate-cache", "maybe"),
            ("x-tollgate-cache", "default; ttl=1"),
            ("x-tollgate-cache", "default; max=100"),
            ("x-tollgate-job", "j 1"),
            ("x-tollgate-job", "../j"),
            ("x-tollgate-delivery", "whole"),
            ("x-tollgate-delivery", ""),
            ("idempotency-key", ""),
            ("idempotency-key", "two words"),
        ] {
            let problem = parse(&[(name, value)]).expect_err(value);
            assert_eq!(
                (problem.status, problem.code),
                (400, "tollgate_bad_header"),
                "{name}: {value}"
            );
            assert!(problem.message.starts_with(name), "{}", problem.message);
        }
        assert!(parse(&[("x-tollgate-user", &"u".repeat(129))]).is_err());
        assert!(parse(&[("idempotency-key", &"k".repeat(256))]).is_err());
    }

    #[test]
    fn waits_follow_the_priority_and_never_outlast_the_client() {
        let wishes = parse(&[("x-stainless-timeout", "60")]).unwrap();
        assert_eq!(wishes.wait_ms(Priority::Critical), 30_000);
        assert_eq!(wishes.wait_ms(Priority::Background), 60_000);
        let wishes =
            parse(&[("x-tollgate-max-wait", "5"), ("x-stainless-timeout", "600.5")]).unwrap();
        assert_eq!(wishes.wait_ms(Priority::Normal), 5_000);
        let job = [("x-tollgate-job", "j"), ("x-stainless-timeout", "600")];
        assert_eq!(parse(&job).unwrap().wait_ms(Priority::Critical), 600_000, "a job's waits on");
        assert!(parse(&[("x-tollgate-job", "j"), ("x-tollgate-user", "u")]).is_err());
        assert_eq!(parse(&[("x-stainless-timeout", "soon")]).unwrap().client_timeout_ms, None);
    }

    #[test]
    fn endpoints_are_exact() {
        let of = |method, path| endpoint(method, path, "");
        assert_eq!(of("POST", "/v1/messages"), Some(Ok(Endpoint::Post(Api::Messages))));
        assert!(matches!(of("GET", "/v1/messages"), Some(Err(p)) if p.status == 405));
        assert_eq!(of("GET", "/v1/models/../admin"), None);
        assert_eq!(of("GET", "/v1/models/.."), None);
        assert_eq!(of("POST", "/v1/messages/"), None);
        assert_eq!(
            endpoint("GET", "/v1/models", "limit=2"),
            Some(Ok(Endpoint::Unmetered("/v1/models?limit=2".into())))
        );
    }
}
