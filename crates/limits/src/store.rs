//! The rows: what is written ahead of every answer, and what a restart takes
//! back (invariant 8).
//!
//! `tenant/NAME`, `key/ID`, `account/NAME`, `job/TENANT/ID` are written when they change;
//! `scope/…` and `pool/…` when spend passes their marks; `learned` and
//! `calibration/MODEL` rarely.

use serde::{Deserialize, Serialize};

use crate::admin::Key;
use crate::gate::{Gate, ScopeId, TenantState, Write, pool_key};
use crate::message::Millis;
use crate::policy::{RateLimits, Tenant};
use crate::scope::{Saved, Scope};

const LEARNED: &str = "learned";
const CALIBRATION: &str = "calibration";
const VERSION: &str = "version";
const SCOPE: &str = "scope/";
const DEPLOYMENT: &str = "scope/deployment";

/// The row of a tenant.
#[derive(Debug, Serialize, Deserialize)]
struct SavedTenant {
    version: u64,
    policy: Tenant,
}

impl Gate {
    /// Takes one stored row back, before the first [`Gate::handle`]; rows may
    /// come in any order. A row that cannot be read is left alone.
    pub fn restore(&mut self, key: &str, value: &str) {
        let (table, name) = key.split_once('/').unwrap_or((key, ""));
        match table {
            "tenant" => self.restore_tenant(name, value),
            "key" => self.restore_key(value),
            "job" => self.restore_job(name, value),
            "account" => {
                if let Ok(until) = value.parse() {
                    self.stopped.insert(name.to_owned(), Box::new(until));
                }
            }
            "scope" if key == DEPLOYMENT => {
                let saved: Option<Saved> = json::from_str(value).ok();
                self.deployment = Scope::new(saved.as_ref(), self.started, self.now);
                self.configure_deployment();
                self.loosen(ScopeId::Deployment);
                self.hold_restored_by_deployment();
            }
            LEARNED => self.lengths.restore(value),
            CALIBRATION => self.calibrations.restore(name, value),
            VERSION => self.version = self.version.max(value.parse().unwrap_or(0)),
            _ => {
                self.saved.insert(key.to_owned(), value.to_owned());
            }
        }
    }

    /// Brings the deployment's own budgets in force.
    pub(crate) fn configure_deployment(&mut self) {
        let budgets = &self.settings.budgets;
        self.known.learn(budgets);
        self.deployment.configure(&RateLimits::default(), budgets, None, &self.known, self.now);
    }

    fn restore_tenant(&mut self, name: &str, value: &str) {
        let Ok(saved) = json::from_str::<SavedTenant>(value) else { return };
        self.version = self.version.max(saved.version);
        let index = self.tenant(name);
        self.tenants[index].version = saved.version;
        self.tenants[index].policy = Some(saved.policy);
    }

    fn restore_key(&mut self, value: &str) {
        let Ok(key) = json::from_str::<Key>(value) else { return };
        let index = self.tenant(&key.tenant);
        self.tenants[index].keys.insert(key.id.clone(), Box::new(key));
    }

    /// The index of a tenant, made where it is new: without a policy it is
    /// unknown to callers.
    pub(crate) fn tenant(&mut self, name: &str) -> usize {
        if let Some(index) = self.tenant_index.get(name) {
            return *index;
        }
        let index = self.tenants.len();
        self.tenants.push(TenantState {
            name: name.to_owned(),
            policy: None,
            version: 0,
            scope: Scope::new(None, self.started, self.now),
            public: Scope::new(None, self.started, self.now),
            configured: false,
            keys: Default::default(),
            waiting: 0,
            users: 0,
            addresses: 0,
        });
        self.tenant_index.insert(name.to_owned(), index);
        index
    }

    /// Brings a tenant's limits in force in its scope; at its first use after a
    /// start with what was stored of it, also of one that was removed.
    pub(crate) fn configure(&mut self, index: usize) {
        let (started, now) = (self.started, self.now);
        let state = &mut self.tenants[index];
        let is_first = !state.configured;
        let mut stored = |key: String| is_first.then(|| take(&mut self.saved, &key)).flatten();
        let (saved, public) = (stored(tenant_key(&state.name)), stored(public_key(&state.name)));
        if let Some(saved) = &saved {
            state.scope = Scope::new(Some(saved), started, now);
        }
        if let Some(public) = &public {
            state.public = Scope::new(Some(public), started, now);
        }
        state.configured = true;
        if let Some(policy) = &state.policy {
            policy.budget_lists().iter().for_each(|(_, budgets)| self.known.learn(budgets));
            let (limits, budgets) = (&policy.limits, &policy.budgets);
            state.scope.configure(limits, budgets, saved.as_ref(), &self.known, now);
            let usd = policy.publishable.as_ref().and_then(|of| of.usd_day);
            state.public.budgets.bound_day([None, None, usd.map(|usd| usd.0)]);
        }
        if saved.is_some() {
            self.loosen(ScopeId::Tenant(index));
        }
        if public.is_some() {
            self.loosen(ScopeId::Public(index));
        }
        self.hold_restored(index);
    }

