//! Between which parts of the estimate the truth lies, for all but a stated part of
//! the requests.
//!
//! Split conformal prediction over the last requests' relative errors, a histogram
//! of them: if all weigh the same and the next request is like those (exchangeable
//! with them), it lies outside each bound with at most the stated probability. What
//! weighs by its teacher ([`crate::Teachers`]) is not exchangeable with the next
//! request, which comes of whoever sends most: the histogram then is of teachers with
//! about the same say, and the stated part is an aim, for each of them and for all.
//!
//! Where it is missed, the tail that is left out adapts (Gibbs and Candès, 2021,
//! "Adaptive conformal inference under distribution shift"): each miss widens the
//! bound by more than each hit narrows it, so that in the long run the stated part is
//! met all the same, of requests as these steps weigh them.
//!
//! Both are slow where who sends most weighs little, so a third looks at how many of the
//! last few were missed, whoever sent them: from three of three on the bounds take in all
//! errors since then, until the histogram has followed.

use crate::WHOLE;

/// Sizes that have bounds of their own: small requests are off by more.
pub const SIZES: usize = 3;
/// Estimates from here on are of the next size.
const SIZE_FROM: [u64; SIZES - 1] = [256, 4_096];

/// What lies beyond each bound: 25 of a thousand, so that 95 % lie between them.
const TAIL_MILLIONTHS: i64 = 25_000;
/// The widest that a tail adapts to.
const TAIL_MAX: i64 = 4 * TAIL_MILLIONTHS;
/// How fast it does: a 128th of the error, as slowly as the histogram forgets.
const ADAPTS: i64 = 128;

/// How much of what was missed of late each request makes, whoever sends it: an eighth.
const OF_LATE: i64 = 8;
/// From so much of it on, millionths, the requests are taken to be others than those of
/// the histogram: where a twentieth was missed, three of three bring it there.
const ALARMED: i64 = 340_000;
/// Until it is below this again.
const CALM: i64 = 100_000;

/// Columns of the histogram, a 64th of the larger of estimate and truth wide: the
/// outer two hold all beyond 36 %.
const COLUMNS: usize = 48;
const PARTS: i64 = 64;
/// One request's weight, so that it can be halved some times.
const ONE: u16 = WHOLE;
/// With so many requests all are halved: a bound rests on the last 128 to 256, by
/// their weight.
const REQUESTS_MAX: u32 = 256;

/// The bounds of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    columns: [u16; COLUMNS],
    /// The tails left out, millionths.
    below: i64,
    above: i64,
    /// How often the histogram's bounds were missed of late, millionths.
    missed: i64,
    /// Whether that is so much that all errors since it was little lie within the bounds.
    is_alarmed: bool,
    /// From which column to which these are, and one more on either side; [`NONE`].
    since: (usize, usize),
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            columns: [0; COLUMNS],
            below: TAIL_MILLIONTHS,
            above: TAIL_MILLIONTHS,
            missed: 0,
            is_alarmed: false,
            since: NONE,
        }
    }
}

/// More than there are columns, by which their numbers are stored.
const PLACES: i64 = 64;
/// From behind the last column to the first.
const NONE: (usize, usize) = (COLUMNS, 0);

/// The size of a request with this estimate.
pub(super) fn size(estimate: u64) -> usize {
    SIZE_FROM.iter().filter(|from| estimate >= **from).count()
}

impl Bounds {
    /// `real` was counted where these bounds were told, in thousandths; 0: none. It is
    /// `weight` of [`ONE`] request.
    pub(super) fn learn(&mut self, estimate: u64, real: u64, lower: u64, upper: u64, weight: u16) {
        let of_estimate = |part: u64| estimate.saturating_mul(part);
        let thousandfold = real.saturating_mul(1_000);
        let is_below = |lower: u64| lower > 0 && thousandfold < of_estimate(lower);
        let is_above = |upper: u64| upper > 0 && thousandfold > of_estimate(upper);
        let by_histogram = self.by_histogram().is_some_and(|(left, right)| {
            let (lower, upper) = parts(left, right);
            is_below(lower) || is_above(upper)
        });
        self.watch(column(estimate, real), by_histogram);
        // Half way between all requests alike, by which the bounds are wide at once after
        // a change whoever sends, and all teachers alike: the geometric mean.
        let step = (f64::from(weight) * f64::from(ONE)).sqrt() as u16;
        adapt(&mut self.below, is_below(lower), step);
        adapt(&mut self.above, is_above(upper), step);
        self.columns[column(estimate, real)] += weight;
        if self.total() >= REQUESTS_MAX * u32::from(ONE) {
            self.columns.iter_mut().for_each(|column| *column /= 2);
        }
    }

    /// The more errors there were since the bounds were missed first, the more rarely the
    /// next lies beyond all of them.
    fn watch(&mut self, column: usize, has_missed: bool) {
        self.missed += (i64::from(has_missed) * 1_000_000 - self.missed) / OF_LATE;
        if self.missed < CALM {
            (self.is_alarmed, self.since) = (false, NONE);
            return;
        }
        self.is_alarmed |= self.missed >= ALARMED;
        let (first, last) = self.since;
        self.since = (first.min(column.saturating_sub(1)), last.max(column + 1).min(COLUMNS));
    }

