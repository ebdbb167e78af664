//! Those who wait: places in the queue, parked calls, and who goes next.

use crate::admit::{Obstacle, Stands};
use crate::budgets::kind_of;
use crate::gate::{Gate, PoolState, ScopeId, reply};
use crate::map::{Name, name};
use crate::message::{Decision, Millis, Refusal, Reply, TicketId};
use crate::queue::Kept;
use crate::scope::Until;
use crate::ticket::{Hold, Waiter};

/// Places kept in all pools, twice what one pool keeps: some 200 bytes each, and 1 KB
/// where each is of another end user.
const KEPT_MAX: usize = 16_384;
/// Nobody's place is kept longer: a budget's day is nobody's turn.
const KEPT_MS_MAX: Millis = 3_600_000;
/// A poll that does not come back within this many slices is lost.
const SLICES_LOST: u64 = 3;

impl Gate {
    /// A newcomer takes its place; its call says for how long.
    pub(crate) fn enqueue(&mut self, waiter: Waiter) {
        self.numbers += 1;
        let number = self.numbers;
        let Waiter { tenant, user, pool, need, .. } = waiter;
        self.timers.insert((waiter.due(), number));
        self.count_waiter(number, &waiter, true);
        self.tenants[tenant].waiting += 1;
        if let Some(user) = user {
            self.users[user].waiting += 1;
        }
        let weight = self.weight(tenant);
        self.pools[pool].queue.insert(waiter.spot(number), weight, &need.rates());
        self.draw(need.job, &need.day());
        self.step.pools.push(pool);
        self.waiting_ids.insert(waiter.name, number);
        self.waiting.insert(number, waiter);
    }

    /// One is refused whose turn comes later than it can wait: it is told when, and
    /// keeps its place until then. One that had its place and comes to a budget that is
    /// shut has waited for nothing yet: it keeps it, too.
    pub(crate) fn keep_for(&mut self, asker: &Waiter, refusal: &mut Refusal) {
        let Some(wait) = refusal.retry_after_ms.filter(|wait| *wait <= KEPT_MS_MAX) else { return };
        // A job's place is kept by the job, and what the provider refused is not asked
        // for by its client.
        let is_own = asker.attempt == 0 && asker.need.job.is_none();
        let is_of_rates = refusal.reason.keeps_place();
        if !is_own || !(asker.kept_until > 0 || is_of_rates) {
            return;
        }
        let (now, spot) = (self.now, asker.spot(0));
        let Waiter { name, size, asked, is_back, kept_until, .. } = *asker;
        let mut due = now.saturating_add(wait);
        if is_of_rates && kept_until > now {
            // Coming early gains and loses nothing.
            due = kept_until;
        }
        if self.kept() >= KEPT_MAX {
            self.pools.iter_mut().for_each(|pool| pool.tick(now));
        }
        let is_full = self.kept() >= KEPT_MAX;
        let state = &mut self.pools[asker.pool];
        state.tick(now);
        if !is_full {
            let place = Kept { by: name, size, asked, due, is_first: is_back };
            let due = state.queue.keep(spot, &asker.need.rates(), place);
            refusal.retry_after_ms = Some(due.saturating_sub(now).max(1));
        }
    }

    /// Places that are kept, in all pools.
    fn kept(&self) -> usize {
        self.pools.iter().map(|pool| pool.queue.kept()).sum()
    }

    /// A newcomer takes the place that was kept for it.
    pub(crate) fn came_back(&mut self, asker: &mut Waiter, is_retry: Option<bool>) {
        if asker.attempt > 0 || asker.need.job.is_some() {
            return;
        }
        let spot = asker.spot(0);
        let queue = &mut self.pools[asker.pool].queue;
        if let Some(kept) = queue.came(&spot, &asker.size, is_retry) {
            asker.asked = asker.asked.min(kept.asked);
            asker.kept_until = kept.due;
            asker.is_back = kept.is_first || kept.due <= self.now;
        }
    }

    /// A waiter's call came: parked, or told how long.
    pub(crate) fn waits(
        &mut self,
        name: Name,
        patience: Millis,
        may_park: bool,
    ) -> Option<Decision> {
        let deadline = self.deadline(patience);
        let now = self.now;
        let number = self.waiting_ids.get(&name)?;
        let waiter = self.waiting.get_mut(number)?;
        self.timers.remove(&(waiter.due(), *number));
        waiter.deadline = deadline;
        waiter.lost = now + lost_after(patience);
        // A call that is parked already still wants its answer.
        waiter.parked |= may_park;
        self.timers.insert((waiter.due(), *number));
        let wait_ms = waiter.expected.saturating_sub(now).max(1);
        (!may_park).then_some(Decision::Queued { wait_ms })
    }

