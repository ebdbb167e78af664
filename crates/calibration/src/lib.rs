//! What real counts teach of an estimate: a weight for each kind of text, and
//! bounds that hold for a stated part of the requests.
//!
//! [`Calibration`] is what is told: whole numbers, so that the file that holds it
//! says all of it. [`Learner`] makes it of pairs of estimate and truth, by recursive
//! least squares on the relative error, with bounds by adaptive conformal prediction
//! ([`bounds`]). It starts at the prior, which `data/estimate.toml` of `tokens` states, and moves
//! as far as it has reason to. [`Teachers`] weighs what comes of several, so that none
//! decides for all.
//!
//! A crate of its own so that it is compiled small: `tokens` is built for speed, which
//! unrolls each loop here for what happens ten times a second.
//!
//! Pure state, no clock. The Gate learns by it from usage, for each model (`limits`),
//! and `tollgate calibrate` of the npm package from the provider's counts. In browsers
//! wasm-client/js/calibration.js applies what either told.

#![forbid(unsafe_code)]

mod bounds;
mod teachers;

use bounds::Bounds;
pub use bounds::SIZES;
pub use teachers::Teachers;

/// Kinds of text that have a weight of their own: Latin words, digits, punctuation,
/// blanks, other alphabets, ideographs, signs and emoji; and what a request has
/// beside its text, framing and the prompt that tools bring along.
pub const KINDS: usize = 8;
/// The last kind.
pub const OVERHEAD: usize = KINDS - 1;

/// An estimate by kinds: they add up to it.
pub type Kinds = [u64; KINDS];

/// How an estimate is to be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Thousandths of a token for each estimated one, by kind.
    pub weights: [u64; KINDS],
    /// The lower bound by size, in thousandths of the corrected estimate; 0: none
    /// but the prior's.
    pub lower: [u64; SIZES],
    /// The upper bound, likewise.
    pub upper: [u64; SIZES],
}

impl Default for Calibration {
    fn default() -> Self {
        Self { weights: [1_000; KINDS], lower: [0; SIZES], upper: [0; SIZES] }
    }
}

impl Calibration {
    /// The corrected estimate of these kinds.
    pub fn estimate(&self, kinds: &Kinds) -> u64 {
        let sum = |sum: u64, (kind, weight): (&u64, &u64)| {
            sum.saturating_add(kind.saturating_mul(*weight))
        };
        kinds.iter().zip(&self.weights).fold(500, sum) / 1_000
    }
}

/// Variance of a weight before anything was learned: 0.15 that all share, since
/// whole tokenizers differ, and 0.15 of its own. Published ratios for one class of
/// text lie within 25 % of their centre (data/estimate.toml).
const SHARED: f64 = 0.15 * 0.15;
const OWN: f64 = 0.15 * 0.15;
/// Variance of a request's relative error that no weights explain: pieces of one
/// class differ by 3 to 14 % (`tokens::estimate`); and tokens that rounding and
/// framing are off.
const NOISE: f64 = 0.07 * 0.07;
const NOISE_TOKENS: f64 = 8.0;
/// How much of the first doubt comes back with each request: what was learned
/// weighs as some 50 requests do, so that a changed tokenizer is followed.
const FORGETS: f64 = 1.0 / 16_384.0;
/// An error beyond so many deviations counts as that many.
const ODD: f64 = 3.0;
/// Weights, and whole requests, beyond a quarter and four times are broken ones.
const WEIGHT_MAX: f64 = 4.0;
/// Of the mean distance between estimate and truth, which a 64th of each request's
/// makes.
const OFF_WEIGHT: i64 = 64;
/// The weight of a request that counts as one: [`Learner::learn`].
pub const WHOLE: u16 = 64;

/// Stored numbers are whole: billionths.
const STORED: f64 = 1e9;

/// Learns a [`Calibration`].
#[derive(Clone, Debug)]
pub struct Learner {
    weights: [f64; KINDS],
    covariance: [[f64; KINDS]; KINDS],
    bounds: [Bounds; SIZES],
    /// Mean distance between estimate and truth, in millionths of the estimate.
    off: i64,
    /// What all requests weighed. Rows of before have their number here: `off` then
    /// follows the next 64 more closely.
    weight: i64,
    told: Calibration,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            weights: [1.0; KINDS],
            covariance: first_doubt(),
            bounds: Default::default(),
            off: 0,
            weight: 0,
            told: Calibration::default(),
        }
    }
}

impl Learner {
    /// What was learned so far.
    pub fn told(&self) -> Calibration {
        self.told
    }

    /// How far estimates are off in the mean, in thousandths of the estimate.
    pub fn off_permille(&self) -> u64 {
        (self.off / 1_000) as u64
    }

