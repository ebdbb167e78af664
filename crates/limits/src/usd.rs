//! Money in files: exact to the millionth of a dollar, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::message::MicroUsd;

/// An amount of US dollars, exact to the millionth: in files a string such as
/// `"12.50"`, or an integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub MicroUsd);

/// The largest amount in a file: a trillion dollars.
const USD_MAX: u64 = 1_000_000_000_000;

impl Usd {
    /// Reads `12`, `12.5` or `0.000001`; at most six decimals, no sign, no float.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str =
            "write dollars as \"12.50\": digits, at most six decimals, at most a trillion";
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(SHAPE);
        }
        let whole: u64 = whole.parse().map_err(|_| SHAPE)?;
        if whole > USD_MAX {
            return Err(SHAPE);
        }
        let micros: u64 = format!("{decimals:0<6}").parse().map_err(|_| SHAPE)?;
        Ok(Self(whole * 1_000_000 + micros))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if micros % 10_000 == 0 {
            write!(f, "{whole}.{:02}", micros / 10_000)
        } else {
            write!(f, "{whole}.{micros:06}")
        }
    }
}

impl Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dollars;
        impl serde::de::Visitor<'_> for Dollars {
            type Value = Usd;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dollars as a string (\"12.50\") or an integer, never a float")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Usd, E> {
                Usd::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, whole: u64) -> Result<Usd, E> {
                self.visit_str(&whole.to_string())
            }
            fn visit_i64<E: serde::de::Error>(self, whole: i64) -> Result<Usd, E> {
                self.visit_str(&whole.to_string())
            }
        }
        deserializer.deserialize_any(Dollars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_and_never_floats() {
        for (text, micros) in
            [("12.50", 12_500_000), ("50", 50_000_000), ("0.000001", 1), ("0.1", 100_000)]
        {
            assert_eq!(Usd::parse(text), Ok(Usd(micros)), "{text}");
            assert_eq!(Usd::parse(&Usd(micros).to_string()), Ok(Usd(micros)), "{text} back");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.0000001",
            "1,5",
            "9999999999999",
            "NaN",
            " 1",
        ] {
            assert!(Usd::parse(bad).is_err(), "{bad}");
        }
    }
}
