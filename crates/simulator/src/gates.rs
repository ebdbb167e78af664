//! The plan for several Gates (design.md §1), simulated and not built: each Gate
//! owns some pools; tenants' limits and budgets are kept by one home, which lends
//! parts of them to the Gates for seconds, as a Gate lends to its isolates.
//!
//! Requests are counted and not played: a Gate's admission is what the rest of
//! this crate is about. Time goes in ticks; each Gate sends its home one message a
//! beat, with what it used and what it wants of every tenant.

use limits::message::Millis;

use crate::chance::Chance;

/// Requests are counted in steps of this length.
const TICK_MS: Millis = 100;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// All chance comes from it.
    pub seed: u64,
    /// How many Gates.
    pub gates: usize,
    /// Requests a second that reach one Gate.
    pub per_gate: u64,
    /// Tenants of each Gate; every tenant comes to every Gate.
    pub tenants: usize,
    /// Demand in permille of the tenants' limits.
    pub demand_permille: u64,
    /// A Gate sends its home a message this often.
    pub beat_ms: Millis,
    /// A message takes this long one way.
    pub way_ms: Millis,
    /// How long.
    pub span_ms: Millis,
    /// A Gate is lost this often, one after the other, with what it was lent; 0:
    /// never.
    pub loses_every_ms: Millis,
}

/// What came of it, in requests unless named otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// What all tenants' limits allowed, their bursts included.
    pub allowed: u64,
    /// Asked for.
    pub asked: u64,
    /// Admitted.
    pub admitted: u64,
    /// The most that one tenant was admitted beyond what its limit held.
    pub over: u64,
    /// The most that Gates held of one tenant's limit at one time, in permille of
    /// the limit a minute: stranded where others refuse for want of it.
    pub held_permille: u64,
    /// Lost with Gates: counted as spent and never used.
    pub lost: u64,
    /// Messages that the home answers a second.
    pub home_per_s: u64,
}

/// What a tenant has left at home: a bucket of one minute, in thousandths.
#[derive(Clone, Copy, Debug)]
struct Home {
    per_ms: u64,
    capacity: u64,
    level: u64,
    /// What Gates hold of it. Level and this together are at most the capacity:
    /// a bucket that refilled what is lent would promise it twice.
    lent: u64,
    /// What all Gates are asked for of it a beat, in thousandths.
    wanted: u64,
    /// What one Gate would hold, that was asked for all of it.
    one: i64,
}

/// What a Gate holds of one tenant.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    held: u64,
    /// Asked of it since the last beat, and a running mean of that in thousandths.
    asked: u64,
    mean: u64,
}

/// Plays the plan.
pub fn run(plan: &Plan) -> Found {
    let mut chance = Chance::new(plan.seed);
    let of_all = plan.per_gate * plan.gates as u64 * 1_000 / plan.demand_permille;
    // Thousandths a ms are requests a second.
    let per_ms = (of_all / plan.tenants as u64).max(1);
    let capacity = per_ms * 60_000;
    let full = Home { per_ms, capacity, level: capacity, lent: 0, wanted: 0, one: capacity as i64 };
    let mut homes = vec![full; plan.tenants];
    let mut parts = vec![Part::default(); plan.tenants * plan.gates];
    let mut found = Found::default();
    let mut messages = 0;
    let mean = plan.per_gate * TICK_MS / 1_000 / plan.tenants as u64;
    for tick in 1..=plan.span_ms / TICK_MS {
        let now = tick * TICK_MS;
        homes.iter_mut().for_each(|home| home.refill(TICK_MS));
        for gate in 0..plan.gates {
            let parts = &mut parts[gate * plan.tenants..][..plan.tenants];
            // Gates' beats are spread over time.
            let phase = gate as u64 * plan.beat_ms / plan.gates as u64 / TICK_MS * TICK_MS;
            if (now + phase).is_multiple_of(plan.beat_ms) {
                messages += 1;
                for (part, home) in parts.iter_mut().zip(&mut homes) {
                    home.renew(part, plan);
                }
            }
            for (part, home) in parts.iter_mut().zip(&mut homes) {
                // Burstier than by Poisson's law where the mean is above 3.
                let asks = chance.between(0, 2 * mean);
                let grants = asks.min(part.held / 1_000);
                part.asked += asks;
                part.held -= grants * 1_000;
                home.lent -= grants * 1_000;
                home.one -= grants as i64 * 1_000;
                found.asked += asks;
                found.admitted += grants;
            }
        }
        if plan.loses_every_ms > 0 && now.is_multiple_of(plan.loses_every_ms) {
            let gate = (now / plan.loses_every_ms) as usize % plan.gates;
            let parts = &mut parts[gate * plan.tenants..][..plan.tenants];
            for (part, home) in parts.iter_mut().zip(&mut homes) {
                found.lost += part.held / 1_000;
                // Its lease is over before it is back, and counts as spent.
                home.lent -= part.held;
                home.wanted -= part.mean;
                *part = Part::default();
            }
        }
        for home in &homes {
            found.over = found.over.max((-home.one).max(0) as u64 / 1_000);
            // From when on the burst is used up.
            if now > plan.span_ms / 2 {
                found.held_permille = found.held_permille.max(home.lent * 1_000 / capacity);
            }
        }
    }
    found.allowed = plan.tenants as u64 * (capacity + per_ms * plan.span_ms) / 1_000;
    found.home_per_s = messages * 1_000 / plan.span_ms;
    found
}

impl Home {
    fn refill(&mut self, span: Millis) {
        let gained = self.per_ms * span;
        self.level = (self.level + gained).min(self.capacity.saturating_sub(self.lent));
        self.one = (self.one + gained as i64).min(self.capacity as i64);
    }

    /// A beat: what the Gate holds comes home, and it is lent what it will want
    /// until the next one: all of it while the limit is far, its share where near.
    fn renew(&mut self, part: &mut Part, plan: &Plan) {
        self.level += part.held;
        self.lent -= part.held;
        let before = part.mean;
        let asked = part.asked * 1_000;
        part.mean = if before == 0 { asked } else { (3 * before + asked) / 4 };
        self.wanted = (self.wanted + part.mean).saturating_sub(before);
        part.asked = 0;
        // What is lent arrives when the messages have gone there and back.
        let beat = plan.beat_ms + 2 * plan.way_ms;
        let wants = 2 * part.mean * beat / plan.beat_ms;
        // Two beats' refill at most is lent of a limit that is near, so that what
        // one Gate cannot use comes to the others soon.
        let near = self.level.min(2 * self.per_ms * beat);
        let share = u128::from(near) * u128::from(part.mean) / u128::from(self.wanted.max(1));
        let is_far = self.level > self.capacity / 2;
        // Twice as much where there is enough: demand has its peaks.
        let lends = if is_far { 2 * wants } else { wants.min(share as u64) };
        // A Gate that has just come has no demand yet, and must be able to begin.
        part.held = lends.max(1_000).min(self.level);
        self.level -= part.held;
        self.lent += part.held;
    }
}
