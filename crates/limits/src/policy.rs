//! The tenants' file: what each tenant may use, as written by its operator.
//!
//! Plain types of design.md §5, parsed by whatever reads the file (TOML, JSON),
//! checked here by [`Tenants::validate`]. What this version does not enforce is
//! refused, never silently ignored. Not here: what a tenant has used (`scope`).

mod publishable;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::message::Priority;
pub use crate::usd::Usd;
pub use publishable::{Publishable, SYSTEM_BYTES_MAX, origin_ok};

/// Tenants in one deployment; a row each, read whole at a start of the Gate.
pub const TENANTS_MAX: usize = 10_000;
/// Entries in one tenant's lists: models, budgets, origins.
pub const LIST_MAX: usize = 100;
/// The largest rate limit: far above any provider's, and small enough for the
/// bucket's 64-bit arithmetic.
pub const RATE_MAX: u64 = 1_000_000_000_000;

/// The file: every tenant by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// By name: 1 to 64 of `[A-Za-z0-9_.-]`.
    #[serde(default)]
    pub tenants: BTreeMap<String, Tenant>,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its share of a contended pool, relative to the others': 1 to 1,000.
    #[serde(default = "one")]
    pub weight: u32,
    /// The priority of its requests.
    #[serde(default)]
    pub priority: Priorities,
    /// Its own rate limits, over all models.
    #[serde(default)]
    pub limits: RateLimits,
    /// Its own budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The same for each of its end users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// Model ids, or prefixes ending in `*`; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Whether answers are cached; none: as the route or deployment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<bool>,
    /// What its publishable keys may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishable: Option<Publishable>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            weight: one(),
            priority: Priorities::default(),
            limits: RateLimits::default(),
            budgets: Vec::new(),
            users: None,
            models: Vec::new(),
            cache: None,
            publishable: None,
        }
    }
}

/// Which priority a tenant's requests get, and may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priorities {
    /// Of requests that name none.
    #[serde(default)]
    pub default: Priority,
    /// The highest that a request may ask for.
    #[serde(default = "critical")]
    pub highest: Priority,
}

impl Default for Priorities {
    fn default() -> Self {
        Self { default: Priority::default(), highest: critical() }
    }
}

/// Rate limits; absent: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<u64>,
    /// Input tokens a minute, as the provider's input bucket counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itpm: Option<u64>,
    /// Output tokens a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otpm: Option<u64>,
    /// Requests that run at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u64>,
}

/// What may be used in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The window's length.
    pub window: Window,
    /// When the window starts. Not enforced yet: refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// The window's time zone: only `UTC` yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Input and output tokens, cache reads included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Usd>,
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// How the budget opens over its window: only `off` (all at once) yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// Whether it refuses. Only `true` yet: alerts are not built.
    #[serde(default = "yes")]
    pub hard: bool,
}

/// A budget's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// A day, UTC.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
}

/// How a budget opens over its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// All at once.
    Off,
    /// Evenly.
    Even,
    /// Evenly over working days.
    Workdays,
}

/// What each end user of a tenant may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Rate limits of each.
    #[serde(default)]
    pub limits: RateLimits,
    /// Budgets of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

/// What is wrong with a tenants' file, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyError {
    /// The value's path, e.g. `tenants.acme.budgets[0].window`.
    pub path: String,
    /// What to do about it: a sentence.
    pub remedy: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.remedy)
    }
}

impl std::error::Error for PolicyError {}

impl Tenants {
    /// Everything that is wrong with the file; empty: nothing.
    pub fn validate(&self) -> Vec<PolicyError> {
        let mut errors = Errors(Vec::new());
        if self.tenants.len() > TENANTS_MAX {
            errors.add("tenants", format!("at most {TENANTS_MAX} tenants in one deployment"));
        }
        for (name, tenant) in &self.tenants {
            let path = format!("tenants.{name}");
            if !is_name(name) {
                errors.add(&path, "a name has 1 to 64 of the characters A-Z a-z 0-9 _ . -");
            }
            tenant.check(&path, &mut errors);
        }
        errors.0
    }
}

/// Whether this names a tenant, account or key: 1 to 64 of `[A-Za-z0-9_.-]`.
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A collector: the operator wants all mistakes at once.
struct Errors(Vec<PolicyError>);

