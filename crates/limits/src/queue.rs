//! Who goes next in one pool.
//!
//! Three classes by priority. Within a class tenants take turns by weight, and
//! within a tenant its end users do, both by what they use of the pool
//! (`turns`); one line's requests go in the order they first asked. A line or a
//! tenant whose own limit is shut sleeps and holds nobody up (`sleepers`). Every
//! step is O(log n), but for a change of a tenant's limits, which looks at all sleepers.

mod sleepers;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeSet;

use crate::amounts::{Three, add, less};
use crate::gate::ScopeId;
use crate::map::{Map, name};
use crate::message::Millis;
use sleepers::{Sleeper, Sleepers};
use turns::Turns;

/// A tenant's index in the Gate.
pub(crate) type Index = usize;

/// A waiter's place: when it first asked, then its number.
pub(crate) type Place = (Millis, u64);

/// One end user's line within its tenant.
pub(crate) type Line = u64;

/// What lower priorities get while higher ones wait: a sixteenth, so that
/// background always moves.
const AGING_SHARE: u64 = 16;

/// The line of an end user: by its index where it has limits of its own, else by
/// its name. Of two whose hashes were the same each would wait for the other; no
/// limit is kept by it.
pub(crate) fn line_of(limited: Option<usize>, id: Option<&str>) -> Line {
    match (limited, id) {
        (Some(index), _) => index as Line,
        (None, None) => Line::MAX,
        // Above every index.
        (None, Some(id)) => name(id) | 1 << 63,
    }
}

/// One pool's waiters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    classes: [Class; 3],
    sleepers: Sleepers,
    /// Service that each class is owed for others' turns.
    credit: [u64; 3],
    pub(crate) len: usize,
}

#[derive(Clone, Debug, Default)]
struct Class {
    tenants: Map<Index, Tenant>,
    /// Tenants with someone ready, by the start of their turn.
    order: BTreeSet<(u64, u64)>,
    turns: Turns,
    sum: Three,
    weights: u64,
}

#[derive(Clone, Debug, Default)]
struct Tenant {
    lines: Map<Line, Waiting>,
    /// Lines that are awake, by the start of their turn, then by their heads.
    ready: BTreeSet<(u64, Place, Line)>,
    turns: Turns,
    rest: Rest,
    start: u64,
    sum: Three,
    weight: u64,
}

/// Those of one line.
#[derive(Clone, Debug, Default)]
struct Waiting {
    places: BTreeSet<Place>,
    rest: Rest,
    start: u64,
    sum: Three,
}

/// Whether a line or a tenant may be next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Awake,
    /// Something of this limit came back, and it is its turn to look. It passes
    /// that on when it is served, goes, or finds another limit shut.
    Woken(ScopeId),
    /// By its number among the sleepers.
    Asleep(u64),
}

/// Where one waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) class: usize,
    pub(crate) tenant: Index,
    pub(crate) line: Line,
    pub(crate) place: Place,
}

impl Queue {
    /// Adds a waiter that needs `rates`.
    pub(crate) fn insert(&mut self, spot: Spot, weight: u32, rates: &Three) {
        self.len += 1;
        let class = &mut self.classes[spot.class];
        let start = class.turns.start(spot.tenant as u64);
        let weights = &mut class.weights;
        let tenant = class.tenants.entry(spot.tenant).or_insert_with(|| {
            *weights += u64::from(weight);
            Tenant { start, weight: weight.into(), ..Tenant::default() }
        });
        add(&mut tenant.sum, rates);
        add(&mut class.sum, rates);
        let start = tenant.turns.start(spot.line);
        tenant.lines.entry(spot.line).or_insert_with(|| Waiting { start, ..Waiting::default() });
        tenant.change(spot.line, |line| {
            add(&mut line.sum, rates);
            line.places.insert(spot.place);
        });
        class.set_order(spot.tenant);
    }

