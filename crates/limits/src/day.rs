//! A day's budget: what is spent, what open tickets hold, and the ceiling that
//! a restart counts as spent (invariant 8).

use crate::admin::Amounts;
use crate::message::Millis;
use crate::settings::{DayBudget, Durability};

/// Milliseconds in a day; days are UTC and have no leap seconds.
pub(crate) const DAY_MS: Millis = 86_400_000;

/// Requests, tokens, micro-dollars.
pub(crate) type Three = [u64; 3];

/// One scope's day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Day {
    number: u64,
    limits: [Option<u64>; 3],
    spent: Three,
    reserved: Three,
    ceiling: Three,
}

/// Why a day's budget does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    /// More than a whole day's budget.
    TooLarge,
    /// Spent: it opens when the day ends.
    Spent,
    /// Open tickets hold what is left: it may open when they settle.
    Held,
}

impl Day {
    /// A day that a ceiling of `(day number, amounts)` was written for.
    pub(crate) fn restored(saved: Option<(u64, Three)>, now: Millis) -> Self {
        let number = now / DAY_MS;
        match saved {
            // A later day than ours: the clock stepped back; keep counting on it.
            Some((day, ceiling)) if day >= number => {
                Self { number: day, spent: ceiling, ceiling, ..Self::default() }
            }
            _ => Self { number, ..Self::default() },
        }
    }

    pub(crate) fn set_limits(&mut self, limits: [Option<u64>; 3]) {
        self.limits = limits;
    }

    pub(crate) fn limits(&self) -> [Option<u64>; 3] {
        self.limits
    }

    /// Starts a new day when its time has come. Open reservations go over.
    pub(crate) fn roll(&mut self, now: Millis) {
        let number = now / DAY_MS;
        if number > self.number {
            self.number = number;
            self.spent = [0; 3];
            self.ceiling = [0; 3];
        }
    }

    /// Which kind does not take `need`, and why. Call [`Day::roll`] before.
    pub(crate) fn refuses(&self, need: &Three) -> Option<(usize, Shut)> {
        (0..3).find_map(|i| {
            let limit = self.limits[i]?;
            let spent = self.spent[i].saturating_add(need[i]);
            if need[i] > limit {
                Some((i, Shut::TooLarge))
            } else if spent > limit {
                Some((i, Shut::Spent))
            } else if spent.saturating_add(self.reserved[i]) > limit {
                Some((i, Shut::Held))
            } else {
                None
            }
        })
    }

    pub(crate) fn reserve(&mut self, need: &Three) {
        add(&mut self.reserved, need);
    }

    /// Puts `used` in the place of what was reserved.
    pub(crate) fn settle(&mut self, reserved: &Three, used: &Three) {
        for (held, part) in self.reserved.iter_mut().zip(reserved) {
            debug_assert!(*held >= *part, "reserved = sum of the open tickets");
            *held = held.saturating_sub(*part);
        }
        add(&mut self.spent, used);
    }

    /// After a restart: the part of what a ceiling counts as spent that a job still
    /// holds. In a later window the ceiling no longer counts it.
    pub(crate) fn hold_again(&mut self, held: &Three) {
        self.spent = less(&self.spent, held);
        add(&mut self.reserved, held);
    }

    /// What is left of one kind: limit less spent and reserved.
    pub(crate) fn left(&self, kind: usize) -> Option<i64> {
        let used = self.spent[kind].saturating_add(self.reserved[kind]);
        self.limits[kind].map(|limit| signed(limit).saturating_sub(signed(used)))
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.limits.iter().any(Option::is_some)
    }

    /// True where nothing was spent or reserved today.
    pub(crate) fn is_unused(&self) -> bool {
        self.spent == [0; 3] && self.reserved == [0; 3]
    }

    pub(crate) fn ends_in(&self, now: Millis) -> Millis {
        ((self.number + 1) * DAY_MS).saturating_sub(now)
    }