impl Errors {
    fn add(&mut self, path: &str, remedy: impl Into<String>) {
        self.0.push(PolicyError { path: path.to_owned(), remedy: remedy.into() });
    }
}

impl Tenant {
    fn check(&self, path: &str, errors: &mut Errors) {
        if !(1..=1_000).contains(&self.weight) {
            errors.add(&format!("{path}.weight"), "a weight is 1 to 1,000");
        }
        if self.priority.default < self.priority.highest {
            errors.add(
                &format!("{path}.priority"),
                "the default is above the highest: raise `highest` or lower `default`",
            );
        }
        check_limits(&self.limits, &format!("{path}.limits"), errors);
        check_budgets(&self.budgets, &format!("{path}.budgets"), errors);
        if let Some(users) = &self.users {
            check_limits(&users.limits, &format!("{path}.users.limits"), errors);
            check_budgets(&users.budgets, &format!("{path}.users.budgets"), errors);
        }
        check_models(&self.models, &format!("{path}.models"), errors);
        if let Some(publishable) = &self.publishable {
            publishable.check(&format!("{path}.publishable"), errors);
        }
    }
}

fn check_models(models: &[String], path: &str, errors: &mut Errors) {
    if models.len() > LIST_MAX {
        errors.add(path, format!("at most {LIST_MAX} models: use prefixes ending in *"));
    }
    for (i, model) in models.iter().enumerate() {
        if model.is_empty()
            || model.len() > 256
            || model.strip_suffix('*').unwrap_or(model).contains('*')
        {
            errors.add(
                &format!("{path}[{i}]"),
                "a model id of 1 to 256 characters, or a prefix with one * at its end",
            );
        }
    }
}

fn check_limits(limits: &RateLimits, path: &str, errors: &mut Errors) {
    for (name, value) in [
        ("rpm", limits.rpm),
        ("itpm", limits.itpm),
        ("otpm", limits.otpm),
        ("concurrent", limits.concurrent),
    ] {
        if value.is_some_and(|v| !(1..=RATE_MAX).contains(&v)) {
            errors.add(
                &format!("{path}.{name}"),
                format!("1 to {RATE_MAX}; leave it out for no limit"),
            );
        }
    }
}

fn check_budgets(budgets: &[Budget], path: &str, errors: &mut Errors) {
    if budgets.len() > LIST_MAX {
        errors.add(path, format!("at most {LIST_MAX} budgets"));
    }
    for (i, budget) in budgets.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if budget.window != Window::Day {
            errors.add(
                &format!("{path}.window"),
                "only day windows are enforced by this version: write \"day\"",
            );
        }
        if budget.starts.is_some() {
            errors.add(
                &format!("{path}.starts"),
                "a day starts at 00:00 UTC in this version: remove it",
            );
        }
        if budget.zone.as_deref().is_some_and(|zone| zone != "UTC") {
            errors.add(
                &format!("{path}.zone"),
                "only UTC is enforced by this version: write \"UTC\" or remove it",
            );
        }
        if budget.pace.is_some_and(|pace| pace != Pace::Off) {
            errors.add(
                &format!("{path}.pace"),
                "pacing is not enforced by this version: write \"off\" or remove it",
            );
        }
        if !budget.hard {
            errors.add(&format!("{path}.hard"), "soft budgets need alerts, which this version does not send: write true or remove it");
        }
        if budget.tokens.is_none() && budget.usd.is_none() && budget.requests.is_none() {
            errors.add(&path, "names no amount: give tokens, usd or requests");
        }
        let zero =
            budget.tokens == Some(0) || budget.usd == Some(Usd(0)) || budget.requests == Some(0);
        if zero
            || budget.tokens.is_some_and(|v| v > i64::MAX as u64 / 4)
            || budget.requests.is_some_and(|v| v > i64::MAX as u64 / 4)
        {
            errors.add(&path, "an amount is at least 1 and below two quintillions; revoke the keys to close a tenant");
        }
    }
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn critical() -> Priority {
    Priority::Critical
}