    /// Takes a waiter out. True where it was there.
    pub(crate) fn remove(&mut self, spot: Spot, rates: &Three) -> bool {
        let class = &mut self.classes[spot.class];
        let Some(tenant) = class.tenants.get_mut(&spot.tenant) else { return false };
        let (mut was_there, mut was_first) = (false, false);
        tenant.change(spot.line, |line| {
            was_first = line.places.first() == Some(&spot.place);
            was_there = line.places.remove(&spot.place);
            line.sum = less(&line.sum, rates);
        });
        if !was_there {
            return false;
        }
        self.len -= 1;
        debug_assert!((0..3).all(|kind| class.sum[kind] >= rates[kind]), "sum = what waits");
        tenant.sum = less(&tenant.sum, rates);
        class.sum = less(&class.sum, rates);
        if was_first {
            // What the next one needs is another matter.
            self.set_rest(spot, false, Rest::Awake);
            self.set_rest(spot, true, Rest::Awake);
        }
        let class = &mut self.classes[spot.class];
        let Some(tenant) = class.tenants.get_mut(&spot.tenant) else { return true };
        if tenant.lines.get(&spot.line).is_some_and(|line| line.places.is_empty()) {
            tenant.lines.remove(&spot.line);
        }
        if tenant.lines.is_empty() {
            class.weights -= tenant.weight;
            class.order.remove(&(tenant.start, spot.tenant as u64));
            class.tenants.remove(&spot.tenant);
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
        let tenant = self.classes[class].order.first()?.1 as Index;
        let (_, place, line) = self.classes[class].tenants.get(&tenant)?.ready.first()?;
        Some(Spot { class, tenant, line: *line, place: *place })
    }

    /// A request of a tenant's line was served at `cost`: the next turn of either
    /// comes later by that, the tenant's by that over its weight.
    pub(crate) fn served(
        &mut self,
        class: usize,
        (tenant, line): (Index, Line),
        weight: u32,
        cost: u64,
    ) {
        self.credit[class] = self.credit[class].saturating_sub(cost);
        for lower in class + 1..3 {
            if !self.classes[lower].order.is_empty() {
                self.credit[lower] = self.credit[lower].saturating_add(cost / AGING_SHARE);
            }
        }
        let class = &mut self.classes[class];
        let end = class.turns.served(tenant as u64, cost / u64::from(weight.max(1)));
        // Lines of a tenant that nobody waits for have all had what they asked for.
        let Some(waiting) = class.tenants.get_mut(&tenant) else { return };
        let before = std::mem::replace(&mut waiting.start, end);
        let line_end = waiting.turns.served(line, cost);
        waiting.change(line, |line| line.start = line_end);
        if class.order.remove(&(before, tenant as u64)) {
            class.order.insert((end, tenant as u64));
        }
    }

    /// A provider refusal gave a turn back.
    pub(crate) fn unserved(
        &mut self,
        class: usize,
        (tenant, line): (Index, Line),
        weight: u32,
        cost: u64,
    ) {
        let class = &mut self.classes[class];
        class.turns.unserved(tenant as u64, cost / u64::from(weight.max(1)));
        if let Some(waiting) = class.tenants.get_mut(&tenant) {
            waiting.turns.unserved(line, cost);
        }
    }

    /// A limit of `scope` is shut for who is next, until then or until something
    /// of it comes back: its line is not next, or nobody of its tenant.
    pub(crate) fn sleep(&mut self, spot: Spot, whole: bool, scope: ScopeId, until: Millis) {
        let Spot { class, tenant, line, .. } = spot;
        let line = (!whole).then_some(line);
        let number = self.sleepers.add(Sleeper { class, tenant, line, scope, until });
        self.set_rest(spot, whole, Rest::Asleep(number));
    }

    /// Wakes whose time has come.
    pub(crate) fn wake(&mut self, now: Millis) {
        while let Some(sleeper) = self.sleepers.due(now) {
            self.rouse(sleeper, Rest::Awake);
        }
    }

    /// Something of a scope's limits came back: the first sleeper of each priority
    /// looks. True where somebody does.
    pub(crate) fn freed(&mut self, scope: ScopeId) -> bool {
        [0, 1, 2].map(|class| self.pass_on(scope, class)).contains(&true)
    }

    fn pass_on(&mut self, scope: ScopeId, class: usize) -> bool {
        let Some(sleeper) = self.sleepers.first_of(scope, class) else { return false };
        self.rouse(sleeper, Rest::Woken(scope));
        true
    }

    /// Wakes all of one tenant: its limits changed.
    pub(crate) fn wake_tenant(&mut self, tenant: Index) {
        for sleeper in self.sleepers.of_tenant(tenant) {
            self.rouse(sleeper, Rest::Awake);
        }
    }

    /// One that is no longer among the sleepers may be next.
    fn rouse(&mut self, sleeper: Sleeper, rest: Rest) {
        let Sleeper { class, tenant, line, .. } = sleeper;
        let spot = Spot { class, tenant, line: line.unwrap_or_default(), place: (0, 0) };
        self.set_rest(spot, line.is_none(), rest);
    }

    /// Whether a line, or its whole tenant, may be next from now on.
    fn set_rest(&mut self, spot: Spot, whole: bool, rest: Rest) {
        let class = &mut self.classes[spot.class];
        let mut before = rest;
        match class.tenants.get_mut(&spot.tenant) {
            Some(tenant) if whole => before = std::mem::replace(&mut tenant.rest, rest),
            Some(tenant) => {
                tenant.change(spot.line, |line| before = std::mem::replace(&mut line.rest, rest));
            }
            None => {}
        }
        class.set_order(spot.tenant);
        match before {
            Rest::Asleep(number) => {
                self.sleepers.remove(number);
            }
            // It looked, and the same limit is shut for it: so it is for others.
            Rest::Woken(scope) if self.sleeps_for(rest) != Some(scope) => {
                self.pass_on(scope, spot.class);
            }
            _ => {}
        }
    }

    fn sleeps_for(&self, rest: Rest) -> Option<ScopeId> {
        match rest {
            Rest::Asleep(number) => self.sleepers.scope(number),
            _ => None,
        }
    }

    /// When the first sleeper wakes by time.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.sleepers.first_at()
    }

