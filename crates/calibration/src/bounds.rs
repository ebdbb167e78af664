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
}

impl Default for Bounds {
    fn default() -> Self {
        Self { columns: [0; COLUMNS], below: TAIL_MILLIONTHS, above: TAIL_MILLIONTHS }
    }
}

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
        // Half way between all requests alike, by which the bounds are wide at once after
        // a change whoever sends, and all teachers alike: the geometric mean.
        let step = (f64::from(weight) * f64::from(ONE)).sqrt() as u16;
        adapt(&mut self.below, lower > 0 && thousandfold < of_estimate(lower), step);
        adapt(&mut self.above, upper > 0 && thousandfold > of_estimate(upper), step);
        self.columns[column(estimate, real)] += weight;
        if self.total() >= REQUESTS_MAX * u32::from(ONE) {
            self.columns.iter_mut().for_each(|column| *column /= 2);
        }
    }

    /// Lower and upper bound in thousandths of the estimate; 0: so often missed of
    /// late that none can be stated. None while there were too few requests.
    pub(super) fn told(&self) -> Option<(u64, u64)> {
        if i64::from(self.total()) + i64::from(ONE) < i64::from(ONE) * 1_000_000 / TAIL_MILLIONTHS {
            return None;
        }
        let lower = self.outermost(self.below, self.columns.iter().copied());
        let upper = self.outermost(self.above, self.columns.iter().rev().copied());
        let edge = |at: usize| at as i64 - COLUMNS as i64 / 2;
        Some((
            lower.map_or(0, |at| thousandths(edge(at)).0),
            upper.map_or(0, |at| thousandths(edge(COLUMNS - at)).1),
        ))
    }

    /// How many columns from its side on may be left out; none where even one
    /// request is too much, or where the bound lies beyond the histogram.
    fn outermost(&self, tail: i64, columns: impl Iterator<Item = u16>) -> Option<usize> {
        let one = i64::from(ONE);
        let mut left = (i64::from(self.total()) + one) * tail / 1_000_000 - one;
        if left < 0 {
            return None;
        }
        for (at, column) in columns.enumerate() {
            left -= i64::from(column);
            if left < 0 {
                return (at > 0).then_some(at);
            }
        }
        None
    }

    fn total(&self) -> u32 {
        self.columns.iter().map(|column| u32::from(*column)).sum()
    }

    pub(super) fn save(&self, numbers: &mut Vec<i64>) {
        numbers.extend([self.below, self.above]);
        numbers.extend(self.columns.map(i64::from));
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