    /// A request was estimated by these kinds, and `real` tokens were counted. It counts
    /// as so many of [`WHOLE`], and for no more than one.
    pub fn learn(&mut self, kinds: &Kinds, real: u64, weight: u16) {
        let total: u64 = kinds.iter().sum();
        let weight = weight.min(WHOLE);
        if total == 0 || real == 0 || weight == 0 {
            return;
        }
        let estimate = self.told.estimate(kinds).max(1);
        let size = bounds::size(estimate);
        let [lower, upper] = [self.told.lower[size], self.told.upper[size]];
        self.bounds[size].learn(estimate, real, lower, upper, weight);
        let ratio = real as f64 / total as f64;
        let part = i64::from(weight);
        self.weight = self.weight.saturating_add(part);
        if (1.0 / WEIGHT_MAX..=WEIGHT_MAX).contains(&ratio) {
            let apart = real.abs_diff(estimate).min(estimate) as f64 / estimate as f64;
            let of = self.weight.min(OFF_WEIGHT * i64::from(WHOLE));
            self.off += ((apart * 1e6) as i64 - self.off) * part / of;
            self.correct(kinds, total as f64, ratio, f64::from(weight) / f64::from(WHOLE));
        }
        self.tell();
    }

    fn tell(&mut self) {
        self.told.weights = self.weights.map(|weight| (weight * 1_000.0 + 0.5) as u64);
        for (size, bounds) in self.bounds.iter().enumerate() {
            if let Some(known) = bounds.told() {
                (self.told.lower[size], self.told.upper[size]) = known;
            }
        }
    }

    /// One step of recursive least squares: `ratio` of the prior's total was real. What
    /// weighs less is as if it were the noisier, and brings back the less doubt; odd is
    /// what would be at full weight, or many small steps would go farther than one.
    fn correct(&mut self, kinds: &Kinds, total: f64, ratio: f64, part: f64) {
        let parts = kinds.map(|kind| kind as f64 / total);
        let toward = self.covariance.map(|row| dot(&row, &parts));
        let rounding = NOISE_TOKENS / total;
        let (doubt, noise) = (dot(&toward, &parts), NOISE + rounding * rounding);
        let odd = ODD * (doubt + noise).sqrt();
        let variance = doubt + noise / part;
        let error = within(ratio - dot(&self.weights, &parts), -odd, odd);
        for (weight, toward) in self.weights.iter_mut().zip(toward) {
            *weight = within(*weight + toward * error / variance, 1.0 / WEIGHT_MAX, WEIGHT_MAX);
        }
        let doubt = first_doubt();
        for (i, row) in self.covariance.iter_mut().enumerate() {
            for (j, cell) in row.iter_mut().enumerate() {
                let known = *cell - toward[i] * toward[j] / variance;
                *cell = known + (doubt[i][j] - known) * FORGETS * part;
            }
        }
    }

    /// Its state, to be stored.
    pub fn save(&self) -> Vec<i64> {
        let learned = self.weights.iter().chain(self.covariance.as_flattened());
        let mut numbers = vec![self.weight, self.off];
        numbers.extend(learned.map(|number| (number * STORED) as i64));
        self.bounds.iter().for_each(|bounds| bounds.save(&mut numbers));
        numbers.extend(self.bounds.iter().map(Bounds::watched));
        numbers
    }

    /// From what [`Self::save`] gave; none where it is not that.
    pub fn restore(numbers: &[i64]) -> Option<Self> {
        let mut next = numbers.iter();
        let (weight, off) = ((*next.next()?).max(0), (*next.next()?).clamp(0, 1_000_000));
        let mut learner = Self { weight, off, ..Self::default() };
        let learned = learner.weights.iter_mut().chain(learner.covariance.as_flattened_mut());
        for number in learned {
            *number = *next.next()? as f64 / STORED;
        }
        for weight in &mut learner.weights {
            *weight = within(*weight, 1.0 / WEIGHT_MAX, WEIGHT_MAX);
        }
        for bounds in &mut learner.bounds {
            *bounds = Bounds::restore(&mut next)?;
        }
        // Rows of before have none.
        if next.len() > 0 {
            for bounds in &mut learner.bounds {
                bounds.watch_again(*next.next()?).then_some(())?;
            }
        }
        learner.tell();
        next.next().is_none().then_some(learner)
    }
}

/// Not `clamp`: what that may panic with takes all that writes floats along, 20 KiB.
fn within(number: f64, least: f64, most: f64) -> f64 {
    number.max(least).min(most)
}

fn first_doubt() -> [[f64; KINDS]; KINDS] {
    let mut doubt = [[SHARED; KINDS]; KINDS];
    for (i, row) in doubt.iter_mut().enumerate() {
        row[i] += OWN;
    }
    doubt
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests;
