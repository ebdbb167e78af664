//! End users of tenants that limit them, visitors of their pages among them: made
//! when met, forgotten when idle.

use crate::budgets::Lists;
use crate::gate::{Gate, TenantState, USERS_MAX, UserState};
use crate::message::{EndUser, LimitView, Millis, VisitorBounds};
use crate::policy::{Tenant, Users};
use crate::scope::{Saved, Scope};
use crate::store::take;
use crate::window::DAY_MS;

/// The longest id that stands in a row's key as it is: keys have at most 512
/// bytes, and it may take three bytes each to write.
const ID_MAX: usize = 128;
/// How many others are looked at to make room for one.
const LOOKS: usize = 16;
/// A user is idle after this: its buckets are full again.
const IDLE_MS: Millis = 120_000;
/// Visitors of one tenant that are remembered by their address alone: addresses
/// cost nothing, and must not lock out whom the tenant's server vouches for.
const ADDRESSES_MAX: usize = 10_000;

impl Gate {
    /// The index of an end user, or none where the tenant does not limit them.
    /// `Err`: too many are active today; the span until one more may fit.
    pub(crate) fn user(
        &mut self,
        tenant: usize,
        user: Option<&str>,
    ) -> Result<Option<usize>, Millis> {
        if !self.tenants[tenant].configured {
            self.configure(tenant);
        }
        let state = &self.tenants[tenant];
        let Some(user) = user else { return Ok(None) };
        let limits = state.policy.as_ref().and_then(|policy| policy.limits_of(user));
        let Some(limits) = limits else { return Ok(None) };
        let key = row_key(&state.name, user);
        let index = match self.user_index.get(&key) {
            Some(index) if self.users[*index].version == state.version => {
                self.users[*index].touched = self.now;
                return Ok(Some(*index));
            }
            Some(index) => *index,
            None => {
                let who = EndUser::of(user);
                let is_address = matches!(who, EndUser::Address(_));
                let index = self.room_for_user(tenant, is_address)?;
                let saved = take(&mut self.saved, &key);
                let Some(scope) = self.fresh(tenant, user, saved.as_ref()) else { return Ok(None) };
                let (version, touched) = (self.tenants[tenant].version, self.now);
                self.numbers += 1;
                let state = UserState {
                    tenant,
                    is_public: who.is_public(),
                    is_address,
                    key: key.clone(),
                    version,
                    scope,
                    touched,
                    waiting: 0,
                    line: self.numbers,
                };
                self.tenants[tenant].users += 1;
                self.tenants[tenant].addresses += usize::from(is_address);
                if index == self.users.len() {
                    self.users.push(state);
                } else {
                    // Its place in the lists is the one that was here before.
                    let before = std::mem::replace(&mut self.users[index], state).scope;
                    let scope = &mut self.users[index].scope;
                    scope.is_loose = before.is_loose;
                    scope.is_touched = before.is_touched;
                }
                self.user_index.insert(key, index);
                return Ok(Some(index));
            }
        };
        let state = &mut self.users[index];
        state.scope.configure(&limits.limits, &limits.budgets, None, &self.known, self.now);
        state.version = self.tenants[tenant].version;
        state.touched = self.now;
        Ok(Some(index))
    }

    /// The scope that an end user would have who was not met yet; none where it
    /// was met, or the tenant does not limit them. A look remembers nobody.
    pub(crate) fn unmet(&self, tenant: usize, user: Option<&str>) -> Option<Scope> {
        let user = user?;
        let key = row_key(&self.tenants[tenant].name, user);
        if self.user_index.contains_key(&key) {
            return None;
        }
        let saved = self.saved.get(&key).and_then(|row| json::from_str(row).ok());
        self.fresh(tenant, user, saved.as_ref())
    }

    /// A visitor token holds no more than it says, whatever else its user holds: the
    /// bit of its requests. `Err`: too many of the user's are in use; the span until
    /// one ends.
    pub(crate) fn bound(
        &mut self,
        user: Option<usize>,
        bounds: Option<&VisitorBounds>,
    ) -> Result<Lists, Millis> {
        let (Some(user), Some(bounds)) = (user, bounds) else { return Ok(0) };
        let state = &mut self.users[user];
        if state.is_public { bounds.hold(&mut state.scope, self.now) } else { Ok(0) }
    }

