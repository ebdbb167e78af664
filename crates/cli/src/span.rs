//! Spans of time as people write them: `90s`, `15m`, `12h`, `30d`.

use std::str::FromStr;

/// A span in seconds, at least one and at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Seconds.
    pub(crate) seconds: u64,
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write 90s, 15m, 12h or 30d, at most ten years";
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => return Err(FORM),
        };
        // The unit is one ASCII character.
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| FORM)?;
        match number.checked_mul(unit) {
            Some(seconds @ 1..=315_360_000) => Ok(Self { seconds }),
            _ => Err(FORM),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let table = [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("3650d", Some(315_360_000)),
            ("3651d", None),
            ("0s", None),
            ("", None),
            ("d", None),
            ("-1d", None),
            ("1.5h", None),
            ("5 m", None),
            ("99999999999999999999d", None),
            ("10ü", None),
        ];
        for (text, seconds) in table {
            assert_eq!(text.parse().ok(), seconds.map(|seconds| Span { seconds }), "{text}");
        }
    }
}
