//! Who goes next in one pool.
//!
//! Three classes by priority. Within a class tenants take turns by weight, and
//! within a tenant its end users do, both by what they use of the pool
//! (`turns`); one line's requests go in the order they first asked. A line or a
//! tenant whose own limit is shut sleeps and holds nobody up (`sleepers`). Every
//! step is O(log n), but for a change of a tenant's limits, which looks at all sleepers.

mod absent;
mod pace;
mod sleepers;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeSet;

use crate::amounts::{Three, add, less};
use crate::gate::ScopeId;
use crate::map::{Map, name};
use crate::message::Millis;
pub(crate) use absent::Kept;
use absent::{Absentee, Absentees, Away, Needs};
use pace::Pace;
use sleepers::{Shutter, Sleeper, Sleepers};
use turns::{Turns, turn};

/// A tenant's index in the Gate.
pub(crate) type Index = usize;

/// A waiter's place: when it first asked, then its number.
pub(crate) type Place = (Millis, u64);

/// One end user's line within its tenant.
pub(crate) type Line = u64;

/// What lower priorities get while higher ones wait: a sixteenth, so that
/// background always moves.
const AGING_SHARE: u64 = 16;

/// The line of an end user: its own number where it has limits of its own, else by
/// its name. Of two whose hashes were the same each would wait for the other; no
/// limit is kept by it.
pub(crate) fn line_of(limited: Option<Line>, id: Option<&str>) -> Line {
    match (limited, id) {
        (Some(line), _) => line,
        (None, None) => Line::MAX,
        // Above every number.
        (None, Some(id)) => name(id) | 1 << 63,
    }
}

/// One pool's waiters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    classes: [Class; 3],
    sleepers: Sleepers,
    absentees: Absentees,
    now: Millis,
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
    pace: Pace,
    needs: Needs,
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
    needs: Needs,
    weight: u64,
}

/// Those of one line.
#[derive(Clone, Debug, Default)]
struct Waiting {
    places: BTreeSet<Place>,
    rest: Rest,
    start: u64,
    needs: Needs,
    /// What those need who are about to come back.
    soon: Away,
    /// Who is to come back: the size by which it is known, when, and its number among
    /// the absentees.
    kept: BTreeSet<(Three, Millis, u64)>,
}

