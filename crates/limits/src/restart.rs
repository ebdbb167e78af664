//! What a pool's row says, and what a restart makes of it.
//!
//! The row holds floors below the levels (`bucket`), and sums over what ran. A restarted
//! mirror begins with both: the level and what is promised of it are then about what they
//! were, and never more. Those that the sums tell of are *ghosts*: each is taken out when
//! it tells that it runs, for it is counted by itself from then on, or how it ended.

use serde::{Deserialize, Serialize};

use crate::amounts::signed;
use crate::message::{Millis, Tokens};
use crate::mirror::{Mirror, Ramp};
use crate::places::{Places, Row, TOLD_MS};
use crate::running::{Part, Running};
use crate::settings::Durability;
use crate::spread::Spread;

/// After a restart each isolate tells what it runs, with its next message but one. A
/// Worker waits 2 s for the Gate (invariant 11): by then nearly all have.
const GHOSTS_TELL_MS: Millis = 2_000;
/// From then on those that nobody told of are taken for ended, at this pace: some were
/// when the restart came. An isolate with one quiet stream renews it within half a minute;
/// its place is kept for it (`places`).
const GHOSTS_MS: Millis = 5_000;

/// The row of a pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedPool {
    at: Millis,
    limits: [Option<u64>; 3],
    floors: [Option<i64>; 3],
    held_until: Millis,
    /// What was learned of the requests: the fields of [`Running`] that do not
    /// count those that run.
    #[serde(default)]
    learned: [u64; 5],
    /// What running requests were still expected to generate: the floor lies below
    /// that much of the level.
    #[serde(default)]
    rest: i64,
    /// Sums over them.
    #[serde(default)]
    ran: [u64; 5],
    /// Squares of what was taken for their input.
    #[serde(default)]
    input_squares: u64,
    /// How far inputs and speeds are off.
    #[serde(default)]
    spreads: [[u64; 3]; 2],
    /// How many may run while a limit is unknown.
    #[serde(default)]
    window: u64,
    /// Requests a minute within the provider's ramp limit, and when they grow.
    #[serde(default)]
    ramp: Option<(u64, Millis)>,
    /// Places that were taken, where their number is limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Row,
    /// The floors lie where the levels did: whoever went since would have written another
    /// row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_exact: bool,
}

/// Those of before a restart that were taken for ended, in vain where they tell after all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Presumed {
    count: u64,
    /// What was taken of the output level for all of them.
    taken: i64,
    /// By then whoever runs has told.
    until: Millis,
}

impl Presumed {
    fn add(&mut self, taken: i64) {
        self.count += 1;
        self.taken = self.taken.saturating_add(taken);
    }

    /// What was taken for one, which is none of them any more.
    fn one(&mut self, now: Millis) -> Option<i64> {
        if self.count == 0 || now >= self.until {
            return None;
        }
        let taken = self.taken / signed(self.count);
        self.count -= 1;
        self.taken -= taken;
        Some(taken)
    }
}

impl Mirror {
    /// Takes a stored row back: limits that were learned, floors, a hold, and sums over
    /// what ran, which goes on generating.
    pub(crate) fn restore(&mut self, saved: &SavedPool, started: Millis, now: Millis) {
        for kind in 0..3 {
            if let Some(limit) = saved.limits[kind] {
                self.set_limit(kind, limit, now);
            }
            if let (Some(bucket), Some(floor)) = (&mut self.buckets[kind], saved.floors[kind]) {
                let owed = if kind == 2 { saved.rest } else { 0 };
                bucket.restore(floor, owed, saved.at, now);
            }
        }
        self.held_until = saved.held_until;
        if let Some(second) = &mut self.second {
            // What went in the last second is not known, or that it was before the row.
            let emptied = if saved.is_exact { saved.at } else { now };
            second.restore(0, 0, emptied, now);
        }
        let [input, faster] = saved.spreads.map(Spread::restored);
        self.input_spread = input;
        let SavedPool { ran, input_squares, learned, .. } = *saved;
        // They went on generating since.
        let at = saved.at.min(now);
        self.running = Running::restored(ran, input_squares, learned, faster, saved.rest, at);
        self.ramp = saved.ramp.map(|(rate, grows_at)| Ramp::new(rate, grows_at, now));
        self.window = self.window.max(saved.window);
        self.assumed = 0;
        self.saved_count = self.running.ghosts();
        self.places = match &saved.places[..] {
            // Their number was not limited then.
            [] => Places::restored(&[(0, self.saved_count)], started),
            row => Places::restored(row, started),
        };
        self.ghost_ends_at = now + GHOSTS_TELL_MS;
        self.presumed = Presumed { until: started + TOLD_MS, ..Presumed::default() };
    }

