//! The provider's levels, from its response headers (docs, API rate limits, read
//! 2026-09). They come with every response, refusals included.

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

/// A bucket larger than this is none. The largest published holds 10 million
/// tokens a minute; contracts may hold more.
const LIMIT_MAX: u64 = 1_000_000_000_000;
/// The longest wait that is believed: a month and a day (a spend cap lasts until
/// the first of the next month).
const WAIT_MS_MAX: u64 = 32 * 86_400_000;
/// Ids have some 30 characters.
const REQUEST_ID_MAX: usize = 128;

/// Reads the headers of a response; names in any case.
pub fn levels<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> RateHeaders {
    let mut rate = RateHeaders::default();
    let mut buckets = [Bucket::default(); 5];
    let mut exact_wait = None;
    for (name, value) in headers {
        let value = value.trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if let Some((bucket, field)) = bucket(name) {
            let bucket = &mut buckets[bucket];
            match field {
                Field::Limit => bucket.limit = whole(value).filter(|&n| 0 < n && n <= LIMIT_MAX),
                Field::Remaining => bucket.remaining = whole(value),
                Field::Reset => bucket.reset_ms = rfc3339_ms(value),
            }
        } else if is("retry-after") {
            rate.retry_after_ms = thousandths(value).filter(|&ms| ms <= WAIT_MS_MAX);
        } else if is("retry-after-ms") {
            exact_wait =
                thousandths(value).map(|ms| ms.div_ceil(1000)).filter(|&ms| ms <= WAIT_MS_MAX);
        } else if is("request-id") && value.len() <= REQUEST_ID_MAX {
            let clean = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
            rate.request_id = clean.then(|| value.to_string());
        }
    }
    rate.retry_after_ms = exact_wait.or(rate.retry_after_ms);
    [rate.requests, rate.input, rate.output, rate.fast_input, rate.fast_output] =
        buckets.map(Bucket::level);
    rate
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    limit: Option<u64>,
    remaining: Option<u64>,
    reset_ms: Option<u64>,
}

enum Field {
    Limit,
    Remaining,
    Reset,
}

impl Bucket {
    fn level(self) -> Option<Level> {
        let limit = self.limit?;
        // Rounding can lift it over the limit.
        Some(Level { limit, remaining: self.remaining?.min(limit), reset_ms: self.reset_ms })
    }
}

