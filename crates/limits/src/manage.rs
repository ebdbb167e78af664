//! What operators do: tenants, keys, accounts; and what they see.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::admin::{AdminInput, AdminReply, Change, Key, KeyKind, PoolState, Spend, State, Totals};
use crate::gate::{Gate, ScopeId, TenantState};
use crate::map::ByName;
use crate::message::{PolicyView, PublishableView};
use crate::policy::{Tenant, Tenants, is_name};
use crate::scope::Scope;

/// Keys that live, of one tenant: its policy view carries them all.
const KEYS_MAX: usize = 200;
/// Revoked keys remembered for the list, of one tenant.
const REVOKED_MAX: usize = 200;

impl Gate {
    pub(crate) fn manage(&mut self, input: AdminInput) -> AdminReply {
        match input {
            AdminInput::Apply { tenants, prune, dry_run } => self.apply(tenants, prune, dry_run),
            AdminInput::Export => AdminReply::Tenants(self.export()),
            AdminInput::AddKey(key) => self.add_key(key),
            AdminInput::RevokeKey { id } => self.revoke_key(&id),
            AdminInput::ListKeys { tenant } => {
                let mut keys = ByName::new();
                for state in &self.tenants {
                    if tenant.as_ref().is_none_or(|tenant| state.name == *tenant) {
                        keys.extend(state.keys.clone());
                    }
                }
                AdminReply::Keys { keys: keys.into_values().map(|key| *key).collect() }
            }
            AdminInput::Resume { account } => match self.stopped.remove(&account) {
                Some(_) => {
                    self.write_stop(&account, None);
                    AdminReply::Done
                }
                None => not_found(format!("no account \"{account}\" is stopped")),
            },
            AdminInput::State => AdminReply::State(self.state()),
            AdminInput::Jobs => AdminReply::Jobs(self.all_jobs()),
            AdminInput::Totals => AdminReply::Totals(self.totals()),
        }
    }

    /// Brings a file in force, whole or not at all. Idempotent: a tenant that
    /// does not change keeps its version.
    fn apply(&mut self, file: Tenants, prune: bool, dry_run: bool) -> AdminReply {
        let errors = file.validate();
        if !errors.is_empty() {
            return AdminReply::Unsound { errors };
        }
        let mut changes = Vec::new();
        let mut after: Vec<(String, Option<Tenant>)> = Vec::new();
        let before = self.export().tenants;
        let removed = before.keys().filter(|name| prune && !file.tenants.contains_key(*name));
        let removed: Vec<String> = removed.cloned().collect();
        for (name, tenant) in file.tenants {
            let old = before.get(&name);
            if old != Some(&tenant) {
                let path = format!("tenants.{name}");
                differ(&path, old.map(|tenant| value(tenant)), Some(value(&tenant)), &mut changes);
                after.push((name, Some(*tenant)));
            }
        }
        for name in removed {
            differ(
                &format!("tenants.{name}"),
                before.get(&name).map(|tenant| value(tenant)),
                None,
                &mut changes,
            );
            after.push((name, None));
        }
        if dry_run {
            return AdminReply::Applied { changes, dry_run };
        }
        for (name, tenant) in after {
            let index = self.tenant(&name);
            if tenant.is_none() {
                self.release_jobs_of(index);
            }
            self.version += 1;
            self.tenants[index].version = self.version;
            self.tenants[index].policy = tenant;
            self.forget_lists();
            self.configure(index);
            self.write_tenant(index);
            self.refuse_unentitled(index);
            self.relist(index);
            self.wake_tenant(index);
        }
        AdminReply::Applied { changes, dry_run }
    }

    /// Frees the bits of lists of models that no budget is for, where there is none left.
    fn forget_lists(&mut self) {
        if !self.known.is_full() {
            return;
        }
        let Self { known, tenants, settings, .. } = self;
        let policies = tenants.iter().filter_map(|state| state.policy.as_ref());
        let of_tenants = policies.flat_map(Tenant::budget_lists).flat_map(|(_, budgets)| budgets);
        let mut used: Vec<&Vec<String>> = Vec::new();
        used.extend(settings.budgets.iter().chain(of_tenants).map(|budget| &budget.models));
        known.forget(|list| used.contains(&list));
    }

