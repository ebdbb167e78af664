//! What pages may do with a tenant's publishable keys and visitor tokens.

use serde::{Deserialize, Serialize};

use super::{Errors, LIST_MAX, RateLimits, Usd, Users, check_budgets, check_limits, check_models};

/// The longest fixed system prompt: each isolate keeps it, with the policy.
pub const SYSTEM_BYTES_MAX: usize = 4_096;
/// Far above the longest answer of any model: a slip of the pen, or a unit.
const MAX_TOKENS_MAX: u64 = 10_000_000;

/// What a tenant's publishable keys and visitor tokens may do: everybody can read
/// them, so nothing that bounds them may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publishable {
    /// Origins whose pages may use them, as browsers send them; `*`: any, and none.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Models that they may use, among the tenant's.
    #[serde(default)]
    pub models: Vec<String>,
    /// The highest `max_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Betas that they may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub betas: Vec<String>,
    /// The system prompt that each request must carry, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Limits of each visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<Users>,
    /// Dollars a day of all visitors together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_day: Option<Usd>,
}

impl Publishable {
    pub(super) fn check(&self, path: &str, errors: &mut Errors) {
        let mut demand = |holds: bool, field: &str, remedy: &str| {
            if !holds {
                errors.add(&format!("{path}.{field}"), remedy);
            }
        };
        demand(
            (1..=LIST_MAX).contains(&self.origins.len())
                && self.origins.iter().all(|o| origin_ok(o)),
            "origins",
            "1 to 100 origins as browsers send them, e.g. \"https://app.example.com\" (no path, no slash at the end, no default port), or \"*\"",
        );
        demand(
            !self.models.is_empty(),
            "models",
            "name the models, or prefixes ending in *: anybody can read the key",
        );
        demand(
            self.max_tokens.is_some_and(|most| (1..=MAX_TOKENS_MAX).contains(&most)),
            "max_tokens",
            "the most that a request may ask for, e.g. 1024: anybody can read the key",
        );
        let is_beta = |beta: &String| {
            (1..=64).contains(&beta.len())
                && beta.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        demand(
            self.betas.len() <= LIST_MAX && self.betas.iter().all(is_beta),
            "betas",
            "at most 100 betas by their names, as in the header anthropic-beta",
        );
        demand(
            self.system.as_ref().is_none_or(|text| (1..=SYSTEM_BYTES_MAX).contains(&text.len())),
            "system",
            "a text of 1 to 4096 bytes, or remove it to let pages choose their own",
        );
        let is_limited = |visitor: &Users| {
            visitor.limits != RateLimits::default() || !visitor.budgets.is_empty()
        };
        demand(
            self.visitor.as_ref().is_some_and(is_limited),
            "visitor",
            "what each visitor may use, e.g. { limits = { rpm = 10 } }: anybody can read the key",
        );
        demand(
            self.usd_day.is_some_and(|usd| usd.0 > 0),
            "usd_day",
            "what all visitors together may spend a day, e.g. \"5.00\": anybody can read the key",
        );
        check_models(&self.models, &format!("{path}.models"), errors);
        if let Some(visitor) = &self.visitor {
            check_limits(&visitor.limits, &format!("{path}.visitor.limits"), errors);
            check_budgets(&visitor.budgets, &format!("{path}.visitor.budgets"), errors);
        }
    }
}

/// Whether this is an origin, or `*`. Compared byte by byte with what browsers
/// send: lower case, no default port, no path.
pub fn origin_ok(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return origin == "*" };
    let scheme_ok =
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let host_byte = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'.' | b'-' | b':' | b'[' | b']')
    };
    let default_port = [("https", ":443"), ("http", ":80")]
        .iter()
        .any(|(of, port)| *of == scheme && host.ends_with(port));
    scheme_ok
        && !host.is_empty()
        && host.len() <= 260
        && host.bytes().all(host_byte)
        && !default_port
}

#[cfg(test)]
mod tests {
    use super::super::Tenants;

    fn paths(table: &str) -> Vec<String> {
        let file = format!(r#"{{"tenants":{{"a":{{"publishable":{table}}}}}}}"#);
        let tenants: Tenants = serde_json::from_str(&file).expect("a file that can be read");
        tenants.validate().into_iter().map(|error| error.path).collect()
    }

    #[test]
    fn nothing_that_bounds_a_page_may_be_left_out_or_unsound() {
        // Each field of a sound table, spoilt; "": left out.
        let sound = r#"{"origins":["https://a.example"],"models":["m*"],"max_tokens":9,"visitor":{"limits":{"rpm":1}},"usd_day":"1.00"}"#;
        for (field, values) in [
            (
                "origins",
                &[
                    "",
                    "[]",
                    r#"["https://a.example/"]"#,
                    r#"["https://A.example"]"#,
                    r#"["https://a.example:443"]"#,
                    r#"["a.example"]"#,
                ][..],
            ),
            ("models", &["", "[]"]),
            ("max_tokens", &["", "0"]),
            ("betas", &[r#"["a,b"]"#, r#"[""]"#]),
            ("system", &[r#""""#]),
            ("visitor", &["", "{}", r#"{"limits":{}}"#]),
            ("usd_day", &["", "0"]),
        ] {
            for value in values {
                let mut table: serde_json::Value = serde_json::from_str(sound).expect("JSON");
                match *value {
                    "" => drop(table.as_object_mut().expect("a table").remove(field)),
                    value => table[field] = serde_json::from_str(value).expect("JSON"),
                }
                let table = table.to_string();
                assert_eq!(paths(&table), [format!("tenants.a.publishable.{field}")], "{table}");
            }
        }
        // What it shares with the rest of the file is told by its own path.
        for (path, from, to) in [
            ("models[0]", "m*", "*m*"),
            ("visitor.limits.rpm", r#""rpm":1"#, r#""rpm":0"#),
            (
                "visitor.budgets[0].starts",
                r#"{"rpm":1}"#,
                r#"{"rpm":1},"budgets":[{"window":"day","tokens":1,"starts":"monday"}]"#,
            ),
        ] {
            let table = sound.replace(from, to);
            assert_eq!(paths(&table), [format!("tenants.a.publishable.{path}")], "{table}");
        }
    }
}
