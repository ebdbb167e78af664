//! Turns by use: start-time fair queueing (Goyal, Vin and Cheng, 1997).
//!
//! Whoever was served starts again where its last turn ended; a newcomer starts
//! where the one served last did. So whoever used less goes first, and nobody
//! saves turns up.

use crate::map::Map;

/// Ends that outlast a look, some 40 bytes each; between two looks there are at most
/// 64 more than twice as many. While newcomers come faster than they are served the
/// clock stands still, and each of them leaves an end that lies ahead.
const ENDS_MAX: usize = 4_096;

/// What a turn at `cost` is to a tenant of this weight: never nothing.
pub(super) fn turn(cost: u64, weight: u32) -> u64 {
    (cost / u64::from(weight.max(1))).max(1)
}

#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// The start of the turn that was served last.
    now: u64,
    /// Where each one's last turn ended, while that lies ahead.
    ends: Map<u64, u64>,
    /// How many of them are looked at.
    looks: usize,
}

impl Turns {
    /// Where the next turn of `who` starts that does not wait.
    pub(super) fn start(&self, who: u64) -> u64 {
        self.ends.get(&who).copied().unwrap_or(0).max(self.now)
    }

    /// How far the clock goes on when it is served next.
    pub(super) fn until(&self, who: u64) -> u64 {
        self.start(who) - self.now
    }

    /// It was served at `cost`: where its next turn starts.
    pub(super) fn served(&mut self, who: u64, cost: u64) -> u64 {
        self.now = self.start(who);
        let end = self.now.saturating_add(cost);
        self.ends.insert(who, end);
        // Ends that are past say nothing. Looking when their number has doubled
        // costs each service a constant.
        if self.ends.len() > self.looks {
            let now = self.now;
            self.ends.retain(|_, end| *end > now);
            if self.ends.len() > ENDS_MAX {
                // All start anew, behind those that wait already.
                self.now = self.ends.values().copied().max().unwrap_or(now);
                self.ends.clear();
            }
            self.looks = 64 + 2 * self.ends.len();
        }
        end
    }

    /// A turn was given back.
    pub(super) fn unserved(&mut self, who: u64, cost: u64) {
        if let Some(end) = self.ends.get_mut(&who) {
            *end = end.saturating_sub(cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_used_less_starts_first_and_nobody_saves_turns_up() {
        let mut turns = Turns::default();
        assert_eq!([turns.served(1, 10), turns.served(1, 10)], [10, 20]);
        assert_eq!(turns.served(2, 5), 15, "a newcomer starts where the last one served did");
        assert_eq!((turns.start(1), turns.start(2), turns.start(3)), (20, 15, 10));
        turns.unserved(1, 10);
        assert_eq!(turns.start(1), 10);
    }

    #[test]
    fn newcomers_without_end_are_forgotten_and_start_behind_those_who_wait() {
        let mut turns = Turns::default();
        for who in 0..3 * ENDS_MAX as u64 {
            turns.served(who, 7);
            assert!(turns.ends.len() <= 2 * ENDS_MAX + 65);
        }
        assert!(turns.start(u64::MAX) >= 7, "the clock went on");
    }
}