    /// Raises the ceiling where spend and reservations passed it; true where a
    /// row must be written before anything is answered.
    pub(crate) fn raise_ceiling(&mut self, durability: &Durability) -> bool {
        let chunks =
            [durability.requests_chunk, durability.tokens_chunk, durability.microusd_chunk];
        let mut raised = false;
        for (i, unlimited) in chunks.into_iter().enumerate() {
            let used = self.spent[i].saturating_add(self.reserved[i]);
            if used <= self.ceiling[i] {
                continue;
            }
            raised = true;
            let chunk = match self.limits[i] {
                Some(limit) => {
                    let most = limit / 1_000 * u64::from(durability.budget_permille);
                    most.min(limit.saturating_sub(used) / 4)
                }
                None => unlimited,
            };
            self.ceiling[i] = used.saturating_add(chunk);
        }
        raised
    }

    /// Lowers the ceiling to exactly what is spent and reserved; true where
    /// that changes it.
    pub(crate) fn tighten(&mut self) -> bool {
        let used = std::array::from_fn(|i| self.spent[i].saturating_add(self.reserved[i]));
        std::mem::replace(&mut self.ceiling, used) != used
    }

    pub(crate) fn ceiling(&self) -> (u64, Three) {
        (self.number, self.ceiling)
    }

    pub(crate) fn amounts(&self) -> [Amounts; 3] {
        [self.spent, self.reserved, self.ceiling].map(Amounts::from)
    }
}

impl DayBudget {
    pub(crate) fn limits(&self) -> [Option<u64>; 3] {
        [self.requests, self.tokens, self.microusd]
    }
}

pub(crate) fn add(sum: &mut Three, part: &Three) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum = sum.saturating_add(*part);
    }
}

/// What of `whole` is beyond `part`.
pub(crate) fn less(whole: &Three, part: &Three) -> Three {
    std::array::from_fn(|kind| whole[kind].saturating_sub(part[kind]))
}

pub(crate) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(limits: [Option<u64>; 3]) -> Day {
        let mut day = Day::restored(None, 10 * DAY_MS);
        day.set_limits(limits);
        day
    }

    #[test]
    fn a_budget_tells_spent_from_held_from_too_large() {
        let mut day = day([None, Some(100), None]);
        day.reserve(&[1, 60, 0]);
        for (need, shut) in [
            (40, None),
            (41, Some((1, Shut::Held))),
            (100, Some((1, Shut::Held))),
            (101, Some((1, Shut::TooLarge))),
        ] {
            assert_eq!(day.refuses(&[1, need, 0]), shut, "{need}");
        }
        day.settle(&[1, 60, 0], &[1, 50, 7]);
        assert_eq!(day.refuses(&[1, 50, 0]), None);
        assert_eq!(day.refuses(&[1, 51, 0]), Some((1, Shut::Spent)));
        day.roll(11 * DAY_MS - 1);
        assert_eq!((day.left(1), day.ends_in(11 * DAY_MS - 1)), (Some(50), 1));
        day.roll(11 * DAY_MS);
        assert_eq!(day.left(1), Some(100));
    }

    #[test]
    fn the_ceiling_is_never_below_the_spend_and_tightens_near_the_limit() {
        let mut day = day([Some(1_000), None, None]);
        let durability = Durability::default();
        let mut writes = Vec::new();
        for n in 0..1_000 {
            assert_eq!(day.refuses(&[1, 0, 0]), None, "{n}");
            day.reserve(&[1, 0, 0]);
            if day.raise_ceiling(&durability) {
                writes.push(day.ceiling().1[0] - n - 1);
            }
            assert!(day.ceiling().1[0] > n && day.ceiling().1[0] <= 1_000);
            day.settle(&[1, 0, 0], &[1, 0, 0]);
        }
        assert_eq!((writes[0], writes.last()), (20, Some(&0)));
        assert!(writes.len() < 70, "{}", writes.len());
    }

    #[test]
    fn a_restart_counts_the_ceiling_as_spent_within_its_day() {
        let saved = Some((10, [5, 6, 7]));
        assert_eq!(Day::restored(saved, 10 * DAY_MS + 1).amounts()[0].requests, 5);
        assert_eq!(Day::restored(saved, 11 * DAY_MS).amounts()[0].requests, 0);
    }
}
