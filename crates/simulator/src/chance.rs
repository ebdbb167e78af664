//! Pseudo-random numbers by seed: SplitMix64 (Steele, Lea, Flood 2014).

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high.saturating_sub(low) + 1)
    }

    /// True `permille` times in a thousand.
    pub(crate) fn is(&mut self, permille: u32) -> bool {
        self.next() % 1_000 < u64::from(permille)
    }

    /// Exponentially distributed: the time to the next of independent events.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }

    /// Pareto distributed with the exponent 1.5: a finite mean, of which most
    /// draws have less than half, and no finite variance.
    pub(crate) fn pareto(&mut self, mean: f64) -> f64 {
        mean / 3.0 * self.unit().powf(-1.0 / 1.5)
    }

    /// Evenly from (0, 1], 53 bits.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}
