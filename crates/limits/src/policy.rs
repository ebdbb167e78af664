//! The tenants' file: what each tenant may use, as written by its operator.
//!
//! Plain types of design.md §5, parsed by whatever reads the file (TOML, JSON),
//! checked here by [`Tenants::validate`]. What this version does not enforce is
//! refused, never silently ignored. Not here: what a tenant has used (`scope`).

mod publishable;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::map::ByName;
use crate::message::Priority;
pub use crate::usd::Usd;
pub use publishable::{Publishable, SYSTEM_BYTES_MAX, origin_ok};

/// Tenants in one deployment; a row each, read whole at a start of the Gate.
pub const TENANTS_MAX: usize = 10_000;
/// Entries in one tenant's lists: models, budgets, origins.
pub const LIST_MAX: usize = 100;
/// Different lists of models in the budgets of one deployment: a bit each.
pub const LISTS_MAX: usize = 64;
/// The largest rate limit: far above any provider's, and small enough for the
/// bucket's 64-bit arithmetic.
pub const RATE_MAX: u64 = 1_000_000_000_000;

/// The file: every tenant by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// By name: 1 to 64 of `[A-Za-z0-9_.-]`.
    #[serde(default)]
    pub tenants: ByName<Tenant>,
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
    /// When it starts: of a week the weekday (absent: Monday), of a month `rolling`
    /// (today and the 29 days before; absent: the first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Starts>,
    /// The time zone of its midnights, by its IANA name; absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Model ids, or prefixes ending in `*`, that it counts; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Input and output tokens, cache reads included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Usd>,
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// How the budget opens over its window; absent: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// Whether it refuses; else it only tells that it was reached.
    #[serde(default = "yes")]
    pub hard: bool,
}

/// A budget's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// From midnight to midnight.
    Day,
    /// Seven days.
    Week,
    /// A month.
    Month,
}

/// When a window starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Starts {
    /// A week's first day.
    #[default]
    Monday,
    /// A week's first day.
    Tuesday,
    /// A week's first day.
    Wednesday,
    /// A week's first day.
    Thursday,
    /// A week's first day.
    Friday,
    /// A week's first day.
    Saturday,
    /// A week's first day.
    Sunday,
    /// A month that moves along by days.
    Rolling,
}

/// How a budget opens over its window. What was not used stays open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// All at once.
    #[default]
    Off,
    /// In equal shares: a week or a month by days, a day by hours.
    Even,
    /// In equal shares from Monday to Friday.
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
        // Looked through, up to one too many: a set brings its code for this one place.
        let mut lists: Vec<&[String]> = Vec::new();
        for (_, Budget { models, .. }) in self.budgets() {
            if lists.len() <= LISTS_MAX && !lists.contains(&&**models) {
                lists.push(models);
            }
        }
        if lists.len() > LISTS_MAX {
            errors.add(
                "tenants",
                format!("at most {LISTS_MAX} different lists of models in budgets"),
            );
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
        let mut refuse = |field: &str, remedy: &str| errors.add(&format!("{path}{field}"), remedy);
        match (budget.window, budget.starts) {
            (_, None) => {}
            (Window::Day, _) => refuse(".starts", "a day starts at midnight: remove it"),
            (Window::Week, Some(Starts::Rolling)) => {
                refuse(".starts", "a week starts on a weekday: write \"monday\" or another")
            }
            (Window::Month, Some(starts)) if starts != Starts::Rolling => refuse(
                ".starts",
                "a month starts on its first day: remove it, or write \"rolling\"",
            ),
            _ => {}
        }
        match (budget.pace, budget.window) {
            (Some(Pace::Workdays), Window::Day) => {
                refuse(".pace", "workdays pace a week or a month: write \"even\" or \"off\"")
            }
            (Some(Pace::Even | Pace::Workdays), _) if budget.starts == Some(Starts::Rolling) => {
                refuse(".pace", "a month that moves along opens day by day already: remove it")
            }
            _ => {}
        }
        if budget.zone.as_deref().is_some_and(|zone| !is_zone_name(zone)) {
            refuse(".zone", "a time zone's IANA name, e.g. \"Europe/Berlin\"");
        }
        if budget.tokens.is_none() && budget.usd.is_none() && budget.requests.is_none() {
            refuse("", "names no amount: give tokens, usd or requests");
        }
        let zero =
            budget.tokens == Some(0) || budget.usd == Some(Usd(0)) || budget.requests == Some(0);
        if zero
            || budget.tokens.is_some_and(|v| v > i64::MAX as u64 / 4)
            || budget.requests.is_some_and(|v| v > i64::MAX as u64 / 4)
        {
            refuse(
                "",
                "an amount is at least 1 and below two quintillions; revoke the keys to close a tenant",
            );
        }
        check_models(&budget.models, &format!("{path}.models"), errors);
    }
}