    pub(crate) fn deadline(&self, patience: Millis) -> Millis {
        self.now + patience.min(self.settings.queue.patience_max_ms)
    }

    /// A parked call's slice is over.
    pub(crate) fn release(&mut self, id: &str) {
        let Some(number) = self.waiting_ids.get(&name(id)) else { return };
        let Some(waiter) = self.waiting.get_mut(number).filter(|waiter| waiter.parked) else {
            return;
        };
        self.timers.remove(&(waiter.due(), *number));
        waiter.parked = false;
        waiter.lost = self.now + lost_after(waiter.deadline.saturating_sub(self.now));
        self.timers.insert((waiter.due(), *number));
        let wait_ms = waiter.expected.saturating_sub(self.now).max(1);
        let id = waiter.id.clone();
        self.answer(id, Decision::Queued { wait_ms });
    }

    /// Grants who can go in the pools that this step touched, in order.
    pub(crate) fn serve(&mut self) {
        while let Some(pool) = self.step.pools.pop() {
            self.pools[pool].retry_at = None;
            self.pools[pool].queue.wake(self.now);
            while self.pools[pool].queue.has_ready() && self.serve_one(pool) {}
            // Those who went said so: that is done.
            self.step.pools.retain(|other| *other != pool);
        }
    }

    /// Grants or refuses the next one, or puts its line to sleep. False: the
    /// pool has no room now.
    fn serve_one(&mut self, pool: usize) -> bool {
        let now = self.now;
        let PoolState { queue, mirror, retry_at, .. } = &mut self.pools[pool];
        mirror.refill(now);
        let waiting = &self.waiting;
        let price = |place: (Millis, u64)| {
            waiting.get(&place.1).map_or(0, |waiter| mirror.cost(&waiter.need))
        };
        let Some((spot, is_aged)) = queue.next(price) else { return false };
        let Some(waiter) = self.waiting.get(&spot.place.1) else {
            debug_assert!(false, "every place in a queue has its waiter");
            queue.remove(spot, &[0; 3]);
            return true;
        };
        let (tenant, user, name, day) =
            (waiter.tenant, waiter.user, waiter.name, waiter.need.day());
        *retry_at = None;
        for payer in self.payers(tenant, user) {
            self.scope_mut(payer).refill(now);
        }
        let stands = if is_aged { Stands::Aged } else { Stands::Waits };
        let waiter = self.waiting.get(&spot.place.1);
        let Some(obstacle) = waiter.and_then(|waiter| self.obstacle(waiter, stands)) else {
            self.grant_waiter(name);
            return true;
        };
        if let Some(mut refusal) = self.shut(obstacle) {
            if let Some(waiter) =
                self.waiting.get(&spot.place.1).filter(|waiter| waiter.kept_until > 0)
            {
                self.keep_for(&waiter.clone(), &mut refusal);
            }
            self.refuse_waiter(name, refusal);
            return true;
        }
        let PoolState { queue, retry_at, .. } = &mut self.pools[pool];
        match obstacle {
            Obstacle::Pool(wait) => {
                *retry_at = Some(now + wait);
                return false;
            }
            Obstacle::Scope(payer, block) => {
                let until = match block.until {
                    Until::Refill(span) | Until::Release(span) => now.saturating_add(span.max(1)),
                    Until::Opens(_) | Until::Over | Until::Never => now,
                };
                if let (Some(kind), Until::Release(_)) = (kind_of(block.kind), block.until) {
                    queue.sleep_held(spot, payer, (block.kind, block.list), day[kind], until);
                    return true;
                }
                // What holds visitors up does not hold their tenant's servers up.
                let is_whole = !matches!(payer, ScopeId::User(_) | ScopeId::Public(_));
                queue.sleep(spot, is_whole, payer, until);
            }
            Obstacle::Stopped => debug_assert!(false, "a spend cap refuses"),
        }
        true
    }

    fn grant_waiter(&mut self, name: Name) {
        let Some(mut waiter) = self.drop_waiter(name) else { return };
        let waited = self.now.saturating_sub(waiter.queued);
        self.go(waiter.need.job, &waiter.need.day());
        self.turn(&waiter);
        self.pools[waiter.pool].mirror.pace();
        self.open(&mut waiter, waited, Hold::Taken, 0);
        if waiter.parked {
            let decision = Decision::Granted { waited_ms: waited };
            self.answer(waiter.id, decision);
        } else if let Some(ticket) = self.tickets.get_mut(name, waiter.attempt) {
            ticket.unclaimed = true;
            let again = (waiter.lost, name, waiter.attempt);
            self.tickets.unclaimed.insert(again);
        }
    }

