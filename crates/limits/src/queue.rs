//! Who goes next in one pool.
//!
//! Three classes by priority. Within a class tenants take turns by weight and
//! by what they use of the pool (start-time fair queueing), and one tenant's
//! requests go in the order they first asked, a line for each end user that has
//! limits. A line whose own limit is shut sleeps and holds nobody up. Every
//! step is O(log n).

use std::collections::BTreeSet;

use crate::amounts::Three;
use crate::message::Millis;
use crate::ticket::Map;

/// A tenant's or an end user's index in the Gate.
pub(crate) type Index = usize;

/// A waiter's place: when it first asked, then its number.
pub(crate) type Place = (Millis, u64);

/// What lower priorities get while higher ones wait: a sixteenth, so that
/// background always moves.
const AGING_SHARE: u64 = 16;

/// One pool's waiters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    classes: [Class; 3],
    asleep: BTreeSet<(Millis, usize, Index, Option<Option<Index>>)>,
    /// Service that each class is owed for others' turns.
    credit: [u64; 3],
    pub(crate) len: usize,
}

#[derive(Clone, Debug, Default)]
struct Class {
    tenants: Map<Index, Tenant>,
    /// Tenants with someone ready, by the start of their turn.
    order: BTreeSet<(u64, Index)>,
    /// Where each tenant's last turn ended, while that lies ahead.
    ends: Map<Index, u64>,
    ends_max: usize,
    virtual_time: u64,
    sum: Three,
    weights: u64,
}

#[derive(Clone, Debug, Default)]
struct Tenant {
    lines: Map<Option<Index>, Line>,
    /// Heads of the lines that are awake.
    ready: BTreeSet<(Place, Option<Index>)>,
    asleep: Option<Millis>,
    start: u64,
    sum: Three,
    weight: u64,
}

#[derive(Clone, Debug, Default)]
struct Line {
    places: BTreeSet<Place>,
    asleep: Option<Millis>,
}

/// Where one waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) class: usize,
    pub(crate) tenant: Index,
    pub(crate) user: Option<Index>,
    pub(crate) place: Place,
}

impl Queue {
    /// Adds a waiter that needs `rates`.
    pub(crate) fn insert(&mut self, spot: Spot, weight: u32, rates: &Three) {
        self.len += 1;
        let class = &mut self.classes[spot.class];
        let begin = class.ends.get(&spot.tenant).copied().unwrap_or(0).max(class.virtual_time);
        let weights = &mut class.weights;
        let tenant = class.tenants.entry(spot.tenant).or_insert_with(|| {
            *weights += u64::from(weight);
            Tenant { start: begin, weight: weight.into(), ..Tenant::default() }
        });
        add(&mut tenant.sum, rates);
        add(&mut class.sum, rates);
        tenant.change_line(spot.user, |line| line.places.insert(spot.place));
        class.set_order(spot.tenant);
    }

    /// Takes a waiter out. True where it was there.
    pub(crate) fn remove(&mut self, spot: Spot, rates: &Three) -> bool {
        let class = &mut self.classes[spot.class];
        let Some(tenant) = class.tenants.get_mut(&spot.tenant) else { return false };
        if !tenant.change_line(spot.user, |line| line.places.remove(&spot.place)) {
            return false;
        }
        self.len -= 1;
        sub(&mut tenant.sum, rates);
        sub(&mut class.sum, rates);
        if let Some(line) = tenant.lines.get(&spot.user).filter(|line| line.places.is_empty()) {
            if let Some(until) = line.asleep {
                self.asleep.remove(&(until, spot.class, spot.tenant, Some(spot.user)));
            }
            tenant.lines.remove(&spot.user);
        }
        let (start, is_empty) = (tenant.start, tenant.lines.is_empty());
        if is_empty {
            if let Some(until) = tenant.asleep {
                self.asleep.remove(&(until, spot.class, spot.tenant, None));
            }
            class.weights -= tenant.weight;
            class.order.remove(&(start, spot.tenant));
            class.tenants.remove(&spot.tenant);
        } else {
            class.set_order(spot.tenant);
        }
        true
    }