/// Which bucket and which of its fields a header's name means.
fn bucket(name: &str) -> Option<(usize, Field)> {
    let after = |prefix: &str| {
        let (head, tail) = name.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(tail)
    };
    let (rest, fast) = match after("anthropic-ratelimit-") {
        Some(rest) => (rest, false),
        None => (after("anthropic-fast-")?, true),
    };
    let (kind, field) = rest.rsplit_once('-')?;
    let bucket = match (kind.to_ascii_lowercase().as_str(), fast) {
        ("requests", false) => 0,
        ("input-tokens", false) => 1,
        ("output-tokens", false) => 2,
        ("input-tokens", true) => 3,
        ("output-tokens", true) => 4,
        _ => return None,
    };
    let field = match field.to_ascii_lowercase().as_str() {
        "limit" => Field::Limit,
        "remaining" => Field::Remaining,
        "reset" => Field::Reset,
        _ => return None,
    };
    Some((bucket, field))
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `12`, `0.5` in thousandths, rounded up; no sign, no exponent, no date (a date
/// needs a clock, and the provider sends whole seconds).
fn thousandths(text: &str) -> Option<u64> {
    let (units, fraction) = text.split_once('.').unwrap_or((text, "0"));
    whole(fraction)?;
    let mut milli = 0;
    for place in 0..3 {
        let digit = fraction.as_bytes().get(place).map_or(0, |b| u64::from(b - b'0'));
        milli = milli * 10 + digit;
    }
    let more = fraction.bytes().skip(3).any(|b| b != b'0');
    whole(units)?.checked_mul(1000)?.checked_add(milli + u64::from(more))
}

/// Milliseconds since 1970 of an RFC 3339 time, years 2000 to 2199.
fn rfc3339_ms(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| whole(text.get(from..to)?);
    let at = |i: usize, want: &[u8]| bytes.get(i).is_some_and(|b| want.contains(b));
    if !(at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(2000..2200).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()? - 1;
    // A leap second is the last one of its minute here.
    if !(1..=lengths[month]).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let years: u64 = (1970..year).map(|y| 365 + u64::from(leap(y))).sum();
    let days = years + lengths[..month].iter().sum::<u64>() + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second.min(59);
    let mut rest = text.get(19..)?;
    let mut milli = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        milli = thousandths(&format!("0.{}", &fraction[..digits.min(3)]))?;
        rest = &fraction[digits..];
    }
    let ms = seconds * 1000 + milli;
    match rest {
        "Z" | "z" => Some(ms),
        _ => {
            let (sign, zone) = rest.split_at_checked(1)?;
            let (hours, minutes) = zone.split_once(':')?;
            if zone.len() != 5 || hours.len() != 2 {
                return None;
            }
            let (hours, minutes) = (whole(hours)?, whole(minutes)?);
            let offset = (hours * 60 + minutes) * 60_000;
            match sign {
                _ if hours > 23 || minutes > 59 => None,
                "+" => ms.checked_sub(offset),
                "-" => Some(ms + offset),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_captured_response_tells_its_three_buckets() {
        let rate = levels([
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("anthropic-ratelimit-requests-reset", "2025-08-21T12:40:59Z"),
            ("anthropic-ratelimit-input-tokens-limit", "80000"),
            ("anthropic-ratelimit-input-tokens-remaining", "80000"),
            ("anthropic-ratelimit-input-tokens-reset", "2025-08-21T12:40:59Z"),
            ("Anthropic-Ratelimit-Output-Tokens-Limit", "16000"),
            ("Anthropic-Ratelimit-Output-Tokens-Remaining", "16000"),
            ("anthropic-ratelimit-tokens-limit", "96000"),
            ("anthropic-fast-output-tokens-limit", "5000"),
            ("anthropic-fast-output-tokens-remaining", "0"),
            ("retry-after", "12"),
            ("request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
        ]);
        let reset_ms = Some(1_755_780_059_000);
        assert_eq!(rate.requests, Some(Level { limit: 1000, remaining: 999, reset_ms }));
        assert_eq!(rate.input, Some(Level { limit: 80_000, remaining: 80_000, reset_ms }));
        assert_eq!(rate.output, Some(Level { limit: 16_000, remaining: 16_000, reset_ms: None }));
        assert_eq!(rate.fast_output, Some(Level { limit: 5000, remaining: 0, reset_ms: None }));
        assert_eq!(rate.fast_input, None);
        assert_eq!(rate.retry_after_ms, Some(12_000));
        assert_eq!(rate.request_id.as_deref(), Some("req_011CSHoEeqs5C35K2UUqR7Fy"));
    }

    #[test]
    fn absurd_values_are_left_out() {
        let limit = |limit: &str, remaining: &str| {
            levels([
                ("anthropic-ratelimit-requests-limit", limit),
                ("anthropic-ratelimit-requests-remaining", remaining),
            ])
            .requests
        };
        for (l, r) in [
            ("0", "0"),
            ("-5", "1"),
            ("1e9", "1"),
            ("", "1"),
            ("99999999999999999999", "1"),
            ("10", "x"),
        ] {
            assert_eq!(limit(l, r), None, "{l} {r}");
        }
        assert_eq!(limit("1500", "2000").map(|level| level.remaining), Some(1500));
        for value in
            ["-1", "soon", "1e3", "9999999999", "Wed, 21 Oct 2026 07:28:00 GMT", "1.", ".5"]
        {
            assert_eq!(levels([("retry-after", value)]).retry_after_ms, None, "{value}");
        }
        assert_eq!(levels([("request-id", "a b")]).request_id, None);
        assert_eq!(levels([("request-id", "x".repeat(200).as_str())]).request_id, None);
    }

    #[test]
    fn waits_may_have_fractions_and_milliseconds_win() {
        assert_eq!(levels([("retry-after", "0.5")]).retry_after_ms, Some(500));
        assert_eq!(levels([("retry-after", "1.0001")]).retry_after_ms, Some(1001));
        let both = levels([("retry-after-ms", "250"), ("retry-after", "1")]);
        assert_eq!(both.retry_after_ms, Some(250));
    }

    #[test]
    fn times_are_read_with_fraction_and_zone() {
        let table = [
            ("1999-12-31T23:59:59Z", None),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("2026-11-24T00:00:00Z", Some(1_795_478_400_000)),
            ("2026-11-24T00:00:00.25Z", Some(1_795_478_400_250)),
            ("2026-11-24T02:00:00+02:00", Some(1_795_478_400_000)),
            ("2026-11-23T22:00:00-02:00", Some(1_795_478_400_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-24T24:00:00Z", None),
            ("2026-11-24T00:00:00", None),
            ("2026-11-24", None),
            ("2026-11-24T00:00:00+2:00", None),
        ];
        for (text, ms) in table {
            assert_eq!(rfc3339_ms(text), ms, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(name in "(anthropic-(ratelimit|fast)-)?\\PC{0,20}", value in "\\PC{0,40}|[0-9T:.Z+-]{0,30}") {
            levels([(name.as_str(), value.as_str()), ("retry-after", &value), ("retry-after-ms", &value)]);
            rfc3339_ms(&value);
        }
    }
}