    /// A request runs that was granted before a restart: the restored level and sums
    /// hold it already.
    pub(crate) fn resume(&mut self, part: &Part, now: Millis) {
        self.refill(now);
        self.places.told(now);
        if self.lay_ghost(now).is_none()
            && let Some(taken) = self.presumed.one(now)
        {
            self.take_output(signed(part.generated) - taken);
        }
        self.running.add(part);
    }

    /// Those that run and told so, or were granted since the start.
    fn known(&self) -> u64 {
        self.running.count() - self.running.ghosts()
    }

    /// Places that are taken, or may be since before a restart.
    pub(crate) fn taken(&self, now: Millis) -> u64 {
        self.known() + self.places.silent(now)
    }

    /// Takes one that ran before a restart out of the sums: what it had generated by
    /// the level, if there is one.
    fn lay_ghost(&mut self, now: Millis) -> Option<i64> {
        let before = self.generated(now);
        let told = self.running.lay_ghost()?;
        self.assumed = self.generated(now);
        Some(told + before - self.assumed)
    }

    /// A request ended that was granted before a restart, and that nobody told of: its input
    /// was taken by then.
    pub(crate) fn end_before(&mut self, output: Tokens, max_tokens: Tokens, now: Millis) {
        self.places.told(now);
        let taken = self.lay_ghost(now).or_else(|| self.presumed.one(now)).unwrap_or(0);
        if self.reserves_most {
            self.give_back(max_tokens, output);
        } else {
            self.take_output(signed(output) - taken);
        }
    }

    /// Takes those for ended that nobody told of for long: as long as they were expected.
    pub(crate) fn lay_silent(&mut self, now: Millis) {
        while self.running.ghosts() > 0 && now >= self.ghost_ends_at {
            self.ghost_ends_at += GHOSTS_MS / self.running.ghosts().min(GHOSTS_MS);
            let expected = self.running.ghost_length();
            let taken = self.lay_ghost(now).unwrap_or(0);
            if !self.reserves_most {
                self.take_output((expected - taken).max(0));
                self.presumed.add(expected.max(taken));
            }
        }
    }

    /// The row to store, where the floors no longer lie below the levels or
    /// something was learned.
    pub(crate) fn save(&mut self, durability: &Durability, now: Millis) -> Option<SavedPool> {
        let owed = self.owed(now);
        let below = (0..3)
            .any(|kind| self.buckets[kind].as_ref().is_some_and(|b| b.is_below_floor(owed[kind])));
        // A restart must not give places away twice.
        let places = self.concurrent.is_some() && self.places.must_store(self.known(), now);
        let must = below || places || self.unsaved;
        must.then(|| self.row(Some(durability.bucket_permille), now))
    }

    /// Quiet: the row that says that more run than do is written anew, and with exact
    /// floors where nobody runs.
    pub(crate) fn save_exactly(
        &mut self,
        durability: &Durability,
        now: Millis,
    ) -> Option<SavedPool> {
        self.refill(now);
        let is_still = self.running.count() == 0 && self.lent == [0; 3];
        let above = self.buckets.iter().flatten().any(|bucket| bucket.is_above_floor(0));
        let fewer = self.running.count() < self.saved_count;
        let places = self.concurrent.is_some() && self.places.is_loose(self.known(), now);
        let must = self.unsaved || fewer || places || is_still && above;
        let chunk_permille = (!is_still).then_some(durability.bucket_permille);
        must.then(|| self.row(chunk_permille, now))
    }

    /// What of the levels is promised.
    fn owed(&self, now: Millis) -> [i64; 3] {
        let [requests, input, output] = self.lent;
        [requests, input, output + self.rest(now)]
    }

    fn row(&mut self, chunk_permille: Option<u32>, now: Millis) -> SavedPool {
        self.unsaved = false;
        let (owed, rest) = (self.owed(now), self.rest(now));
        let mut floors = [None; 3];
        for (kind, bucket) in self.buckets.iter_mut().enumerate() {
            if let Some(bucket) = bucket {
                floors[kind] = Some(bucket.put_floor(owed[kind], chunk_permille));
            }
        }
        let (ran, learned) = self.running.row();
        let ramp = self.ramp.as_ref().map(|ramp| (ramp.bucket.per_minute(), ramp.grows_at));
        self.saved_count = self.running.count();
        let (known, is_limited) = (self.known(), self.concurrent.is_some());
        let places = if is_limited { self.places.row(known, now) } else { Row::new() };
        SavedPool {
            at: now,
            limits: self.limits,
            floors,
            held_until: self.held_until,
            learned,
            rest,
            ran,
            input_squares: self.running.input_squares(),
            spreads: [self.input_spread, self.running.faster].map(Spread::row),
            window: self.window,
            ramp,
            places,
            is_exact: chunk_permille.is_none() && self.buckets[0].is_some(),
        }
    }

