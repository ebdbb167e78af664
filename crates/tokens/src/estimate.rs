//! From features to tokens.
//!
//! The estimate is a weighted sum, fitted to o200k's count times the published
//! ratios of Claude's count to it (data/estimate.toml says how); docs/counting.md has its
//! error by class, on texts that the fit never saw. The target itself is uncertain: published
//! ratios for one class of text differ by up to 20 %. `cargo run -p tollgate-tokens --example
//! error -- FILES` prints the table for any texts.
//!
//! Bounds: `upper` is the text's UTF-8 bytes. A byte-level BPE makes at most one
//! token of a byte, whatever the text; that Claude's is one, without a
//! normalisation that lengthens, is likely and not proven. `lower` is 0.4 of the
//! estimate: below all that was seen, but no bound for texts made of a
//! vocabulary's longest tokens.

use crate::Features;
use calibration::{KINDS, Kinds};

include!(concat!(env!("OUT_DIR"), "/estimate.rs"));

/// Which tokenizer a Claude model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Models up to Opus 4.6, Sonnet 4.6 and Haiku 4.5.
    UpTo46,
    /// Opus 4.7 and later, all of 5.x: about 30 % more tokens for the same text.
    From47,
}

/// `claude-haiku-4-5` of `claude-haiku-4-5-20251001`: its tokenizer is the same.
pub fn undated(model: &str) -> &str {
    match model.as_bytes().split_last_chunk::<9>() {
        Some((id, [b'-', date @ ..])) if date.iter().all(u8::is_ascii_digit) => {
            model.get(..id.len()).unwrap_or(model)
        }
        _ => model,
    }
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

impl std::ops::Mul<u64> for Estimate {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self {
            lower: self.lower.saturating_mul(times),
            estimate: self.estimate.saturating_mul(times),
            upper: self.upper.saturating_mul(times),
        }
    }
}

/// Tokens of a text with these features.
pub fn estimate(features: &Features, family: Family) -> Estimate {
    let milli: u64 = weights(family).by_kind(features).iter().sum();
    whole(features, milli, family)
}

/// The same by kinds of text, which add up to the estimate.
pub fn kinds(features: &Features, family: Family) -> Kinds {
    let mut kinds = weights(family).by_kind(features);
    let milli: u64 = kinds.iter().sum();
    let Estimate { estimate, .. } = whole(features, milli, family);
    // So that the products below fit.
    let shift = 64u32.saturating_sub(milli.leading_zeros() + estimate.leading_zeros());
    let (mut so_far, mut given) = (0, 0);
    for kind in &mut kinds {
        so_far += *kind;
        let upto = (so_far >> shift) * estimate / (milli >> shift).max(1);
        *kind = upto - given;
        given = upto;
    }
    kinds
}

fn whole(features: &Features, milli: u64, family: Family) -> Estimate {
    let upper = features.bytes;
    let repeats = weights(family).repeats * features.repeats;
    let estimate = milli.saturating_sub(repeats).div_ceil(1000).min(upper);
    Estimate { lower: estimate * LOWER_PERMILLE / 1000, estimate, upper }
}

fn weights(family: Family) -> &'static Weights {
    match family {
        Family::UpTo46 => &UPTO46,
        Family::From47 => &FROM47,
    }
}

/// Thousandths of a token for one of each.
struct Weights {
    words: u64,
    latin_letters: u64,
    numbers: u64,
    digits: u64,
    structure_runs: u64,
    structure: u64,
    breaks: u64,
    whitespace: u64,
    latin_accented: u64,
    cyrillic: u64,
    two_byte: u64,
    brahmic: u64,
    symbols: u64,
    cjk: u64,
    astral: u64,
    /// Taken off.
    repeats: u64,
}

impl Weights {
    /// Thousandths of tokens, before repeats are taken off. No overflow: counts are
    /// bounded by memory, weights by data/estimate.toml.
    fn by_kind(&self, f: &Features) -> Kinds {
        let mut kinds = [0; KINDS];
        kinds[..calibration::OVERHEAD].copy_from_slice(&[
            self.words * f.words + self.latin_letters * f.latin_letters,
            self.numbers * f.numbers + self.digits * f.digits,
            self.structure_runs * f.structure_runs + self.structure * f.structure,
            self.breaks * f.breaks + self.whitespace * f.whitespace,
            self.latin_accented * f.latin_accented
                + self.cyrillic * f.cyrillic
                + self.two_byte * f.two_byte
                + self.brahmic * f.brahmic,
            self.cjk * f.cjk,
            self.symbols * f.symbols + self.astral * f.astral,
        ]);
        kinds
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FeatureScanner;

    fn tokens(text: &str, family: Family) -> Estimate {
        let mut scanner = FeatureScanner::default();
        scanner.feed(text.as_bytes());
        estimate(&scanner.features(), family)
    }

    #[test]
    fn a_date_is_no_part_of_what_the_tokenizer_is_known_by() {
        for (model, id) in [
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("claude-haiku-4-5", "claude-haiku-4-5"),
            ("claude-haiku-4-5-2025100", "claude-haiku-4-5-2025100"),
            ("claude-haiku-4-5-202510011", "claude-haiku-4-5-202510011"),
            ("claude-haiku-2025100x", "claude-haiku-2025100x"),
            ("ü-20251001", "ü"),
            ("-20251001", ""),
            ("20251001", "20251001"),
            ("", ""),
        ] {
            assert_eq!(undated(model), id, "{model}");
        }
    }

    #[test]
    fn a_token_for_each_code_point_stays_under_the_upper_bound() {
        for text in ["\u{1F9FF}\u{2603}\u{16A0}", "q\u{301}z\u{302}", "\u{1}\u{2}", "xqzjvkw"] {
            let text = text.repeat(1000);
            let Estimate { upper, .. } = tokens(&text, Family::From47);
            assert!(upper >= text.chars().count() as u64, "{text:.8}");
        }
    }

    #[test]
    fn newer_models_count_more_for_latin_text() {
        let text = "The gate decides, the worker carries; nothing else is allowed to. ".repeat(20);
        let (old, new) = (tokens(&text, Family::UpTo46), tokens(&text, Family::From47));
        assert!(new.estimate * 10 > old.estimate * 12, "{old:?} {new:?}");
    }

    #[test]
    fn runs_of_one_character_are_few_tokens_at_least() {
        let Estimate { lower, .. } = tokens(&" ".repeat(100_000), Family::From47);
        assert!(lower < 1000, "{lower}");
    }

    proptest! {
        #[test]
        fn the_bounds_are_in_order(text in "\\PC{0,200}|[ -~\n]{0,400}") {
            for family in [Family::UpTo46, Family::From47] {
                let Estimate { lower, estimate, upper } = tokens(&text, family);
                prop_assert!(lower <= estimate && estimate <= upper);
            }
        }

        #[test]
        fn the_kinds_add_up_to_the_estimate(text in "\\PC{0,200}|[ -~\n]{0,400}", times in 0u32..40) {
            let mut scanner = FeatureScanner::default();
            scanner.feed(text.as_bytes());
            let mut features = scanner.features();
            for _ in 0..times {
                features += features;
            }
            for family in [Family::UpTo46, Family::From47] {
                let sum: u64 = kinds(&features, family).iter().sum();
                prop_assert_eq!(sum, estimate(&features, family).estimate);
            }
        }
    }
}
