//! When a budget's window begins and ends, in its time zone, and in which steps
//! it opens.

use crate::message::Millis;
use crate::policy::Pace;

/// Milliseconds in an hour, and in a day of 24 of them.
const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: Millis = 86_400_000;
const DAY: i64 = DAY_MS as i64;
/// Days of a month that moves along: today and the 29 before.
const MOVING_DAYS: i64 = 30;

/// A time zone's offsets over the years that matter: the shell knows the world's
/// rules, the Gate only what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    changes: Vec<(Millis, i64)>,
}

impl Zone {
    /// From when on local time is how many milliseconds ahead of UTC, in order of
    /// time; before the first change its offset holds, too.
    pub fn new(changes: Vec<(Millis, i64)>) -> Self {
        Self { changes }
    }

    fn offset(&self, at: Millis) -> i64 {
        let after = self.changes.partition_point(|(from, _)| *from <= at);
        self.changes.get(after.saturating_sub(1)).map_or(0, |(_, offset)| *offset)
    }

    fn local(&self, at: Millis) -> i64 {
        at as i64 + self.offset(at)
    }

    /// The first instant at which local time is `local` or later: where clocks go
    /// forward over it, the moment they do.
    fn instant(&self, local: i64) -> Millis {
        let mut from = 0;
        let mut offset = self.offset(0);
        for (change, next) in &self.changes {
            let at = (local - offset).max(from);
            if at < *change as i64 {
                return at as Millis;
            }
            (from, offset) = (*change as i64, *next);
        }
        (local - offset).max(from) as Millis
    }

    /// The local day that `at` belongs to. Where clocks go back over midnight, the
    /// new day has begun all the same.
    fn day(&self, at: Millis) -> i64 {
        let day = self.local(at).div_euclid(DAY);
        day + i64::from(self.instant((day + 1) * DAY) <= at)
    }
}

/// How often a budget begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cycle {
    Day,
    /// The weekday it begins on; 0: Monday.
    Week(u8),
    Month,
    /// A month that moves along, by days.
    Moving,
    /// Never: until this moment, a visitor token's end.
    Until(Millis),
}

impl Cycle {
    /// The local days of the window around `day`: the first, and the first after.
    fn days(self, day: i64) -> (i64, i64) {
        match self {
            Self::Day => (day, day + 1),
            Self::Week(first) => {
                let first = day - (weekday(day) - i64::from(first)).rem_euclid(7);
                (first, first + 7)
            }
            Self::Month => month(day),
            Self::Moving => (day + 1 - MOVING_DAYS, day + 1),
            Self::Until(_) => (day, day + 1),
        }
    }
}

/// Where a moment stands in a budget's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The window: its beginning, and its end.
    pub(crate) window: (Millis, Millis),
    /// The step in which it opens now.
    step: (Millis, Millis),
    /// Shares of the budget that are open since before this step, open in this
    /// step, and in all.
    shares: (i64, i64, i64),
}

impl Place {
    pub(crate) fn of(at: Millis, cycle: Cycle, pace: Pace, zone: &Zone) -> Self {
        if let Cycle::Until(end) = cycle {
            return Self { window: (0, end), step: (0, end), shares: (0, 1, 1) };
        }
        let day = zone.day(at);
        let (first, next) = cycle.days(day);
        let instant = |day: i64| zone.instant(day * DAY);
        let window = (instant(first), instant(next));
        let today = (instant(day), instant(day + 1));
        let (step, shares) = match (pace, cycle) {
            (Pace::Off, _) => (window, (0, 1, 1)),
            (_, Cycle::Day) => {
                let length = (window.1 - window.0) as i64;
                let hour = (at - window.0) as i64 / HOUR_MS;
                let from = window.0 + (hour * HOUR_MS) as Millis;
                let step = (from, window.1.min(from + HOUR_MS as Millis));
                (step, (hour, 1, (length + HOUR_MS - 1) / HOUR_MS))
            }
            (Pace::Even, _) => (today, (day - first, 1, next - first)),
            (Pace::Workdays, _) => {
                let works = |from, to| (from..to).filter(|day| weekday(*day) < 5).count() as i64;
                (today, (works(first, day), works(day, day + 1), works(first, next)))
            }
        };
        Self { window, step, shares }
    }

