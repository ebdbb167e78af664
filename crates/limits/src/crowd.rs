//! Who is shed when the queue is full: of the largest flow the newest.
//!
//! A flow is what one tenant holds of the queue, by its weight, and within it
//! what one end user does; its size is its part of the bound that it presses on
//! most: places, bytes or tokens. Nothing is counted before the queue is full for
//! the first time, nor longer than it is more than half full.

use std::collections::BTreeSet;

use crate::amounts::{Three, add, less};
use crate::gate::Gate;
use crate::map::Map;
use crate::message::{Millis, Reason, Refusal};
use crate::queue::{Index, Line};
use crate::settings::QueueSettings;
use crate::ticket::Waiter;

/// What flows are compared by: billionths of a bound.
const WHOLE: u128 = 1_000_000_000;

/// All who wait, by flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    tenants: Map<Index, Flows>,
    /// By size.
    order: BTreeSet<(u64, u64)>,
    bounds: Three,
}

/// One tenant's.
#[derive(Clone, Debug, Default)]
struct Flows {
    held: Three,
    weight: u64,
    lines: Map<Line, Flow>,
    /// By size.
    order: BTreeSet<(u64, Line)>,
}

/// One end user's.
#[derive(Clone, Debug, Default)]
struct Flow {
    held: Three,
    /// Those that may be shed: the least priority last, of one the newest.
    newest: BTreeSet<(u64, u64)>,
}

impl QueueSettings {
    /// Whether the queue takes what it would then hold.
    fn is_beyond(&self, held: &Three) -> bool {
        let bounds = self.bounds();
        (0..3).any(|kind| held[kind] > bounds[kind])
    }

    fn bounds(&self) -> Three {
        [self.length_max as u64, self.bytes_max, self.tokens_max]
    }
}

impl Crowd {
    fn new(bounds: Three) -> Self {
        Self { bounds, ..Self::default() }
    }

    fn insert(&mut self, number: u64, waiter: &Waiter, weight: u32) {
        let Waiter { tenant, line, class, attempt, .. } = *waiter;
        let weight = u64::from(weight.max(1));
        self.tenants.entry(tenant).or_insert_with(|| Flows { weight, ..Flows::default() });
        self.change(tenant, line, |held| add(held, &waiter.holds()));
        // The provider refused it once: it is not refused again (invariant 4).
        if attempt == 0
            && let Some(flow) = self.flow(tenant, line)
        {
            flow.newest.insert((class as u64, number));
        }
    }

    fn remove(&mut self, number: u64, waiter: &Waiter) {
        let Waiter { tenant, line, class, .. } = *waiter;
        if let Some(flow) = self.flow(tenant, line) {
            flow.newest.remove(&(class as u64, number));
        }
        self.change(tenant, line, |held| *held = less(held, &waiter.holds()));
    }

    fn flow(&mut self, tenant: Index, line: Line) -> Option<&mut Flow> {
        self.tenants.get_mut(&tenant)?.lines.get_mut(&line)
    }

    /// Changes what a flow and its tenant hold; the one that holds nothing goes.
    fn change(&mut self, tenant: Index, line: Line, change: impl Fn(&mut Three)) {
        let bounds = self.bounds;
        let Some(flows) = self.tenants.get_mut(&tenant) else { return };
        self.order.remove(&(flows.size(&bounds), tenant as u64));
        change(&mut flows.held);
        let flow = flows.lines.entry(line).or_default();
        flows.order.remove(&(size(&flow.held, &bounds), line));
        change(&mut flow.held);
        if flow.held[0] > 0 {
            flows.order.insert((size(&flow.held, &bounds), line));
        } else {
            flows.lines.remove(&line);
        }
        if flows.held[0] > 0 {
            self.order.insert((flows.size(&bounds), tenant as u64));
        } else {
            self.tenants.remove(&tenant);
        }
    }

