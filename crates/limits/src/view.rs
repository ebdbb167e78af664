//! What a caller may still use: the answer to `/v1/limits`.

use crate::budgets::Lists;
use crate::gate::{Gate, ScopeId};
use crate::message::{
    AccountLimits, Available, EndUser, LimitView, Millis, VERSION, View, VisitorBounds,
};
use crate::mirror::Mirror;
use crate::scope::{Need, RATES, Scope};

/// What is available where nothing limits yet: the largest integer that
/// JavaScript keeps exact.
const UNKNOWN: i64 = 9_007_199_254_740_991;

impl Gate {
    /// One caller's view. It sees its own limits; of the accounts only what it
    /// could use of each pool now, over all limits (invariant 7).
    pub(crate) fn view(
        &mut self,
        tenant: &str,
        user: Option<&str>,
        account_scope: bool,
        visitor: Option<VisitorBounds>,
    ) -> View {
        let now = self.now;
        let tenant = self.tenant_index.get(tenant).copied();
        let known = tenant.filter(|index| self.tenants[*index].policy.is_some());
        let mut limits = Vec::new();
        let mut own: [Option<i64>; 3] = [None; 3];
        if let Some(index) = known {
            if !self.tenants[index].configured {
                self.configure(index);
            }
            // Who was not met is not made by a look.
            let unmet = self.unmet(index, user);
            let name = user;
            let user = user.filter(|_| unmet.is_none());
            let user = self.user(index, user).unwrap_or(None);
            // A visitor sees what is its own, not what its tenant has left.
            let is_public = name.is_some_and(|user| EndUser::of(user).is_public());
            let kind = if is_public { "visitor" } else { "user" };
            for payer in self.payers(index, user) {
                let scope = self.scope_mut(payer);
                scope.refill(now);
                match payer {
                    ScopeId::User(_) => {
                        // Nor is a token met by a look.
                        let mut scope = scope.clone();
                        let token = held(&visitor, &mut scope, now);
                        narrow(&mut own, scope.available(token, now));
                        limits.extend(scope.views(kind, token, now));
                    }
                    _ => narrow(&mut own, scope.available(0, now)),
                }
                if let (ScopeId::Tenant(index), false) = (payer, is_public) {
                    limits.extend(self.tenants[index].scope.views("tenant", 0, now));
                }
            }
            if let Some(mut scope) = unmet {
                let token = held(&visitor, &mut scope, now);
                narrow(&mut own, scope.available(token, now));
                limits.extend(scope.views(kind, token, now));
                if is_public {
                    // Of an unmet visitor no index tells that all of them pay.
                    let public = self.scope_mut(ScopeId::Public(index));
                    public.refill(now);
                    narrow(&mut own, public.available(0, now));
                }
            }
        }
        let mut account_limits = Vec::new();
        let mut available = Vec::new();
        let mut queue_ms = [0; 3];
        for state in &mut self.pools {
            state.mirror.refill(now);
            if account_scope {
                let limits = state.mirror.views(now);
                account_limits.push(AccountLimits { pool: state.pool.clone(), limits });
            }
            let stopped = self.stopped.get(&state.pool.account).is_some_and(|until| **until > now);
            let held = stopped || state.mirror.held_until > now;
            let free = state.mirror.free(now);
            let [requests, input_tokens, output_tokens] = std::array::from_fn(|kind| {
                let free = least(own[kind], free[kind]).unwrap_or(UNKNOWN).max(0) as u64;
                if held || known.is_none() { 0 } else { free }
            });
            available.push(Available {
                pool: state.pool.clone(),
                requests,
                input_tokens,
                output_tokens,
            });
            for (class, longest) in queue_ms.iter_mut().enumerate() {
                let need = Need { output: 1, ..Need::default() };
                let ahead = state.queue.sum(class);
                let (wait, _) = state.mirror.wait_behind(&need, &ahead, class, RATES.len(), now);
                *longest = wait.max(*longest);
            }
        }
        let policy = self.policy_view(tenant);
        let calibrations = if known.is_some() { self.calibrations.told() } else { Vec::new() };
        View { v: VERSION, policy, limits, account_limits, available, queue_ms, calibrations }
    }
}

impl Mirror {
    /// The pool's buckets, for those who may see them.
    pub(crate) fn views(&self, now: Millis) -> Vec<LimitView> {
        let free = self.free(now);
        let view = |kind: usize| {
            let bucket = self.buckets[kind].as_ref()?;
            Some(LimitView {
                scope: "account".to_owned(),
                kind: RATES[kind].to_owned(),
                level: free[kind].unwrap_or_default(),
                capacity: self.limits[kind].unwrap_or_default(),
                per_s: bucket.per_minute() / 60,
                per_minute: bucket.per_minute(),
                resets_ms: bucket.wait_full_ms(),
                held: 0,
                models: Vec::new(),
            })
        };
        (0..3).filter_map(view).collect()
    }
}

/// The bit of the token that looks; none where it may not be used now.
fn held(visitor: &Option<VisitorBounds>, scope: &mut Scope, now: Millis) -> Lists {
    visitor.as_ref().and_then(|bounds| bounds.hold(scope, now).ok()).unwrap_or_default()
}

/// What is available over all limits is the least of what each leaves.
fn narrow(own: &mut [Option<i64>; 3], free: [Option<i64>; 3]) {
    for (own, free) in own.iter_mut().zip(free) {
        *own = least(*own, free);
    }
}

fn least(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