    fn fresh(&self, tenant: usize, user: &str, saved: Option<&Saved>) -> Option<Scope> {
        let limits = self.tenants[tenant].policy.as_ref()?.limits_of(user)?;
        let mut scope = Scope::new(saved, self.started, self.now);
        scope.configure(&limits.limits, &limits.budgets, saved, &self.known, self.now);
        Some(scope)
    }

    /// A place for one more of a tenant: a new one, or that of an idle user
    /// without spend today. One half of the places is for whoever comes, the
    /// other is kept in equal shares: ids are the clients' own words, and no
    /// tenant's may lock another's users out, nor a tenant's visitors its users.
    fn room_for_user(&mut self, tenant: usize, is_address: bool) -> Result<usize, Millis> {
        let limits_users = |state: &&TenantState| {
            state.policy.as_ref().is_some_and(|p| p.users.is_some() || p.publishable.is_some())
        };
        let is_full = is_address && self.tenants[tenant].addresses >= ADDRESSES_MAX;
        let is_within = !is_full
            && (self.users.len() < USERS_MAX / 2 || {
                let sharers = self.tenants.iter().filter(limits_users).count();
                sharers < 2 || self.tenants[tenant].users < USERS_MAX / 2 / sharers
            });
        if is_within && self.users.len() < USERS_MAX {
            return Ok(self.users.len());
        }
        for _ in 0..LOOKS {
            self.users_hand = (self.users_hand + 1) % self.users.len();
            let (index, now) = (self.users_hand, self.now);
            let user = &mut self.users[index];
            let is_own = user.tenant == tenant && (user.is_address || !is_address);
            let is_idle = (is_within || is_own)
                && user.scope.taken(now) == 0
                && user.waiting == 0
                && now.saturating_sub(user.touched) > IDLE_MS;
            user.scope.budgets.roll(now);
            if is_idle && (!user.scope.budgets.has_rules() || user.scope.budgets.is_unused()) {
                let key = std::mem::take(&mut user.key);
                self.tenants[user.tenant].users -= 1;
                self.tenants[user.tenant].addresses -= usize::from(user.is_address);
                self.user_index.remove(&key);
                self.write(key, None);
                return Ok(index);
            }
        }
        Err(60_000)
    }
}

impl UserState {
    /// Its limits, as it may see them.
    pub(crate) fn views(&self, token: Lists, now: Millis) -> Vec<LimitView> {
        self.scope.views(if self.is_public { "visitor" } else { "user" }, token, now)
    }
}

impl VisitorBounds {
    /// As [`Gate::bound`], of one scope.
    pub(crate) fn hold(&self, scope: &mut Scope, now: Millis) -> Result<Lists, Millis> {
        // An isolate of an earlier version does not say which token it is.
        let ends = if self.ends_ms > 0 { self.ends_ms } else { now + DAY_MS };
        let limits = [None, self.tokens, self.microusd];
        scope.budgets.bound_token(&self.token, ends, limits, now)
    }
}

impl Tenant {
    /// What limits this end user, where something does.
    fn limits_of(&self, user: &str) -> Option<&Users> {
        match EndUser::of(user).is_public() {
            true => self.publishable.as_ref()?.visitor.as_ref(),
            false => self.users.as_ref(),
        }
    }
}

/// The row's key. Ids are the clients' own words: those that are long go by
/// their hash.
fn row_key(tenant: &str, user: &str) -> String {
    if user.len() <= ID_MAX {
        return format!("scope/user/{tenant}/{user}");
    }
    let (mut one, mut two) = (0xcbf2_9ce4_8422_2325_u64, 0x6c62_272e_07bb_0142_u64);
    for byte in user.bytes() {
        one = (one ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        two = (two.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    format!("scope/long/{tenant}/{one:016x}{two:016x}{:x}", user.len())
}