    /// Who goes for a newcomer; none: it is of the largest flow itself.
    fn victim(&self, newcomer: &Waiter, weight: u32) -> Option<u64> {
        let Waiter { class, tenant, line, attempt, .. } = *newcomer;
        let holds = newcomer.holds();
        let own = self.tenants.get(&tenant);
        let mut held = own.map_or([0; 3], |own| own.held);
        add(&mut held, &holds);
        let size_then = size(&held, &self.bounds) / u64::from(weight.max(1));
        // Most often the largest; one all of whose waiters must stay is passed over.
        let larger = self.order.iter().rev().take_while(|(size, _)| *size > size_then);
        for (_, other) in larger.filter(|(_, other)| *other != tenant as u64) {
            let Some(flows) = self.tenants.get(&(*other as Index)) else { continue };
            let newest = flows.order.iter().rev().find_map(|(_, line)| flows.newest(*line));
            if let Some((_, number)) = newest {
                return Some(number);
            }
        }
        let own = own?;
        let mut held = own.lines.get(&line).map_or([0; 3], |flow| flow.held);
        add(&mut held, &holds);
        let size_then = size(&held, &self.bounds);
        let larger = own.order.iter().rev().take_while(|(size, _)| *size > size_then);
        let mut others = larger.filter(|(_, other)| *other != line);
        if let Some((_, number)) = others.find_map(|(_, other)| own.newest(*other)) {
            return Some(number);
        }
        // Of its own: who is less urgent, or was never sent.
        let (least, number) = own.newest(line)?;
        (least > class as u64 || attempt > 0).then_some(number)
    }
}

impl Flows {
    /// Of one line who is shed first: priority and number.
    fn newest(&self, line: Line) -> Option<(u64, u64)> {
        self.lines.get(&line)?.newest.last().copied()
    }

    fn size(&self, bounds: &Three) -> u64 {
        size(&self.held, bounds) / self.weight.max(1)
    }
}

/// The largest part of a bound that is held.
fn size(held: &Three, bounds: &Three) -> u64 {
    let part = |kind: usize| u128::from(held[kind]) * WHOLE / u128::from(bounds[kind].max(1));
    let most = (0..3).map(part).max().unwrap_or(0);
    u64::try_from(most).unwrap_or(u64::MAX)
}

impl Gate {
    /// Room for a newcomer, if need be by shedding who is newest of the largest
    /// flow. False: the newcomer is of that flow itself.
    pub(crate) fn make_room(&mut self, newcomer: &Waiter) -> bool {
        let weight = self.weight(newcomer.tenant);
        loop {
            let mut held = self.waiting_held;
            add(&mut held, &newcomer.holds());
            if !self.settings.queue.is_beyond(&held) {
                return true;
            }
            let crowd = match self.crowd.take() {
                Some(crowd) => crowd,
                None => self.counted(),
            };
            let victim = crowd.victim(newcomer, weight);
            self.crowd = Some(crowd);
            match victim {
                Some(number) if self.shed(number) => {}
                // What the provider refused has its place in any case (invariant 4).
                _ => return newcomer.attempt > 0,
            }
        }
    }

    fn counted(&self) -> Crowd {
        let mut crowd = Crowd::new(self.settings.queue.bounds());
        for (number, waiter) in &self.waiting {
            crowd.insert(*number, waiter, self.weight(waiter.tenant));
        }
        crowd
    }

    /// One that waits gives its place up to a smaller flow's. False: it does not wait.
    fn shed(&mut self, number: u64) -> bool {
        let Some(name) = self.waiting.get(&number).map(|waiter| waiter.name) else { return false };
        let Some(waiter) = self.drop_waiter(name) else { return false };
        self.keep_place(waiter.need.job, waiter.asked);
        self.undraw(waiter.need.job, &waiter.need.day());
        if waiter.parked {
            let (wait, _) = self.expect(&waiter);
            let mut refusal = full(wait);
            self.keep_for(&waiter, &mut refusal);
            self.answer_refused(waiter, refusal);
        }
        true
    }

    /// One more waits, or one less.
    pub(crate) fn count_waiter(&mut self, number: u64, waiter: &Waiter, comes: bool) {
        let holds = waiter.holds();
        let weight = self.weight(waiter.tenant);
        match comes {
            true => add(&mut self.waiting_held, &holds),
            false => self.waiting_held = less(&self.waiting_held, &holds),
        }
        let mut twice = self.waiting_held;
        add(&mut twice, &self.waiting_held);
        if self.crowd.is_some() && !self.settings.queue.is_beyond(&twice) {
            self.crowd = None;
        }
        match &mut self.crowd {
            Some(crowd) if comes => crowd.insert(number, waiter, weight),
            Some(crowd) => crowd.remove(number, waiter),
            None => {}
        }
    }
}

/// The refusal of whom the queue has no place for: come back when one who came
/// now would be served.
pub(crate) fn full(wait: Millis) -> Refusal {
    Refusal { reason: Reason::QueueFull, retry_after_ms: Some(wait.max(1_000)), limit: None }
}