/// Whether a line or a tenant may be next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Awake,
    /// Something of this limit came back, and it is its turn to look. It passes
    /// that on when it is served, goes, or finds another limit shut, and to who
    /// needs less of a budget where it needs too much: at last of this one.
    Woken(ScopeId, Shutter),
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
    /// Time goes on: called before waiters come or go. Nobody's turn came until
    /// `held_until`.
    pub(crate) fn tick(&mut self, now: Millis, held_until: Millis) {
        let from = std::mem::replace(&mut self.now, now).max(held_until);
        let span = now.saturating_sub(from);
        let busy = self.classes.iter_mut().filter(|class| !class.order.is_empty());
        busy.for_each(|class| class.pace.waited(span));
        while let Some(absentee) = self.absentees.comes(now) {
            let tenant = self.classes[absentee.class].tenants.get_mut(&absentee.tenant);
            if let Some(line) = tenant.and_then(|own| own.lines.get_mut(&absentee.line)) {
                add(&mut line.soon[absentee.group], &absentee.rates);
            }
        }
        while let Some((number, absentee)) = self.absentees.missing(now) {
            self.give_up(number, &absentee);
        }
    }

    /// Adds a waiter that needs `rates`.
    pub(crate) fn insert(&mut self, spot: Spot, weight: u32, rates: &Three) {
        self.len += 1;
        let class = &mut self.classes[spot.class];
        let start = class.turns.start(spot.tenant as u64);
        add(&mut class.needs.here, rates);
        let weights = &mut class.weights;
        let tenant = class.tenants.entry(spot.tenant).or_default();
        if tenant.is_idle() {
            (tenant.start, tenant.weight) = (start, weight.into());
            *weights += tenant.weight;
        }
        add(&mut tenant.needs.here, rates);
        let start = tenant.turns.start(spot.line);
        let line = tenant.lines.entry(spot.line).or_default();
        if line.places.is_empty() {
            line.start = start;
        }
        tenant.change(spot.line, |line| {
            add(&mut line.needs.here, rates);
            line.places.insert(spot.place);
        });
        class.set_order(spot.tenant);
    }

    /// Keeps the place of one that does not wait now, once: until when it is to come.
    pub(crate) fn keep(&mut self, spot: Spot, rates: &Three, place: Kept) -> Millis {
        if let Some(kept) = self.absentees.of_name(place.by) {
            return kept.due;
        }
        let Spot { class, tenant, line, .. } = spot;
        let group = Absentees::group(place.due.saturating_sub(self.now));
        let rates = *rates;
        let absentee = Absentee { class, tenant, line, place, rates, group, is_soon: false };
        let of = |class: &Class| class.tenants.get(&tenant).map_or(0, |own| own.needs.kept());
        let others = self.classes.iter().map(of).sum();
        let class = &mut self.classes[class];
        let Some(number) = self.absentees.add(&absentee, others, self.now) else {
            return place.due;
        };
        class.needs.keep(&absentee);
        let own = class.tenants.entry(tenant).or_default();
        own.needs.keep(&absentee);
        let line = own.lines.entry(line).or_default();
        line.needs.keep(&absentee);
        line.kept.insert((place.size, place.due, number));
        class.expect(tenant, &self.absentees);
        place.due
    }

    /// How many places are kept.
    pub(crate) fn kept(&self) -> usize {
        self.absentees.len()
    }

    /// Whether somebody is to come back to a place later than now.
    pub(crate) fn is_kept(&self, now: Millis) -> bool {
        self.absentees.last_until() > now
    }

    /// Whether somebody is about to come back by then.
    pub(crate) fn awaits(&self, until: Millis) -> bool {
        self.absentees.awaits(until)
    }

    /// The place that was kept for such a request, if it was to come by now, or its client
    /// says that it was here before.
    pub(crate) fn came(
        &mut self,
        spot: &Spot,
        size: &Three,
        is_retry: Option<bool>,
    ) -> Option<Kept> {
        let tenant = self.classes[spot.class].tenants.get(&spot.tenant)?;
        let line = tenant.lines.get(&spot.line)?;
        let mut alike = line.kept.range((*size, 0, 0)..).take_while(|(of, ..)| of == size);
        let (_, due, number) = *alike.next()?;
        let is_early = due > self.now;
        // Of one that does not say, it may be another that sends the same.
        let is_other = match is_retry {
            Some(true) => false,
            // Its client could count for itself. But many send the same text, and this
            // is rather one more of them.
            Some(false) => is_early || alike.next().is_some(),
            None => is_early,
        };
        if is_other {
            return None;
        }
        let absentee = self.absentees.came(number, is_early)?;
        self.give_up(number, &absentee);
        Some(absentee.place)
    }

    fn give_up(&mut self, number: u64, absentee: &Absentee) {
        let Absentee { tenant: index, line: id, place, .. } = absentee;
        let class = &mut self.classes[absentee.class];
        class.needs.give_up(absentee);
        let Some(tenant) = class.tenants.get_mut(index) else { return };
        tenant.needs.give_up(absentee);
        if let Some(line) = tenant.lines.get_mut(id) {
            line.needs.give_up(absentee);
            if absentee.is_soon {
                let soon = &mut line.soon[absentee.group];
                *soon = less(soon, &absentee.rates);
            }
            line.kept.remove(&(place.size, place.due, number));
        }
        class.expect(*index, &self.absentees);
        class.tidy(*index, *id);
    }

    /// Takes a waiter out. True where it was there.
    pub(crate) fn remove(&mut self, spot: Spot, rates: &Three) -> bool {
        let class = &mut self.classes[spot.class];
        let Some(tenant) = class.tenants.get_mut(&spot.tenant) else { return false };
        let (mut was_there, mut was_first) = (false, false);
        tenant.change(spot.line, |line| {
            was_first = line.places.first() == Some(&spot.place);
            was_there = line.places.remove(&spot.place);
            line.needs.here = less(&line.needs.here, rates);
        });
        if !was_there {
            return false;
        }
        self.len -= 1;
        debug_assert!((0..3).all(|kind| class.needs.here[kind] >= rates[kind]), "all that wait");
        tenant.needs.here = less(&tenant.needs.here, rates);
        if tenant.is_idle() {
            class.weights -= tenant.weight;
        }
        class.needs.here = less(&class.needs.here, rates);
        if was_first {
            // What the next one needs is another matter.
            self.set_rest(spot, false, Rest::Awake);
            self.set_rest(spot, true, Rest::Awake);
        }
        self.classes[spot.class].tidy(spot.tenant, spot.line);
        true
    }

    /// Whether a new request of `tenant` stands behind one of its priority or above, or its own.
    pub(crate) fn is_before(&self, class: usize, tenant: Index) -> bool {
        self.len > 0
            && (self.classes[..=class].iter().any(|class| !class.order.is_empty())
                || self.classes[class].tenants.get(&tenant).is_some_and(|own| !own.is_idle()))
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

    /// A request of a tenant's line was served at `cost`, after a wait or without: the
    /// next turn of either comes later by that, the tenant's by that over its weight.
    pub(crate) fn served(
        &mut self,
        class: usize,
        (tenant, line): (Index, Line),
        weight: u32,
        cost: u64,
        has_waited: bool,
    ) {
        self.credit[class] = self.credit[class].saturating_sub(cost);
        for lower in class + 1..3 {
            if !self.classes[lower].order.is_empty() {
                self.credit[lower] = self.credit[lower].saturating_add((cost / AGING_SHARE).max(1));
            }
        }
        let class = &mut self.classes[class];
        if has_waited {
            class.pace.went_on(class.turns.until(tenant as u64));
        }
        let end = class.turns.served(tenant as u64, turn(cost, weight));
        // Lines of a tenant that nobody waits for have all had what they asked for.
        let waiting = class.tenants.get_mut(&tenant).filter(|waiting| !waiting.is_idle());
        let Some(waiting) = waiting else { return };
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
        class.turns.unserved(tenant as u64, turn(cost, weight));
        if let Some(waiting) = class.tenants.get_mut(&tenant) {
            waiting.turns.unserved(line, cost);
        }
    }

    /// A limit of `scope` is shut for who is next, until then or until something
    /// of it comes back: its line is not next, or nobody of its tenant.
    pub(crate) fn sleep(&mut self, spot: Spot, whole: bool, scope: ScopeId, until: Millis) {
        let Spot { class, tenant, line, .. } = spot;
        let line = (!whole).then_some(line);
        let sleeper = Sleeper { class, tenant, line, scope, held: None, until };
        self.fall_asleep(spot, sleeper);
    }

    /// The same where what it `needs` of a budget is held: its tenant's other lines may go.
    pub(crate) fn sleep_held(
        &mut self,
        spot: Spot,
        scope: ScopeId,
        shutter: Shutter,
        needs: u64,
        until: Millis,
    ) {
        let Spot { class, tenant, line, .. } = spot;
        let held = Some((shutter, needs));
        self.fall_asleep(spot, Sleeper { class, tenant, line: Some(line), scope, held, until });
    }

    fn fall_asleep(&mut self, spot: Spot, sleeper: Sleeper) {
        let number = self.sleepers.add(sleeper);
        self.set_rest(spot, sleeper.line.is_none(), Rest::Asleep(number));
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
        let look = |class| self.pass_on(scope, class, Shutter::default(), false);
        [0, 1, 2].map(look).contains(&true)
    }

    fn pass_on(&mut self, scope: ScopeId, class: usize, shutter: Shutter, is_shut: bool) -> bool {
        let next = self.sleepers.next_of(scope, class, shutter, is_shut);
        let Some((sleeper, shutter)) = next else { return false };
        self.rouse(sleeper, Rest::Woken(scope, shutter));
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
            Rest::Woken(scope, by) => match self.found_shut(rest, scope) {
                // Who needs more of it need not look.
                Some(Some((shutter, _))) => {
                    let is_shut = by == shutter || by == Shutter::default();
                    self.pass_on(scope, spot.class, by, is_shut);
                }
                // It looked, and the same limit is shut for it: so it is for others.
                Some(None) => {}
                None => {
                    self.pass_on(scope, spot.class, by, false);
                }
            },
            Rest::Awake => {}
        }
    }

    /// What of a scope is shut for one that rests again.
    fn found_shut(&self, rest: Rest, scope: ScopeId) -> Option<Option<(Shutter, u64)>> {
        let Rest::Asleep(number) = rest else { return None };
        let sleeper = self.sleepers.get(number).filter(|sleeper| sleeper.scope == scope)?;
        Some(sleeper.held)
    }

    /// When the first sleeper wakes by time.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.sleepers.first_at()
    }

    /// Whether anyone could go if the pool had room.
    pub(crate) fn has_ready(&self) -> bool {
        self.classes.iter().any(|class| !class.order.is_empty())
    }

    /// What goes before a request that would stand there: all of the priorities above,
    /// and of its own the part that fairness puts first, never more than all.
    pub(crate) fn ahead(&self, spot: &Spot, weight: u32, is_back: bool) -> Three {
        let weight = u64::from(weight.max(1));
        let mut ahead = [0; 3];
        for above in &self.classes[..spot.class] {
            add(&mut ahead, &above.needs.before(is_back));
        }
        let own = &self.classes[spot.class];
        let all = own.needs.before(is_back);
        let waits = own.tenants.get(&spot.tenant).is_some_and(|own| !own.is_idle());
        let weights = own.weights + if waits { 0 } else { weight };
        let [mine, _] = self.ahead_within(spot, is_back, false);
        for (kind, ahead) in ahead.iter_mut().enumerate() {
            // A newcomer's first request still waits for one turn of each other.
            let turns = u128::from(mine[kind]) * u128::from(weights) / u128::from(weight);
            let turns = u64::try_from(turns).unwrap_or(u64::MAX);
            *ahead = ahead.saturating_add(turns.min(all[kind]).max(mine[kind]));
        }
        ahead
    }

    /// What of its tenant goes before it, as much of each other line as of its own, and what
    /// of its line; `or_all`: as if all came back of whom nothing is known.
    pub(crate) fn ahead_within(&self, spot: &Spot, is_back: bool, or_all: bool) -> [Three; 2] {
        let own = self.classes[spot.class].tenants.get(&spot.tenant);
        let Some(tenant) = own else { return [[0; 3]; 2] };
        let its = tenant.lines.get(&spot.line);
        let lines = tenant.lines.len() as u64 + u64::from(its.is_none());
        let before = |needs: &Needs| {
            let expected = self.absentees.supposed(spot.tenant, &needs.away, or_all);
            Needs { expected, ..*needs }.before(is_back)
        };
        let mine = its.map_or([0; 3], |line| before(&line.needs));
        let all = before(&tenant.needs);
        [std::array::from_fn(|kind| mine[kind].saturating_mul(lines).min(all[kind])), mine]
    }

    /// What a newcomer leaves to those of its line who are about to come back.
    pub(crate) fn soon(&self, spot: &Spot) -> Three {
        let tenant = self.classes[spot.class].tenants.get(&spot.tenant);
        let line = tenant.and_then(|own| own.lines.get(&spot.line));
        line.map_or([0; 3], |line| self.absentees.expected(spot.tenant, &line.soon))
    }

    /// How long what its tenant has before it takes at the pace of late; `cost` prices
    /// that. 0 where nobody waited of late.
    pub(crate) fn turn_in(
        &self,
        spot: &Spot,
        weight: u32,
        is_back: bool,
        cost: impl Fn(&Three) -> u64,
    ) -> Millis {
        // Nobody is held up by what is told, and all who are away may come.
        let [mine, _] = self.ahead_within(spot, is_back, true);
        let turns = if mine == [0; 3] { 0 } else { cost(&mine) / u64::from(weight.max(1)) };
        self.classes[spot.class].pace.span(turns)
    }

    /// The sum of all that waits in `class` and above.
    pub(crate) fn sum(&self, class: usize) -> Three {
        let mut sum = [0; 3];
        self.classes[..=class].iter().for_each(|class| add(&mut sum, &class.needs.here));
        sum
    }
}