    /// Whether anyone could go if the pool had room.
    pub(crate) fn has_ready(&self) -> bool {
        self.classes.iter().any(|class| !class.order.is_empty())
    }

    /// What goes before a new request of a tenant's line: all of the priorities
    /// above, and of its own the part that fairness puts first, never more than all.
    pub(crate) fn ahead(&self, class: usize, (tenant, line): (Index, Line), weight: u32) -> Three {
        let weight = u64::from(weight.max(1));
        let mut ahead = [0; 3];
        for above in &self.classes[..class] {
            add(&mut ahead, &above.sum);
        }
        let own = &self.classes[class];
        let waiting = own.tenants.get(&tenant);
        let weights = own.weights + if waiting.is_some() { 0 } else { weight };
        let mine = waiting.map_or([0; 3], |waiting| waiting.ahead(line));
        for (kind, ahead) in ahead.iter_mut().enumerate() {
            // A newcomer's first request still waits for one turn of each other.
            let turns = u128::from(mine[kind]) * u128::from(weights) / u128::from(weight);
            let turns = u64::try_from(turns).unwrap_or(u64::MAX);
            *ahead = ahead.saturating_add(turns.min(own.sum[kind]).max(mine[kind]));
        }
        ahead
    }

    /// What waits of one tenant in one class before a newcomer of a line, and in
    /// that line.
    pub(crate) fn ahead_within(&self, class: usize, tenant: Index, line: Line) -> [Three; 2] {
        let waiting = self.classes[class].tenants.get(&tenant);
        waiting.map_or([[0; 3]; 2], |waiting| [waiting.ahead(line), waiting.sum_of(line)])
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
        if !matches!(tenant.rest, Rest::Asleep(_)) && !tenant.ready.is_empty() {
            self.order.insert((tenant.start, index as u64));
        } else {
            self.order.remove(&(tenant.start, index as u64));
        }
    }
}

impl Tenant {
    /// Changes a line that is there, and keeps `ready` those awake.
    fn change(&mut self, id: Line, change: impl FnOnce(&mut Waiting)) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let before = line.turn(id);
        change(line);
        let after = line.turn(id);
        if before != after {
            if let Some(turn) = before {
                self.ready.remove(&turn);
            }
            if let Some(turn) = after {
                self.ready.insert(turn);
            }
        }
    }

    fn sum_of(&self, line: Line) -> Three {
        self.lines.get(&line).map_or([0; 3], |line| line.sum)
    }

    /// What of it goes before a newcomer of a line: as much of each other one.
    fn ahead(&self, line: Line) -> Three {
        let lines = self.lines.len() as u64 + u64::from(!self.lines.contains_key(&line));
        let mine = self.sum_of(line);
        std::array::from_fn(|kind| mine[kind].saturating_mul(lines).min(self.sum[kind]))
    }
}

impl Waiting {
    fn turn(&self, id: Line) -> Option<(u64, Place, Line)> {
        let is_asleep = matches!(self.rest, Rest::Asleep(_));
        let head = self.places.first().filter(|_| !is_asleep)?;
        Some((self.start, *head, id))
    }
}