    /// A tenant's budgets are of other lists of models: who waits or runs is on these now.
    fn relist(&mut self, tenant: usize) {
        let Self { known, waiting, tickets, .. } = self;
        for waiter in waiting.values_mut().filter(|waiter| waiter.tenant == tenant) {
            waiter.need.lists = known.relisted(&waiter.model, waiter.need.lists);
        }
        let mut moved = Vec::new();
        let open = tickets.open.values_mut().chain(tickets.stragglers.values_mut());
        for ticket in open.filter(|ticket| ticket.tenant == tenant) {
            let to = known.relisted(&ticket.model, ticket.need.lists);
            let from = std::mem::replace(&mut ticket.need.lists, to);
            if from != to {
                moved.push((ticket.user, ticket.need, ticket.hold, from));
            }
        }
        for (user, need, hold, from) in moved {
            for payer in self.payers(tenant, user) {
                self.scope_mut(payer).relist(&need, hold, from);
                self.touch(payer);
            }
        }
    }

    fn export(&self) -> Tenants {
        let of = |state: &crate::gate::TenantState| {
            state.policy.clone().map(|policy| (state.name.clone(), Box::new(policy)))
        };
        // Not collected, here as elsewhere: that brings a sort for each type.
        let mut file = Tenants::default();
        file.tenants.extend(self.tenants.iter().filter_map(of));
        file
    }

    fn add_key(&mut self, key: Key) -> AdminReply {
        if !is_name(&key.id) {
            return rejected("a key's id has 1 to 64 of the characters A-Z a-z 0-9 _ . -");
        }
        if let Some(known) = self.tenants.iter().find_map(|state| state.keys.get(&key.id)) {
            return if known.tenant == key.tenant && known.kind == key.kind {
                AdminReply::Key(Key::clone(known))
            } else {
                rejected("another key has this id: make a new one")
            };
        }
        let index = match self.tenant_index.get(&key.tenant) {
            Some(index) if self.tenants[*index].policy.is_some() => *index,
            _ => return not_found(format!("no tenant \"{}\": apply it first", key.tenant)),
        };
        let has_pages =
            self.tenants[index].policy.as_ref().is_some_and(|p| p.publishable.is_some());
        if key.kind == KeyKind::Publishable && !has_pages {
            return rejected(
                "the tenant has no `publishable` table, which says what such a key may do: apply one first (docs/configure.md)",
            );
        }
        let keys = &mut self.tenants[index].keys;
        if keys.values().filter(|key| key.revoked_ms.is_none()).count() >= KEYS_MAX {
            return rejected("a tenant has at most 200 keys: revoke one");
        }
        keys.insert(key.id.clone(), Box::new(key.clone()));
        self.write_key(index, &key.id);
        self.touch_tenant(index);
        AdminReply::Key(key)
    }

    fn revoke_key(&mut self, id: &str) -> AdminReply {
        let now = self.now;
        let has = |state: &TenantState| state.keys.contains_key(id);
        let index = self.tenants.iter().position(has);
        let key = index.and_then(|index| self.tenants[index].keys.get_mut(id));
        let Some((index, key)) = index.zip(key) else {
            return not_found(format!("no key \"{id}\""));
        };
        let is_new = key.revoked_ms.is_none();
        key.revoked_ms.get_or_insert(now);
        let key = Key::clone(key);
        if is_new {
            self.write_key(index, id);
            self.forget_revoked(index);
            self.touch_tenant(index);
            self.refuse_unentitled(index);
        }
        AdminReply::Key(key)
    }

    /// A key that is not listed is as good as revoked: the oldest may go.
    fn forget_revoked(&mut self, index: usize) {
        let keys = &mut self.tenants[index].keys;
        let revoked = keys.iter().filter_map(|(id, key)| Some((key.revoked_ms?, id.clone())));
        // One at a time: only one was revoked since the last look.
        if revoked.clone().count() > REVOKED_MAX
            && let Some((_, id)) = revoked.min()
        {
            keys.remove(&id);
            self.write_key(index, &id);
        }
    }

    fn touch_tenant(&mut self, index: usize) {
        self.version += 1;
        self.tenants[index].version = self.version;
        self.write_tenant(index);
    }

    /// The version of a tenant's policy; of an unknown one, the Gate's own.
    pub(crate) fn version_of(&self, tenant: Option<usize>) -> u64 {
        tenant.map_or(self.version, |index| self.tenants[index].version)
    }