    /// Whether a new request of `tenant` must stand behind someone: a waiter of
    /// its priority or above, or its own tenant's.
    pub(crate) fn is_before(&self, class: usize, tenant: Index) -> bool {
        self.len > 0
            && (self.classes[..=class].iter().any(|class| !class.order.is_empty())
                || self.classes[class].tenants.contains_key(&tenant))
    }

    /// Who is next, and whether it is its turn by age. `cost` prices a place.
    pub(crate) fn next(&mut self, cost: impl Fn(Place) -> u64) -> Option<(Spot, bool)> {
        for class in (1..3).rev() {
            match self.head(class) {
                None => self.credit[class] = 0,
                Some(spot) if self.credit[class] >= cost(spot.place) => return Some((spot, true)),
                Some(_) => {}
            }
        }
        (0..3).find_map(|class| self.head(class)).map(|spot| (spot, false))
    }

    fn head(&self, class: usize) -> Option<Spot> {
        let (_, index) = self.classes[class].order.first()?;
        let (place, user) = self.classes[class].tenants.get(index)?.ready.first()?;
        Some(Spot { class, tenant: *index, user: *user, place: *place })
    }

    /// A request of `tenant` was served at `cost`: its next turn comes later by
    /// that over its weight.
    pub(crate) fn served(&mut self, class: usize, tenant: Index, weight: u32, cost: u64) {
        self.credit[class] = self.credit[class].saturating_sub(cost);
        for lower in class + 1..3 {
            if !self.classes[lower].order.is_empty() {
                self.credit[lower] = self.credit[lower].saturating_add(cost / AGING_SHARE);
            }
        }
        let class = &mut self.classes[class];
        let ended = class.ends.get(&tenant).copied().unwrap_or(0);
        let start = ended.max(class.virtual_time);
        class.virtual_time = start;
        let end = start.saturating_add(cost / u64::from(weight.max(1)));
        class.ends.insert(tenant, end);
        if let Some(waiting) = class.tenants.get_mut(&tenant) {
            let before = std::mem::replace(&mut waiting.start, end);
            if class.order.remove(&(before, tenant)) {
                class.order.insert((end, tenant));
            }
        }
        // Ends that are past say nothing. Looking when their number has doubled
        // costs each service a constant.
        if class.ends.len() > class.ends_max {
            let now = class.virtual_time;
            class.ends.retain(|_, end| *end > now);
            class.ends_max = 64 + 2 * class.ends.len();
        }
    }

    /// A provider refusal gave a turn back.
    pub(crate) fn unserved(&mut self, class: usize, tenant: Index, weight: u32, cost: u64) {
        if let Some(end) = self.classes[class].ends.get_mut(&tenant) {
            *end = end.saturating_sub(cost / u64::from(weight.max(1)));
        }
    }

    /// The tenant's own limit is shut until then: nobody of it is next.
    pub(crate) fn sleep_tenant(&mut self, class: usize, tenant: Index, until: Millis) {
        let Some(waiting) = self.classes[class].tenants.get_mut(&tenant) else { return };
        if let Some(before) = waiting.asleep.replace(until) {
            self.asleep.remove(&(before, class, tenant, None));
        }
        self.asleep.insert((until, class, tenant, None));
        self.classes[class].set_order(tenant);
    }

    /// The end user's limit is shut until then.
    pub(crate) fn sleep_user(&mut self, spot: Spot, until: Millis) {
        let Some(tenant) = self.classes[spot.class].tenants.get_mut(&spot.tenant) else { return };
        let mut before = None;
        tenant.change_line(spot.user, |line| {
            before = line.asleep.replace(until);
            true
        });
        if let Some(before) = before {
            self.asleep.remove(&(before, spot.class, spot.tenant, Some(spot.user)));
        }
        self.asleep.insert((until, spot.class, spot.tenant, Some(spot.user)));
        self.classes[spot.class].set_order(spot.tenant);
    }

    /// Wakes whose time has come.
    pub(crate) fn wake(&mut self, now: Millis) {
        while let Some(&(until, class, tenant, line)) = self.asleep.first() {
            if until > now {
                return;
            }
            self.wake_one(until, class, tenant, line);
        }
    }