    /// Lower and upper bound in thousandths of the estimate; 0: so often missed of
    /// late that none can be stated. None while there were too few requests.
    pub(super) fn told(&self) -> Option<(u64, u64)> {
        let (left, right) = self.by_histogram()?;
        let (first, last) = if self.is_alarmed { self.since } else { NONE };
        Some(parts(left.min(first), right.min((COLUMNS - 1).saturating_sub(last))))
    }

    /// How many columns from the left and from the right on may be left out; 0: none.
    fn by_histogram(&self) -> Option<(usize, usize)> {
        if i64::from(self.total()) + i64::from(ONE) < i64::from(ONE) * 1_000_000 / TAIL_MILLIONTHS {
            return None;
        }
        let left = self.outermost(self.below, self.columns.iter().copied());
        let right = self.outermost(self.above, self.columns.iter().rev().copied());
        Some((left, right))
    }

    /// How many columns from its side on may be left out; 0 where even one
    /// request is too much, or where the bound lies beyond the histogram.
    fn outermost(&self, tail: i64, columns: impl Iterator<Item = u16>) -> usize {
        let one = i64::from(ONE);
        let mut left = (i64::from(self.total()) + one) * tail / 1_000_000 - one;
        if left < 0 {
            return 0;
        }
        for (at, column) in columns.enumerate() {
            left -= i64::from(column);
            if left < 0 {
                return at;
            }
        }
        0
    }

    fn total(&self) -> u32 {
        self.columns.iter().map(|column| u32::from(*column)).sum()
    }

    pub(super) fn save(&self, numbers: &mut Vec<i64>) {
        numbers.extend([self.below, self.above]);
        numbers.extend(self.columns.map(i64::from));
    }

    /// What came to be stored later, and follows the bounds of all sizes.
    pub(super) fn watched(&self) -> i64 {
        let (first, last) = (self.since.0 as i64, self.since.1 as i64);
        ((self.missed * 2 + i64::from(self.is_alarmed)) * PLACES + first) * PLACES + last
    }

    /// False where it is not that.
    pub(super) fn watch_again(&mut self, watched: i64) -> bool {
        let (first, last) = (watched / PLACES % PLACES, watched % PLACES);
        self.missed = watched / PLACES / PLACES / 2;
        self.is_alarmed = watched / PLACES / PLACES % 2 == 1;
        self.since = (first as usize, last as usize);
        (0..=1_000_000).contains(&self.missed) && watched >= 0 && first.max(last) <= COLUMNS as i64
    }

    pub(super) fn restore(numbers: &mut std::slice::Iter<'_, i64>) -> Option<Self> {
        let mut next = || numbers.next().copied();
        let mut bounds = Self { below: next()?, above: next()?, ..Self::default() };
        for column in &mut bounds.columns {
            *column = u16::try_from(next()?).ok()?;
        }
        let is_sound =
            [bounds.below, bounds.above].iter().all(|tail| (0..=TAIL_MAX).contains(tail))
                && bounds.total() < REQUESTS_MAX * u32::from(ONE);
        is_sound.then_some(bounds)
    }
}

/// The bounds where so many columns are left out, in thousandths; 0: none.
fn parts(left: usize, right: usize) -> (u64, u64) {
    let edge = |at: usize| thousandths(at as i64 - COLUMNS as i64 / 2);
    let lower = if left > 0 { edge(left).0 } else { 0 };
    (lower, if right > 0 { edge(COLUMNS - right).1 } else { 0 })
}

fn adapt(tail: &mut i64, missed: bool, weight: u16) {
    let error = TAIL_MILLIONTHS - if missed { 1_000_000 } else { 0 };
    let step = error * i64::from(weight) / (ADAPTS * i64::from(ONE));
    *tail = (*tail + step).clamp(0, TAIL_MAX);
}

/// The column of an error: 0 at the middle one's left edge.
fn column(estimate: u64, real: u64) -> usize {
    // Beyond any prompt, and its 64-fold fits.
    let [estimate, real] = [estimate, real].map(|tokens| tokens.min(1 << 48) as i64);
    let at = ((real - estimate) * PARTS).div_euclid(real.max(estimate).max(1));
    (at + COLUMNS as i64 / 2).clamp(0, COLUMNS as i64 - 1) as usize
}

/// What part of the estimate lies at a column's edge, in thousandths: rounded down,
/// and up.
fn thousandths(edge: i64) -> (u64, u64) {
    let (of, whole) = if edge < 0 { (PARTS + edge, PARTS) } else { (PARTS, PARTS - edge) };
    let (of, whole) = (of.unsigned_abs() * 1_000, whole.unsigned_abs().max(1));
    (of / whole, of.div_ceil(whole))
}
