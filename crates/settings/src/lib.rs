//! The deployment's settings: the `TOLLGATE_*` tables of wrangler.toml as types.
//!
//! Read by the Worker at start and by `tollgate check` offline, both by
//! [`Settings::parse`], so that what the check accepts is what the Worker
//! accepts. A key that is unknown, or belongs to something not built yet, is
//! refused with its path and a remedy, never ignored. Tenants are run-time data
//! of the Gate and not here. docs/configure.md describes every key.
#![forbid(unsafe_code)]

mod account;
mod cache;
mod finding;
mod gate;
mod later;
mod quantity;
mod read;
mod route;
mod tell;

use std::collections::BTreeMap;

use limits::ByName;
use serde::Serialize;
use serde_json::Value;

pub use account::{
    Account, BaseUrl, ClassLimits, Fail, Headroom, Provider, Tier, is_loopback_http,
};
pub use cache::Cache;
pub use finding::Finding;
pub use gate::{Chunk, Gate, Jurisdiction, LocationHint, Proxy, Queue, Waits};
pub use quantity::Percent;
pub use route::{Atomic, Route, RouteCache, Target, Timeouts};

/// Accounts at most; each has a pool of limits for every model class.
pub const ACCOUNTS_MAX: usize = 32;
/// Routes at most: each request is matched against them.
pub const ROUTES_MAX: usize = 128;

/// The variables that a deployment may set.
pub const VARIABLES: [&str; 5] =
    ["TOLLGATE_ACCOUNTS", "TOLLGATE_ROUTES", "TOLLGATE_GATE", "TOLLGATE_CACHE", "TOLLGATE_ALERTS"];

/// The secrets that Tollgate itself reads: never variables.
pub const SECRETS: [&str; 2] = ["TOLLGATE_SECRET", "TOLLGATE_SECRET_PREVIOUS"];

/// The settings in effect, every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Provider accounts by name; never empty.
    pub accounts: ByName<Account>,
    /// Routes by model id, or prefix ending in `*`.
    pub routes: ByName<Route>,
    /// The Gate.
    pub gate: Gate,
    /// The answer cache.
    pub cache: Cache,
}

impl Settings {
    /// Reads the variables whose names begin with `TOLLGATE_`, secrets apart,
    /// as JSON. With none at all: one account `anthropic` of the Start tier.
    ///
    /// # Errors
    /// Everything that was found, at most one finding a table.
    pub fn parse(variables: &BTreeMap<String, Value>) -> Result<Self, Vec<Finding>> {
        let mut findings: Vec<Finding> =
            variables.keys().filter_map(|name| read::variable_name(name)).collect();
        findings.extend(later::find(variables));

        let mut table = |name| read::tables(name, variables.get(name), &mut findings);
        let mut accounts: ByName<Account> = table("TOLLGATE_ACCOUNTS");
        let mut table = |name| read::tables(name, variables.get(name), &mut findings);
        let routes: ByName<Route> = table("TOLLGATE_ROUTES");
        let gate: Gate = read::table("TOLLGATE_GATE", variables, &mut findings);
        let cache: Cache = read::table("TOLLGATE_CACHE", variables, &mut findings);

        if accounts.is_empty() && findings.is_empty() {
            accounts.insert("anthropic".into(), Box::default());
        }
        let settings = Self { accounts, routes, gate, cache };
        if findings.is_empty() {
            findings = settings.contradictions();
        }
        if findings.is_empty() { Ok(settings) } else { Err(findings) }
    }

    /// Names what these settings are, for the messages between Worker and Gate:
    /// equal for equal settings, whatever their spelling.
    pub fn hash(&self) -> u32 {
        // FNV-1a. The JSON form is canonical: fields in order of declaration, maps sorted.
        let json = serde_json::to_vec(self).unwrap_or_default();
        json.iter()
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }

    /// The secrets by name that must be set: the signing secret and each account's.
    pub fn secrets_required(&self) -> Vec<&str> {
        let mut names = vec![SECRETS[0]];
        names.extend(self.accounts.values().map(|account| account.secret.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What no single table shows.
    fn contradictions(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, most, len) in [
            ("TOLLGATE_ACCOUNTS", ACCOUNTS_MAX, self.accounts.len()),
            ("TOLLGATE_ROUTES", ROUTES_MAX, self.routes.len()),
        ] {
            if len > most {
                let problem = format!("{len} entries, and at most {most} are allowed");
                findings.push(Finding::new(name, problem, "remove some"));
            }
        }
        for name in self.accounts.keys().filter(|name| !account::name_ok(name)) {
            findings.push(Finding::new(
                read::path(&["TOLLGATE_ACCOUNTS", name]),
                "not a name for an account",
                "use 1 to 32 lower-case letters, digits, `-` and `_`",
            ));
        }
        for (name, account) in &self.accounts {
            findings.extend(account.class_findings(name));
        }
        findings.extend(self.gate.contradictions());
        findings.extend(route::contradictions(&self.routes, &self.accounts));
        findings
    }
}

#[cfg(test)]
mod tests;