    /// Writes what this step must not forget: marks that spend has passed.
    pub(crate) fn flush(&mut self) {
        let (now, durability) = (self.now, self.settings.durability);
        let mut scopes = std::mem::take(&mut self.step.scopes);
        for id in scopes.drain(..) {
            let scope = self.scope_mut(id);
            scope.is_touched = false;
            let saved = scope.save(&durability, now);
            // End users are many, and their names nothing for a log.
            let is_told = !matches!(id, ScopeId::User(_));
            let reached = if is_told { scope.budgets.reached() } else { Vec::new() };
            if !reached.is_empty() {
                let key = self.scope_key(id);
                let name = key.trim_start_matches(SCOPE);
                self.step.reached.extend(reached.into_iter().map(|of| (name.to_owned(), of)));
            }
            self.loosen(id);
            if let Some(saved) = saved {
                self.write_scope(id, &saved);
            }
        }
        // The lists' memory is kept for the next step.
        self.step.scopes = scopes;
        let mut touched = std::mem::take(&mut self.step.touched);
        touched.dedup();
        for index in touched.drain(..) {
            let pool = &mut self.pools[index];
            if let Some(saved) = pool.mirror.save(&durability, now) {
                let key = pool_key(&pool.pool);
                self.write(key, serde_json::to_string(&saved).ok());
            }
        }
        self.step.touched = touched;
        self.flush_learned(false);
    }

    fn flush_learned(&mut self, is_quiet: bool) {
        let due = self.learned_at.saturating_add(self.settings.durability.learned_every_ms);
        let row = (self.now >= due).then(|| self.lengths.save(is_quiet)).flatten();
        let Some(row) = row else { return };
        self.learned_at = self.now;
        self.write(LEARNED.to_owned(), Some(row));
        while let Some((model, row)) = self.calibrations.save() {
            let key = format!("{CALIBRATION}/{model}");
            self.write(key, row);
        }
    }

    /// Quiet: ceilings and floors are written exactly, so that a restart costs nothing,
    /// and rows of windows past are deleted.
    pub(crate) fn tighten(&mut self) {
        let (now, durability) = (self.now, self.settings.durability);
        for id in std::mem::take(&mut self.loose) {
            let scope = self.scope_mut(id);
            scope.is_loose = false;
            if let Some(saved) = scope.save_exactly(now) {
                self.write_scope(id, &saved);
            }
        }
        self.tighten_jobs();
        self.flush_learned(true);
        for index in 0..self.pools.len() {
            let pool = &mut self.pools[index];
            if let Some(saved) = pool.mirror.save_exactly(&durability, now) {
                let key = pool_key(&pool.pool);
                self.write(key, serde_json::to_string(&saved).ok());
            }
        }
        let is_over = |key: &String, row: &String| {
            (key.starts_with("scope/user/") || key.starts_with("scope/long/"))
                && json::from_str::<Saved>(row).is_ok_and(|saved| saved.is_over(now))
        };
        let over = self.saved.iter().filter(|(key, row)| is_over(key, row));
        // A bound on one step's writes; the rest goes the next time.
        let over: Vec<String> = over.take(1_000).map(|(key, _)| key.clone()).collect();
        for key in over {
            self.saved.remove(&key);
            self.write(key, None);
        }
    }

    fn write_scope(&mut self, id: ScopeId, saved: &Saved) {
        self.write(self.scope_key(id), serde_json::to_string(saved).ok());
    }

    /// The key of a scope's row: `scope/`, and what operators know it by.
    fn scope_key(&self, id: ScopeId) -> String {
        match id {
            ScopeId::Deployment => DEPLOYMENT.to_owned(),
            ScopeId::Tenant(index) => tenant_key(&self.tenants[index].name),
            ScopeId::Public(index) => public_key(&self.tenants[index].name),
            ScopeId::User(index) => self.users[index].key.clone(),
        }
    }

    /// The rows of a tenant's policy and of the version.
    pub(crate) fn write_tenant(&mut self, index: usize) {
        let state = &self.tenants[index];
        let row = state.policy.clone().and_then(|policy| {
            serde_json::to_string(&SavedTenant { version: state.version, policy }).ok()
        });
        let key = format!("tenant/{}", state.name);
        self.write(key, row);
        self.write(VERSION.to_owned(), Some(self.version.to_string()));
    }

    pub(crate) fn write_key(&mut self, tenant: usize, id: &str) {
        let row = self.tenants[tenant].keys.get(id);
        let row = row.and_then(|key| serde_json::to_string(key).ok());
        self.write(format!("key/{id}"), row);
    }

    pub(crate) fn write_stop(&mut self, account: &str, until: Option<Millis>) {
        self.write(format!("account/{account}"), until.map(|until| until.to_string()));
    }

    pub(crate) fn write(&mut self, key: String, value: Option<String>) {
        self.step.writes.push(Write { key, value });
    }
}

/// A stored scope, where there is one that can be read.
pub(crate) fn take(
    saved: &mut std::collections::BTreeMap<String, String>,
    key: &str,
) -> Option<Saved> {
    saved.remove(key).and_then(|row| json::from_str(&row).ok())
}

fn tenant_key(name: &str) -> String {
    format!("scope/tenant/{name}")
}

fn public_key(name: &str) -> String {
    format!("scope/publishable/{name}")
}
