//! The rate-limit headers, named and rounded as documented (rate-limit page of
//! platform.claude.com, copies of September 2026; a capture of 2025-08-21 shows
//! `tokens` as the sum of input and output).

use crate::pool::{Level, Levels};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, UNIX_EPOCH};

/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*`; a fast
/// pool tells its tokens as `anthropic-fast-{input,output}-tokens-*`.
pub(super) fn rate_limit(levels: &Levels, fast: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    put(&mut headers, "anthropic-ratelimit-requests", &levels.requests, exact);
    let (input, output) = (&levels.input, &levels.output);
    if fast {
        put(&mut headers, "anthropic-fast-input-tokens", input, thousands);
        put(&mut headers, "anthropic-fast-output-tokens", output, thousands);
        return headers;
    }
    let sum = Level {
        limit: input.limit + output.limit,
        remaining: input.remaining.max(0) + output.remaining.max(0),
        full_at_ms: input.full_at_ms.max(output.full_at_ms),
    };
    put(&mut headers, "anthropic-ratelimit-tokens", &sum, thousands);
    put(&mut headers, "anthropic-ratelimit-input-tokens", input, thousands);
    put(&mut headers, "anthropic-ratelimit-output-tokens", output, thousands);
    headers
}

/// The requests alone, for token counting.
pub(super) fn requests_only(levels: &Levels) -> HeaderMap {
    let mut headers = HeaderMap::new();
    put(&mut headers, "anthropic-ratelimit-requests", &levels.requests, exact);
    headers
}

fn put(headers: &mut HeaderMap, name: &str, level: &Level, round: fn(&Level) -> u64) {
    // Full replenishment, to the second: rounded up, as it is not full earlier.
    let reset = Duration::from_secs(level.full_at_ms.div_ceil(1_000));
    let reset = humantime::format_rfc3339_seconds(UNIX_EPOCH + reset).to_string();
    for (part, value) in [
        ("limit", level.limit.to_string()),
        ("remaining", round(level).to_string()),
        ("reset", reset),
    ] {
        // Digits and RFC 3339 are header values; the names are ours.
        if let (Ok(name), Ok(value)) =
            (format!("{name}-{part}").parse::<HeaderName>(), HeaderValue::try_from(value))
        {
            headers.insert(name, value);
        }
    }
}

fn exact(level: &Level) -> u64 {
    level.remaining.max(0) as u64
}

/// To the nearest thousand, and never above the limit.
fn thousands(level: &Level) -> u64 {
    ((exact(level) + 500) / 1_000 * 1_000).min(level.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(limit: u64, remaining: i64, full_at_ms: u64) -> Level {
        Level { limit, remaining, full_at_ms }
    }

    #[test]
    fn the_recorded_capture_is_reproduced() {
        // tidyllm's fixture of 2025-08-21: input 80000, output 16000, tokens
        // 96000, requests 1000 of which 999 remain.
        let at = 1_755_780_059_000; // 2025-08-21T12:40:59Z
        let levels = Levels {
            requests: level(1_000, 999, at),
            input: level(80_000, 79_988, at),
            output: level(16_000, 16_000, at),
        };
        let headers = rate_limit(&levels, false);
        for (name, value) in [
            ("requests-limit", "1000"),
            ("requests-remaining", "999"),
            ("input-tokens-limit", "80000"),
            ("input-tokens-remaining", "80000"),
            ("output-tokens-limit", "16000"),
            ("tokens-limit", "96000"),
            ("tokens-remaining", "96000"),
            ("tokens-reset", "2025-08-21T12:40:59Z"),
        ] {
            assert_eq!(headers[&format!("anthropic-ratelimit-{name}")], value, "{name}");
        }
        assert_eq!(headers.len(), 12);
    }

    #[test]
    fn tokens_are_rounded_to_the_nearest_thousand_and_requests_are_not() {
        for (remaining, rounded) in
            [(499, 0), (500, 1_000), (1_499, 1_000), (1_500, 2_000), (-5, 0), (79_600, 79_800)]
        {
            assert_eq!(thousands(&level(79_800, remaining, 0)), rounded, "{remaining}");
        }
        assert_eq!(exact(&level(1_000, 499, 0)), 499);
    }

    #[test]
    fn reset_is_rounded_up_to_the_second() {
        let at = level(1, 1, 1_001);
        let headers = rate_limit(&Levels { requests: at, input: at, output: at }, false);
        assert_eq!(headers["anthropic-ratelimit-requests-reset"], "1970-01-01T00:00:02Z");
    }

    #[test]
    fn a_fast_pool_has_its_own_names() {
        let at = level(1_000, 1_000, 0);
        let headers = rate_limit(&Levels { requests: at, input: at, output: at }, true);
        assert!(headers.contains_key("anthropic-fast-output-tokens-remaining"));
        assert!(!headers.contains_key("anthropic-ratelimit-output-tokens-remaining"));
    }
}
