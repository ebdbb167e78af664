//! The virtual clock: what happens when, in order, at constant cost.
//!
//! Most of what is due is due within seconds, so that a list for each coming
//! millisecond beats a heap of millions.

use std::collections::{BTreeMap, VecDeque};

use limits::message::Millis;

/// Milliseconds ahead that have a list of their own: beyond a request's renewals
/// and most of its chunks.
const NEAR_MS: usize = 1 << 16;

/// What is due, by time; of one time in the order made.
#[derive(Debug)]
pub(crate) struct Clock<T> {
    now: Millis,
    near: Vec<VecDeque<T>>,
    /// How many are in `near`.
    count: usize,
    far: BTreeMap<Millis, Vec<T>>,
}

impl<T> Clock<T> {
    /// A clock that shows `now`.
    pub(crate) fn new(now: Millis) -> Self {
        let near = (0..NEAR_MS).map(|_| VecDeque::new()).collect();
        Self { now, near, count: 0, far: BTreeMap::new() }
    }

    /// Puts something on it, not before now.
    pub(crate) fn push(&mut self, time: Millis, what: T) {
        debug_assert!(time >= self.now, "nothing happens in the past");
        if time - self.now < NEAR_MS as Millis {
            self.near[time as usize % NEAR_MS].push_back(what);
            self.count += 1;
        } else {
            self.far.entry(time).or_default().push(what);
        }
    }

    /// Goes on to what is due next.
    pub(crate) fn pop(&mut self) -> Option<(Millis, T)> {
        loop {
            if let Some(what) = self.near[self.now as usize % NEAR_MS].pop_front() {
                self.count -= 1;
                return Some((self.now, what));
            }
            self.now = if self.count > 0 { self.now + 1 } else { *self.far.first_key_value()?.0 };
            // Before anything nearer can be put into their lists.
            while let Some(entry) = self.far.first_entry()
                && *entry.key() - self.now < NEAR_MS as Millis
            {
                let (time, whats) = entry.remove_entry();
                self.count += whats.len();
                self.near[time as usize % NEAR_MS].extend(whats);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_by_time_and_in_the_order_made() {
        let mut clock = Clock::new(5);
        for (time, what) in [(100_000, 1), (7, 2), (5, 3), (100_000, 4), (9_000_000, 5)] {
            clock.push(time, what);
        }
        assert_eq!(clock.pop(), Some((5, 3)));
        assert_eq!(clock.pop(), Some((7, 2)));
        clock.push(50_000, 6);
        assert_eq!(clock.pop(), Some((50_000, 6)));
        clock.push(100_000, 7);
        let rest: Vec<_> = std::iter::from_fn(|| clock.pop()).collect();
        assert_eq!(rest, [(100_000, 1), (100_000, 4), (100_000, 7), (9_000_000, 5)]);
    }
}