    /// Ends a wait with a refusal. One that is not parked just loses its place:
    /// its poll carries the whole admit and is refused on its own.
    pub(crate) fn refuse_waiter(&mut self, name: Name, refusal: Refusal) {
        let Some(waiter) = self.drop_waiter(name) else { return };
        self.undraw(waiter.need.job, &waiter.need.day());
        if waiter.parked {
            self.answer_refused(waiter, refusal);
        }
    }

    /// A parked call hears that it may not go.
    pub(crate) fn answer_refused(&mut self, waiter: Waiter, refusal: Refusal) {
        self.remember(waiter.name, waiter.attempt, &refusal);
        self.answer(waiter.id, Decision::Refused(refusal));
    }

    /// Ends a wait without a decision. A call still parked for it goes home.
    pub(crate) fn free_waiter(&mut self, name: Name) {
        let Some(waiter) = self.drop_waiter(name) else { return };
        self.undraw(waiter.need.job, &waiter.need.day());
        if waiter.parked {
            self.answer(waiter.id, Decision::Queued { wait_ms: 1 });
        }
    }

    /// The same, where it waits for this attempt.
    pub(crate) fn free_attempt(&mut self, name: Name, attempt: u32) {
        let number = self.waiting_ids.get(&name);
        let waiter = number.and_then(|number| self.waiting.get(number));
        if waiter.is_some_and(|waiter| waiter.attempt == attempt) {
            self.free_waiter(name);
        }
    }

    /// Takes a waiter out of queue, timers and sums.
    pub(crate) fn drop_waiter(&mut self, name: Name) -> Option<Waiter> {
        let number = self.waiting_ids.remove(&name)?;
        let waiter = self.waiting.remove(&number)?;
        self.timers.remove(&(waiter.due(), number));
        self.count_waiter(number, &waiter, false);
        self.tenants[waiter.tenant].waiting -= 1;
        if let Some(user) = waiter.user {
            self.users[user].waiting -= 1;
        }
        let state = &mut self.pools[waiter.pool];
        state.tick(self.now);
        state.queue.remove(waiter.spot(number), &waiter.need.rates());
        self.step.pools.push(waiter.pool);
        Some(waiter)
    }

    pub(crate) fn answer(&mut self, id: TicketId, decision: Decision) {
        self.step.answers.push((id, Reply { decision: Some(decision), ..reply() }));
    }
}

/// Three slices of the long poll: 10 s, or a fortieth of the patience
/// (design.md, calls).
pub(crate) fn lost_after(patience: Millis) -> Millis {
    SLICES_LOST * (patience / 40).max(10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{AdminInput, Key, KeyKind};
    use crate::gate::Input;
    use crate::message::{Admit, Call, VERSION};
    use crate::settings::GateSettings;

    const TENANTS: u64 = 12;

    fn gate() -> Gate {
        let mut gate = Gate::new(GateSettings::default(), 0);
        for index in 0..TENANTS {
            let tenants = format!(r#"{{"tenants":{{"t{index}":{{}}}}}}"#);
            let tenants = json::from_str(&tenants).expect("a tenant");
            let apply = AdminInput::Apply { tenants, prune: false, dry_run: false };
            let (id, tenant) = (format!("k{index}"), format!("t{index}"));
            let (kind, expires_ms, revoked_ms) = (KeyKind::Secret, None, None);
            let key = Key { id, tenant, kind, created_ms: 0, expires_ms, revoked_ms };
            for input in [apply, AdminInput::AddKey(key)] {
                gate.handle(0, Input::Admin(input));
            }
        }
        gate
    }

    /// One that does not wait asks for one of three pools of which nothing is known.
    fn ask(gate: &mut Gate, number: u64, now: Millis) {
        let (tenant, class) = (number % TENANTS, number % 3);
        let admit: Admit = json::from_str(&format!(
            r#"{{"ticket":"n{number}","asked_ms":{now},"tenant":"t{tenant}","key":"k{tenant}",
            "pool":{{"account":"a","class":"c{class}","speed":"standard"}},"model":"m",
            "input_tokens":{number},"max_tokens":9,"microusd_max":1,"patience_ms":0}}"#
        ))
        .expect("an admit");
        gate.handle(now, Input::Call(Call { v: VERSION, admit: Some(admit), ..Call::default() }));
    }

    #[test]
    fn places_are_bounded_over_all_pools_and_those_that_are_over_make_room() {
        let mut gate = gate();
        // Later all of before are over, also in a pool that nobody asked for first.
        for now in [0, 2 * KEPT_MS_MAX] {
            for number in 0..2 * KEPT_MAX as u64 {
                ask(&mut gate, now + number, now);
                assert!(gate.kept() <= KEPT_MAX);
            }
            assert_eq!(gate.kept(), KEPT_MAX);
        }
        gate.pools.iter_mut().for_each(|pool| pool.tick(2 * KEPT_MS_MAX));
        assert_eq!(gate.kept(), KEPT_MAX, "of those who asked last");
    }
}