    pub(crate) fn holds(&self, at: Millis) -> bool {
        (self.step.0..self.step.1).contains(&at)
    }

    /// What of a budget is open. Background work finds a step's own share open by
    /// twenty-fourths, as they pass: it cannot take the day before others come.
    pub(crate) fn open(&self, budget: u64, at: Millis, is_background: bool) -> u64 {
        let (before, now, all) = self.shares;
        if all <= 1 {
            return budget;
        }
        let parts = match is_background {
            true => before * PARTS + now * self.part(at),
            false => (before + now) * PARTS,
        };
        // Shares are at most 31, parts 24: below 2^74.
        (u128::from(budget) * parts as u128 / (all * PARTS) as u128) as u64
    }

    /// When more of it opens.
    pub(crate) fn next(&self, at: Millis, is_background: bool) -> Millis {
        if !is_background || self.shares.2 <= 1 {
            return self.step.1;
        }
        let length = (self.step.1 - self.step.0) as i64;
        let next = (length * (self.part(at) + 1) + PARTS - 1) / PARTS;
        (self.step.0 + next as Millis).min(self.step.1)
    }

    fn part(&self, at: Millis) -> i64 {
        (at.saturating_sub(self.step.0)) as i64 * PARTS / (self.step.1 - self.step.0).max(1) as i64
    }
}

/// Parts in which a step opens for background work.
const PARTS: i64 = 24;