/// Whether a tenant's list of model ids, and prefixes ending in `*`, names this
/// model; an empty list names all.
pub fn allows(models: &[String], model: &str) -> bool {
    let names = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => model.starts_with(prefix),
        None => model == pattern,
    };
    models.is_empty() || models.iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> Result<Tenants, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn money_is_a_string_or_an_integer() {
        let budget = |usd: &str| {
            file(&format!(
                r#"{{"tenants":{{"a":{{"budgets":[{{"window":"day","usd":{usd}}}]}}}}}}"#
            ))
        };
        assert_eq!(
            budget("50").expect("integer").tenants["a"].budgets[0].usd,
            Some(Usd(50_000_000))
        );
        assert!(budget("12.5").expect_err("float").to_string().contains("never a float"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        for bad in [
            r#"{"tenant":{}}"#,
            r#"{"tenants":{"a":{"wieght":2}}}"#,
            r#"{"tenants":{"a":{"limits":{"tpm":2}}}}"#,
            r#"{"tenants":{"a":{"budgets":[{"window":"day","tokens":1,"eur":1}]}}}"#,
            r#"{"tenants":{"a":{"publishable":{"origin":"*"}}}}"#,
            r#"{"tenants":{"a":{"publishable":{"visitor":{"rpm":1}}}}}"#,
        ] {
            assert!(file(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mistake_is_named_by_its_path() {
        for (tenant, path) in [
            (r#"{"weight":0}"#, "tenants.a.weight"),
            (r#"{"priority":{"default":"critical","highest":"normal"}}"#, "tenants.a.priority"),
            (r#"{"limits":{"rpm":0}}"#, "tenants.a.limits.rpm"),
            (r#"{"users":{"limits":{"concurrent":0}}}"#, "tenants.a.users.limits.concurrent"),
            (r#"{"budgets":[{"window":"week","tokens":1}]}"#, "tenants.a.budgets[0].window"),
            (
                r#"{"budgets":[{"window":"day","tokens":1},{"window":"day","tokens":1,"zone":"Europe/Berlin"}]}"#,
                "tenants.a.budgets[1].zone",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1,"starts":"monday"}]}"#,
                "tenants.a.budgets[0].starts",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1,"pace":"even"}]}"#,
                "tenants.a.budgets[0].pace",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1,"hard":false}]}"#,
                "tenants.a.budgets[0].hard",
            ),
            (r#"{"users":{"budgets":[{"window":"day"}]}}"#, "tenants.a.users.budgets[0]"),
            (r#"{"models":["*-mini*"]}"#, "tenants.a.models[0]"),
            // Characters of several bytes, at the end and before it.
            (r#"{"models":["modè","é*","*è"]}"#, "tenants.a.models[2]"),
        ] {
            let errors =
                file(&format!(r#"{{"tenants":{{"a":{tenant}}}}}"#)).expect(tenant).validate();
            assert_eq!(
                errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
                [path],
                "{tenant}"
            );
        }
        let long = "x".repeat(65);
        for name in ["", "a b", "ü", long.as_str()] {
            let file = Tenants { tenants: [(name.to_owned(), Tenant::default())].into() };
            assert_eq!(file.validate().len(), 1, "{name:?}");
        }
    }

    #[test]
    fn a_sound_file_survives_export_and_apply() {
        let text = r#"{"tenants":{"acme":{"weight":3,"priority":{"default":"background","highest":"normal"},
            "limits":{"rpm":100,"concurrent":5},"budgets":[{"window":"day","usd":"12.50","zone":"UTC","pace":"off"}],
            "users":{"limits":{"rpm":5},"budgets":[{"window":"day","requests":9}]},"models":["claude-*"],"cache":true,
            "publishable":{"origins":["https://a.example:8443","http://localhost:8787"],"models":["claude-haiku-*"],"max_tokens":1024,
            "betas":["a-2026-01-01"],"system":"Be kind.","visitor":{"limits":{"rpm":5},"budgets":[{"window":"day","tokens":9}]},"usd_day":"5.00"}}}}"#;
        let parsed = file(text).expect("sound");
        assert_eq!(parsed.validate(), []);
        let again = file(&serde_json::to_string(&parsed).expect("plain data")).expect("own export");
        assert_eq!(again, parsed);
    }
}