    /// What an isolate keeps of a tenant.
    pub(crate) fn policy_view(&self, tenant: Option<usize>) -> PolicyView {
        let state = tenant.map(|index| &self.tenants[index]);
        let policy = state.and_then(|state| state.policy.as_ref());
        let keys = state.filter(|_| policy.is_some()).into_iter().flat_map(|state| &state.keys);
        let living = keys.filter(|(_, key)| key.lives(self.now)).map(|(id, _)| id.clone());
        PolicyView {
            version: self.version_of(tenant),
            known: policy.is_some(),
            keys: living.collect(),
            models: policy.map(|policy| policy.models.clone()).unwrap_or_default(),
            cache: policy.and_then(|policy| policy.cache),
            priority_default: policy.map(|policy| policy.priority.default).unwrap_or_default(),
            priority_highest: policy.map(|policy| policy.priority.highest).unwrap_or_default(),
            publishable: policy.and_then(|policy| policy.publishable.as_ref()).map(|of| {
                PublishableView {
                    origins: of.origins.clone(),
                    models: of.models.clone(),
                    max_tokens: of.max_tokens.unwrap_or_default(),
                    betas: of.betas.clone(),
                    system: of.system.clone(),
                }
            }),
        }
    }

    fn state(&mut self) -> State {
        let now = self.now;
        let pools = self.pools.iter_mut().map(|state| {
            state.mirror.refill(now);
            PoolState {
                pool: state.pool.clone(),
                limits: state.mirror.views(now),
                open: state.mirror.running.count(),
                lent: state.mirror.lent(),
                waiting: state.queue.len,
                held_until_ms: state.mirror.held_until,
                headroom_permille: state.mirror.margin_permille(),
                refused_upstream: state.mirror.refused_upstream,
            }
        });
        let pools = pools.collect();
        let mut waiting = [0; 3];
        for waiter in self.waiting.values() {
            waiting[waiter.class] += 1;
        }
        State {
            at_ms: now,
            pools,
            waiting,
            waiting_bytes: self.waiting_held[1],
            open: self.tickets.len(),
            calls: self.calls,
            stopped: self.stopped.clone(),
            tenants: self.tenants.iter().filter(|state| state.policy.is_some()).count(),
            keys: self.tenants.iter().map(|state| state.keys.len()).sum(),
        }
    }

    fn totals(&mut self) -> Totals {
        for index in 0..self.tenants.len() {
            if !self.tenants[index].configured {
                self.configure(index);
            }
        }
        let now = self.now;
        let spend = |scope: &mut Scope| {
            scope.budgets.roll(now);
            let [spent, reserved, ceiling] = scope.budgets.amounts();
            Box::new(Spend { spent, reserved, ceiling, open: scope.held() })
        };
        let mut scopes = ByName::new();
        scopes.insert("deployment".to_owned(), spend(self.scope_mut(ScopeId::Deployment)));
        for state in &mut self.tenants {
            scopes.insert(format!("tenant/{}", state.name), spend(&mut state.scope));
            if state.policy.as_ref().is_some_and(|policy| policy.publishable.is_some()) {
                scopes.insert(format!("publishable/{}", state.name), spend(&mut state.public));
            }
        }
        for user in self.users.iter_mut().filter(|user| !user.key.is_empty()) {
            let name = user.key.trim_start_matches("scope/").to_owned();
            scopes.insert(name, spend(&mut user.scope));
        }
        Totals { scopes }
    }
}

fn value(tenant: &Tenant) -> Value {
    // By its text: a second writer, of values, would be compiled for each type.
    let text = serde_json::to_string(tenant).unwrap_or_default();
    json::from_str(&text).unwrap_or(Value::Null)
}

/// One change a value that differs, objects entered.
fn differ(path: &str, from: Option<Value>, to: Option<Value>, changes: &mut Vec<Change>) {
    match (from, to) {
        (Some(Value::Object(mut from)), Some(Value::Object(mut to))) => {
            let mut names = BTreeSet::new();
            names.extend(from.keys().chain(to.keys()).cloned());
            for name in names {
                differ(&format!("{path}.{name}"), from.remove(&name), to.remove(&name), changes);
            }
        }
        (from, to) if from == to => {}
        (from, to) => changes.push(Change { path: path.to_owned(), from, to }),
    }
}

fn not_found(message: String) -> AdminReply {
    AdminReply::NotFound { message }
}

fn rejected(message: &str) -> AdminReply {
    AdminReply::Rejected { message: message.to_owned() }
}