/// 0: Monday. 1970-01-01 was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// The first days of the civil month around `day` (since 1970-01-01) and of the
/// next, by the proleptic Gregorian calendar: eras of 400 years from 0000-03-01,
/// so that leap days come last.
pub(crate) fn month(day: i64) -> (i64, i64) {
    let days = day + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let first = days - of_year + (153 * month + 2) / 5;
    let next = if month == 11 {
        // February ends the year of March: the next era's day, or the leap one.
        let year = year + 1;
        era * 146_097 + 365 * year + year / 4 - year / 100 + year / 400
    } else {
        days - of_year + (153 * (month + 1) + 2) / 5
    };
    (first - 719_468, next - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Europe/Berlin: 2026-03-29 01:00 and 2026-10-25 01:00 UTC, +1 h else.
    fn berlin() -> Zone {
        Zone::new(vec![
            (0, HOUR_MS),
            (1_774_746_000_000, 2 * HOUR_MS),
            (1_792_890_000_000, HOUR_MS),
        ])
    }

    fn window(at: Millis, cycle: Cycle, zone: &Zone) -> (Millis, Millis) {
        Place::of(at, cycle, Pace::Off, zone).window
    }

    #[test]
    fn windows_begin_at_local_midnight() {
        let (utc, berlin) = (Zone::default(), berlin());
        // Each from `TZ=… date -d … +%s`.
        for (at, cycle, zone, from, to) in [
            // 2026-11-25 (a Wednesday) 07:00 UTC.
            (1_795_590_000, Cycle::Day, &utc, 1_795_564_800, 1_795_651_200),
            (1_795_590_000, Cycle::Week(0), &utc, 1_795_392_000, 1_795_996_800),
            (1_795_590_000, Cycle::Week(6), &utc, 1_795_305_600, 1_795_910_400),
            (1_795_590_000, Cycle::Week(2), &utc, 1_795_564_800, 1_796_169_600),
            (1_795_590_000, Cycle::Month, &utc, 1_793_491_200, 1_796_083_200),
            (1_795_590_000, Cycle::Moving, &utc, 1_793_059_200, 1_795_651_200),
            (1_795_590_000, Cycle::Month, &berlin, 1_793_487_600, 1_796_079_600),
            // The days of 23 and of 25 hours.
            (1_774_746_000, Cycle::Day, &berlin, 1_774_738_800, 1_774_821_600),
            (1_792_890_000, Cycle::Day, &berlin, 1_792_879_200, 1_792_969_200),
            // A week with 25 of them too many, and February of a leap year.
            (1_792_890_000, Cycle::Week(0), &berlin, 1_792_360_800, 1_792_969_200),
            (1_835_000_000, Cycle::Month, &utc, 1_832_976_000, 1_835_481_600),
        ] {
            let (from, to) = (from * 1_000, to * 1_000);
            assert_eq!(window(at * 1_000, cycle, zone), (from, to), "{at} {cycle:?}");
            if cycle != Cycle::Moving {
                assert_eq!(window(to - 1, cycle, zone), (from, to));
                assert_eq!(window(from, cycle, zone), (from, to));
            }
        }
    }

    #[test]
    fn no_instant_lies_outside_of_its_window_or_step() {
        // Clocks that go back over midnight, and a zone beyond a day's half.
        let over_midnight = Zone::new(vec![
            (0, 3 * HOUR_MS),
            (1_793_480_400_000, 2 * HOUR_MS),
            (1_793_900_000_000, -11 * HOUR_MS),
        ]);
        for zone in [Zone::default(), berlin(), over_midnight] {
            for cycle in [Cycle::Day, Cycle::Week(3), Cycle::Month, Cycle::Moving] {
                for pace in [Pace::Off, Pace::Even, Pace::Workdays] {
                    let mut at = 1_792_000_000_000;
                    while at < 1_795_000_000_000 {
                        let place = Place::of(at, cycle, pace, &zone);
                        let (from, to) = place.window;
                        assert!(from <= at && at < to && place.holds(at), "{at} {place:?}");
                        let next = place.next(at, true);
                        assert!(next > at && next <= place.next(at, false), "{at} {place:?}");
                        at += 1_799_999;
                    }
                }
            }
        }
    }

    #[test]
    fn a_paced_week_opens_by_days_and_by_workdays() {
        let day = |n: u64| (1_795_392_000 + n * 86_400) * 1_000 + 1;
        let zone = Zone::default();
        let open = |n, pace, background| {
            Place::of(day(n), Cycle::Week(0), pace, &zone).open(700, day(n), background)
        };
        let all = |pace, background| [0, 1, 4, 5, 6].map(|n| open(n, pace, background));
        assert_eq!(all(Pace::Off, true), [700; 5]);
        assert_eq!(all(Pace::Even, false), [100, 200, 500, 600, 700]);
        assert_eq!(all(Pace::Even, true), [0, 100, 400, 500, 600]);
        assert_eq!(all(Pace::Workdays, false), [140, 280, 700, 700, 700]);
        assert_eq!(all(Pace::Workdays, true), [0, 140, 560, 700, 700]);
        let noon = day(1) + DAY_MS / 2;
        let place = Place::of(noon, Cycle::Week(0), Pace::Even, &zone);
        assert_eq!(place.open(700, noon, true), 150);
        assert_eq!(place.next(noon, true), noon - 1 + DAY_MS / 24);
        // A day's by hours.
        let place = Place::of(noon, Cycle::Day, Pace::Even, &zone);
        assert_eq!((place.open(240, noon, false), place.open(240, noon, true)), (130, 120));
    }

    #[test]
    fn months_follow_the_calendar() {
        // First days of 1970-02, 2000-03, 2100-03 (no leap year), 2026-12.
        for (day, next) in [(0, 31), (11_016, 11_017), (47_540, 47_541), (20_782, 20_788)] {
            assert_eq!(month(day).1, next, "{day}");
        }
        assert_eq!(month(20_782).0, 20_758);
    }
}