    /// Wakes all of one tenant: one of its requests ended, or its limits changed.
    pub(crate) fn wake_tenant(&mut self, tenant: Index) {
        if self.asleep.is_empty() {
            return;
        }
        for class in 0..3 {
            let Some(waiting) = self.classes[class].tenants.get(&tenant) else { continue };
            let mut sleepers: Vec<_> =
                waiting.asleep.map(|until| (until, None)).into_iter().collect();
            for (user, line) in &waiting.lines {
                sleepers.extend(line.asleep.map(|until| (until, Some(*user))));
            }
            for (until, line) in sleepers {
                self.wake_one(until, class, tenant, line);
            }
        }
    }

    fn wake_one(&mut self, until: Millis, class: usize, index: Index, line: Option<Option<Index>>) {
        self.asleep.remove(&(until, class, index, line));
        let Some(tenant) = self.classes[class].tenants.get_mut(&index) else { return };
        match line {
            None => tenant.asleep = None,
            Some(user) => {
                tenant.change_line(user, |line| line.asleep.take().is_some());
            }
        }
        self.classes[class].set_order(index);
    }

    /// When the first sleeper wakes.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.asleep.first().map(|(until, ..)| *until)
    }

    /// Whether anyone could go if the pool had room.
    pub(crate) fn has_ready(&self) -> bool {
        self.classes.iter().any(|class| !class.order.is_empty())
    }

    /// What goes before a new request of `tenant`: all of the priorities above,
    /// and of its own the part that fairness puts first, never more than all.
    pub(crate) fn ahead(&self, class: usize, tenant: Index, weight: u32) -> Three {
        let weight = u64::from(weight.max(1));
        let mut ahead = [0; 3];
        for above in &self.classes[..class] {
            add(&mut ahead, &above.sum);
        }
        let own = &self.classes[class];
        let line = own.tenants.get(&tenant);
        let weights = own.weights + if line.is_some() { 0 } else { weight };
        for (kind, ahead) in ahead.iter_mut().enumerate() {
            let mine = line.map_or(0, |line| line.sum[kind]);
            // A newcomer's first request still waits for one turn of each other.
            let turns = u128::from(mine) * u128::from(weights) / u128::from(weight);
            let turns = u64::try_from(turns).unwrap_or(u64::MAX);
            *ahead = ahead.saturating_add(turns.min(own.sum[kind]).max(mine));
        }
        ahead
    }

    /// The waiting tenants' own sums in one class.
    pub(crate) fn waiting_of(&self, class: usize, tenant: Index) -> Three {
        self.classes[class].tenants.get(&tenant).map_or([0; 3], |tenant| tenant.sum)
    }

    /// The sum of all that waits in `class` and above.
    pub(crate) fn sum(&self, class: usize) -> Three {
        let mut sum = [0; 3];
        self.classes[..=class].iter().for_each(|class| add(&mut sum, &class.sum));
        sum
    }
}

impl Class {
    /// Puts a tenant in the order when someone of it is ready, else out of it.
    fn set_order(&mut self, index: Index) {
        let Some(tenant) = self.tenants.get(&index) else { return };
        if tenant.asleep.is_none() && !tenant.ready.is_empty() {
            self.order.insert((tenant.start, index));
        } else {
            self.order.remove(&(tenant.start, index));
        }
    }
}

impl Tenant {
    /// Changes one line, and keeps `ready` the heads of those awake.
    fn change_line(&mut self, user: Option<Index>, change: impl FnOnce(&mut Line) -> bool) -> bool {
        let line = self.lines.entry(user).or_default();
        let before = line.head();
        let changed = change(line);
        let after = line.head();
        if before != after {
            if let Some(place) = before {
                self.ready.remove(&(place, user));
            }
            if let Some(place) = after {
                self.ready.insert((place, user));
            }
        }
        changed
    }
}

impl Line {
    fn head(&self) -> Option<Place> {
        if self.asleep.is_some() { None } else { self.places.first().copied() }
    }
}

fn add(sum: &mut Three, part: &Three) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum = sum.saturating_add(*part);
    }
}

