//! From features to tokens.

use crate::Features;

/// Which tokenizer a Claude model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Models up to Opus 4.6, Sonnet 4.6 and Haiku 4.5.
    UpTo46,
    /// Opus 4.7 and later, all of 5.x: about 30 % more tokens for the same text.
    From47,
}

/// Tokens, with bounds: `lower <= estimate <= upper`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Fewer are not to be expected: for refusing what cannot fit.
    pub lower: u64,
    /// The best guess: for rate limits.
    pub estimate: u64,
    /// More are not to be expected, of no text whatever: for reserving money.
    pub upper: u64,
}

impl std::ops::Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lower: self.lower.saturating_add(other.lower),
            estimate: self.estimate.saturating_add(other.estimate),
            upper: self.upper.saturating_add(other.upper),
        }
    }
}

/// Tokens of a text with these features.
pub fn estimate(_features: &Features, _family: Family) -> Estimate {
    todo!()
}
