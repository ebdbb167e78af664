//! Shares as settings spell them, kept as integers. (Money is `limits::policy::Usd`.)

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A share in permille, written `"80%"` or `"6.7%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// 1,000 is the whole.
    pub permille: u32,
}

impl Percent {
    /// The whole.
    pub const ALL: Self = Self { permille: 1_000 };
    /// Nothing.
    pub const NONE: Self = Self { permille: 0 };

    /// Reads `"80%"`; or says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let permille = text.strip_suffix('%').and_then(tenths);
        let permille = permille.filter(|permille| *permille <= 1_000);
        let permille = permille.ok_or("not a share; write 0% to 100%, at most one decimal")?;
        Ok(Self { permille })
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (whole, rest) = (self.permille / 10, self.permille % 10);
        let text = if rest == 0 { format!("{whole}%") } else { format!("{whole}.{rest}%") };
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PercentVisitor)
    }
}

struct PercentVisitor;

impl Visitor<'_> for PercentVisitor {
    type Value = Percent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share; write it as \"80%\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
        Percent::parse(text).map_err(E::custom)
    }
}

/// "6.7" is 67.
fn tenths(text: &str) -> Option<u32> {
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenth) || tenth.len() > 1 {
        return None;
    }
    format!("{whole}{tenth}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[test]
    fn a_share_is_read_exactly() {
        let table: [(Value, Option<u32>); 9] = [
            (json!("80%"), Some(800)),
            (json!("6.7%"), Some(67)),
            (json!("0%"), Some(0)),
            (json!("100%"), Some(1_000)),
            (json!("100.1%"), None),
            (json!("80"), None),
            (json!("-1%"), None),
            (json!("6.67%"), None),
            (json!(0.8), None),
        ];
        for (text, permille) in table {
            let read = from_value::<Percent>(text.clone()).ok();
            assert_eq!(read.map(|percent| percent.permille), permille, "{text}");
        }
    }
}