/// What a zone's name looks like; whether there is such a zone, the shell knows.
fn is_zone_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/' | b'-' | b'+'))
}

impl Tenants {
    /// Every budget of the file, with its path.
    pub fn budgets(&self) -> impl Iterator<Item = (String, &Budget)> {
        let lists = self.tenants.iter().flat_map(|(name, tenant)| {
            tenant.budget_lists().map(|(path, budgets)| (name, path, budgets))
        });
        lists.flat_map(|(name, path, budgets)| {
            let numbered = budgets.iter().enumerate();
            numbered.map(move |(i, budget)| (format!("tenants.{name}.{path}[{i}]"), budget))
        })
    }
}

impl Tenant {
    /// Its budgets, its users' and its visitors', with the paths of their lists.
    pub(crate) fn budget_lists(&self) -> [(&'static str, &[Budget]); 3] {
        let visitor = self.publishable.as_ref().and_then(|of| of.visitor.as_ref());
        let of_users = self.users.as_ref().map_or(&[][..], |users| &users.budgets);
        let of_visitors = visitor.map_or(&[][..], |visitor| &visitor.budgets);
        [
            ("budgets", &self.budgets),
            ("users.budgets", of_users),
            ("publishable.visitor.budgets", of_visitors),
        ]
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
            (
                r#"{"budgets":[{"window":"week","tokens":1,"starts":"rolling"}]}"#,
                "tenants.a.budgets[0].starts",
            ),
            (
                r#"{"budgets":[{"window":"month","tokens":1,"starts":"sunday"}]}"#,
                "tenants.a.budgets[0].starts",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1},{"window":"day","tokens":1,"zone":"Europe Berlin"}]}"#,
                "tenants.a.budgets[1].zone",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1,"starts":"monday"}]}"#,
                "tenants.a.budgets[0].starts",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1,"pace":"workdays"}]}"#,
                "tenants.a.budgets[0].pace",
            ),
            (
                r#"{"budgets":[{"window":"month","starts":"rolling","tokens":1,"pace":"even"}]}"#,
                "tenants.a.budgets[0].pace",
            ),
            (
                r#"{"budgets":[{"window":"day","tokens":1,"models":["*x*"]}]}"#,
                "tenants.a.budgets[0].models[0]",
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
            let file = Tenants { tenants: [(name.to_owned(), Box::default())].into() };
            assert_eq!(file.validate().len(), 1, "{name:?}");
        }
    }

    #[test]
    fn a_sound_file_survives_export_and_apply() {
        let text = r#"{"tenants":{"acme":{"weight":3,"priority":{"default":"background","highest":"normal"},
            "limits":{"rpm":100,"concurrent":5},"budgets":[{"window":"day","usd":"12.50","zone":"UTC","pace":"off"},
            {"window":"week","starts":"sunday","zone":"Europe/Berlin","tokens":9,"pace":"workdays","hard":false,"models":["a*"]}],
            "users":{"limits":{"rpm":5},"budgets":[{"window":"day","requests":9}]},"models":["claude-*"],"cache":true,
            "publishable":{"origins":["https://a.example:8443","http://localhost:8787"],"models":["claude-haiku-*"],"max_tokens":1024,
            "betas":["a-2026-01-01"],"system":"Be kind.","visitor":{"limits":{"rpm":5},"budgets":[{"window":"day","tokens":9}]},"usd_day":"5.00"}}}}"#;
        let parsed = file(text).expect("sound");
        assert_eq!(parsed.validate(), []);
        let again = file(&serde_json::to_string(&parsed).expect("plain data")).expect("own export");
        assert_eq!(again, parsed);
    }
}