fn sub(sum: &mut Three, part: &Three) {
    for (sum, part) in sum.iter_mut().zip(part) {
        debug_assert!(*sum >= *part, "sum = what waits");
        *sum = sum.saturating_sub(*part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(class: usize, tenant: Index, asked: Millis, number: u64) -> Spot {
        Spot { class, tenant, user: None, place: (asked, number) }
    }

    /// Serves until empty; each at `cost`; tells tenants in order.
    fn serve_all(queue: &mut Queue, cost: u64, weight: impl Fn(Index) -> u32) -> Vec<Index> {
        let mut order = Vec::new();
        while let Some((spot, _)) = queue.next(|_| cost) {
            assert!(queue.remove(spot, &[1, 0, 0]));
            queue.served(spot.class, spot.tenant, weight(spot.tenant), cost);
            order.push(spot.tenant);
        }
        assert_eq!(queue.len, 0);
        order
    }

    #[test]
    fn tenants_take_turns_by_weight_and_a_flood_waits_for_itself() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.insert(spot(1, 0, 0, n), 1, &[1, 0, 0]);
        }
        for n in 100..104 {
            queue.insert(spot(1, 1, 50, n), 2, &[1, 0, 0]);
        }
        let order = serve_all(&mut queue, 1_000, |tenant| if tenant == 1 { 2 } else { 1 });
        let last = order.iter().rposition(|tenant| *tenant == 1).expect("served");
        assert!(last <= 7, "{last}");
    }

    #[test]
    fn priorities_go_first_but_background_moves() {
        let mut queue = Queue::default();
        for n in 0..64 {
            queue.insert(spot(0, 0, 0, n), 1, &[1, 0, 0]);
        }
        queue.insert(spot(2, 1, 0, 99), 1, &[1, 0, 0]);
        let order = serve_all(&mut queue, 1_600, |_| 1);
        assert_eq!(order.iter().position(|tenant| *tenant == 1), Some(16));
    }

    #[test]
    fn a_returned_request_regains_its_place_by_when_it_asked() {
        let mut queue = Queue::default();
        queue.insert(spot(1, 0, 20, 1), 1, &[1, 0, 0]);
        queue.insert(spot(1, 0, 10, 2), 1, &[1, 0, 0]);
        assert_eq!(queue.next(|_| 1).map(|(spot, _)| spot.place), Some((10, 2)));
    }

    #[test]
    fn a_sleeper_holds_nobody_up_and_wakes_in_time() {
        let mut queue = Queue::default();
        queue.insert(Spot { user: Some(7), ..spot(1, 0, 0, 1) }, 1, &[1, 0, 0]);
        queue.insert(Spot { user: Some(8), ..spot(1, 0, 1, 2) }, 1, &[1, 0, 0]);
        queue.insert(spot(1, 5, 2, 3), 1, &[1, 0, 0]);
        let (first, _) = queue.next(|_| 1).expect("someone");
        assert_eq!(first.user, Some(7));
        queue.sleep_user(first, 100);
        assert_eq!(queue.next(|_| 1).map(|(spot, _)| spot.user), Some(Some(8)));
        queue.sleep_tenant(1, 0, 200);
        assert_eq!(queue.next(|_| 1).map(|(spot, _)| spot.tenant), Some(5));
        assert_eq!(queue.wakes_at(), Some(100));
        queue.wake(100);
        assert_eq!(
            queue.next(|_| 1).map(|(spot, _)| spot.tenant),
            Some(5),
            "its tenant still sleeps"
        );
        queue.wake_tenant(0);
        assert_eq!(queue.next(|_| 1).map(|(spot, _)| spot.user), Some(Some(7)));
        assert_eq!(queue.wakes_at(), None);
        let order = serve_all(&mut queue, 1, |_| 1);
        assert_eq!(order.len(), 3);
    }

    #[test]
    fn what_is_ahead_is_bounded_by_ones_own_turns() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.insert(spot(1, 0, 0, n), 1, &[1, 10, 0]);
        }
        assert_eq!(queue.ahead(1, 0, 1), [100, 1_000, 0]);
        assert_eq!(queue.ahead(1, 1, 1), [0, 0, 0]);
        assert_eq!(queue.ahead(2, 1, 1), [100, 1_000, 0]);
        queue.insert(spot(1, 1, 0, 200), 1, &[1, 10, 0]);
        assert_eq!(queue.ahead(1, 1, 1), [2, 20, 0]);
    }
}