    /// What running requests will draw yet, at most as far as can be told.
    fn rest(&self, now: Millis) -> i64 {
        if self.reserves_most { 0 } else { self.running.rest(self.generated(now)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Need;
    use crate::settings::{AccountSettings, ClassLimits};

    const OTPM: u64 = 8_000;

    fn mirror(now: Millis) -> Mirror {
        let limits = ClassLimits { otpm: Some(OTPM), itpm: Some(30_000), ..Default::default() };
        let limits = [("*".into(), Box::new(limits))].into();
        Mirror::new(&AccountSettings { limits, ..Default::default() }, "c", now)
    }

    /// One runs of whose output a thousand are expected, in a bucket that is nearly empty, and
    /// the row is written.
    fn busy() -> (Mirror, SavedPool, Part) {
        let mut mirror = mirror(0);
        mirror.take_output(6_000);
        let need = Need { input: 5_000, output: 1_000, output_max: 4_000, ..Need::default() };
        mirror.take(&need, 0);
        let saved = mirror.save(&Durability::default(), 0).expect("it was never written");
        let part = Part { input: 5_000, expected: 1_000, generated: 0, max: 4_000, since: 0 };
        (mirror, saved, part)
    }

    fn restarted(saved: &SavedPool, now: Millis) -> Mirror {
        let mut mirror = mirror(now);
        mirror.restore(saved, now, now);
        mirror.refill(now);
        mirror
    }

    fn output(mirror: &mut Mirror, now: Millis) -> i64 {
        mirror.refill(now);
        mirror.free(now)[2].expect("a limit")
    }

    #[test]
    fn how_far_estimates_are_off_outlives_a_restart() {
        let (mut mirror, ..) = busy();
        (0..100).for_each(|n| mirror.input_spread.learn(100, 100 + n % 21));
        mirror.unsaved = true;
        let saved = mirror.save(&Durability::default(), 1_000).expect("it is to be written");
        let text = serde_json::to_string(&saved).expect("JSON");
        let restarted = restarted(&json::from_str(&text).expect("a row"), 1_000);
        // A fifth of what runs and of what asks.
        let need = Need { input: 24_000, ..Need::default() };
        let wait = |mirror: &Mirror| mirror.wait_ms(&need, &[0; 3], 1_000);
        assert!(wait(&mirror) > 0);
        let chunk_ms = 60_000 * 5 / 100 + 2;
        assert!((wait(&mirror)..wait(&mirror) + chunk_ms).contains(&wait(&restarted)));
    }

    #[test]
    fn what_was_to_come_of_those_that_ended_meanwhile_is_nobodys() {
        let (mut before, saved, part) = busy();
        // It ends somewhat longer than expected: the row holds that, and stays as it is.
        before.refill(2_000);
        before.end(&part, Some((1_200, 2_000)), 2_000);
        assert!(before.save(&Durability::default(), 2_000).is_none());
        let mut after = restarted(&saved, 2_000);
        for now in (2_000..15_000).step_by(500) {
            let (mirrored, real) = (output(&mut after, now), output(&mut before, now));
            assert!(mirrored <= real + 240, "{now}: {mirrored} of {real}");
        }
        assert_eq!(after.running.ghosts(), 0);
    }

    #[test]
    fn one_that_tells_after_it_was_taken_for_ended_is_counted_once() {
        let (_, saved, part) = busy();
        let mut told = restarted(&saved, 1_000);
        let mut silent = told.clone();
        let part = Part { generated: 50, since: 1_000, ..part };
        told.resume(&part, 1_000);
        silent.refill(12_000);
        assert_eq!(silent.running.ghosts(), 0);
        for mirror in [&mut told, &mut silent] {
            mirror.refill(20_000);
        }
        let slow = Part { generated: 400, since: 20_000, ..part };
        silent.resume(&slow, 20_000);
        told.progress(&part, &slow, 20_000);
        let (told, silent) = (output(&mut told, 20_000), output(&mut silent, 20_000));
        assert!(told.abs_diff(silent) <= 100, "{told} {silent}");
    }
}