impl Class {
    /// What of a tenant's is away, or how many of it come, changed.
    fn expect(&mut self, index: Index, absentees: &Absentees) {
        let Some(tenant) = self.tenants.get_mut(&index) else { return };
        let now = absentees.expected(index, &tenant.needs.away);
        let before = std::mem::replace(&mut tenant.needs.expected, now);
        self.needs.expected = less(&self.needs.expected, &before);
        add(&mut self.needs.expected, &now);
    }

    /// Forgets a line that nobody waits in or comes back to, and a tenant without lines.
    fn tidy(&mut self, index: Index, id: Line) {
        let Some(tenant) = self.tenants.get_mut(&index) else { return };
        if tenant.lines.get(&id).is_some_and(|line| line.places.is_empty() && line.kept.is_empty())
        {
            tenant.lines.remove(&id);
        }
        if tenant.lines.is_empty() {
            self.order.remove(&(tenant.start, index as u64));
            self.tenants.remove(&index);
        }
    }

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

    /// Whether nobody of it waits: whoever does needs a request.
    fn is_idle(&self) -> bool {
        self.needs.here[0] == 0
    }
}

impl Waiting {
    fn turn(&self, id: Line) -> Option<(u64, Place, Line)> {
        let is_asleep = matches!(self.rest, Rest::Asleep(_));
        let head = self.places.first().filter(|_| !is_asleep)?;
        Some((self.start, *head, id))
    }
}
