//! What was learned of requests' output: lengths by kind.
//!
//! A kind is (tenant, model, band of `max_tokens`); a new one borrows the mean
//! of (model, band), then of the band. Kinds are hashes: a collision blends two
//! means, which is harmless, and no name is kept.

use std::hash::Hasher;

use crate::map::{Map, Mix};
use crate::message::Tokens;

/// Kinds remembered: 40 bytes each.
const KINDS_MAX: usize = 16_384;
/// Coarse kinds written to storage: about 60 bytes each, far below the row's
/// limit of 2 MB (platform limits, 2026-11).
const SAVED_MAX: usize = 2_048;
/// Samples after which a kind is trusted over a coarser one.
const TRUSTED: u32 = 8;
/// Weight of a new sample: a 64th. Lengths vary about as much as their mean, so
/// this keeps it within some 9 %; simulated waits were told twice as truly as
/// with a 16th.
const WEIGHT: u32 = 64;
/// Mean length of a kind that nobody has seen: a page of text.
const PRIOR: Tokens = 1_000;

/// A running mean in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mean {
    milli: u64,
    samples: u32,
}

impl Mean {
    fn learn(&mut self, milli: u64) {
        self.samples = self.samples.saturating_add(1);
        let weight = i128::from(self.samples.min(WEIGHT));
        let step = (i128::from(milli) - i128::from(self.milli)) / weight;
        self.milli = (i128::from(self.milli) + step).clamp(0, i128::from(u64::MAX)) as u64;
    }
}

/// All that was learned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lengths {
    fine: Map<u64, Mean>,
    coarse: Map<u64, Mean>,
    /// Requests learned from since the last row.
    unsaved: u32,
    was_saved: bool,
}

impl Lengths {
    /// The expected output of a request: at least 1, at most `max_tokens`.
    pub(crate) fn output(&self, tenant: &str, model: &str, max_tokens: Tokens) -> Tokens {
        let mean = self.mean(tenant, model, max_tokens);
        let mean = mean.map_or(PRIOR, |mean| mean.milli.div_ceil(1_000));
        mean.clamp(1, max_tokens.max(1))
    }

    /// Whether that is learned of no answer.
    pub(crate) fn guesses(&self, tenant: &str, model: &str, max_tokens: Tokens) -> bool {
        self.mean(tenant, model, max_tokens).is_none()
    }

    fn mean(&self, tenant: &str, model: &str, max_tokens: Tokens) -> Option<Mean> {
        let [fine, coarse] = kinds(tenant, model, max_tokens);
        let trusted = |mean: Option<&Mean>| mean.filter(|m| m.samples >= TRUSTED).copied();
        trusted(self.fine.get(&fine))
            .or_else(|| trusted(self.coarse.get(&coarse)))
            .or_else(|| trusted(self.coarse.get(&of_band(max_tokens))))
    }

    /// Learns from a settled request with the provider's own figures.
    pub(crate) fn learn(&mut self, tenant: &str, model: &str, max_tokens: Tokens, output: Tokens) {
        let [fine, coarse] = kinds(tenant, model, max_tokens);
        let milli = output.min(max_tokens.max(1)).saturating_mul(1_000);
        insert(&mut self.fine, fine).learn(milli);
        insert(&mut self.coarse, coarse).learn(milli);
        insert(&mut self.coarse, of_band(max_tokens)).learn(milli);
        self.unsaved = self.unsaved.saturating_add(1);
    }

    /// The row to store, if enough was learned since the last one: the first
    /// row waits until some kinds can be trusted, or for a quiet Gate, which may end.
    pub(crate) fn save(&mut self, is_quiet: bool) -> Option<String> {
        let is_little = !is_quiet && !self.was_saved && self.unsaved < 4 * TRUSTED;
        if self.unsaved == 0 || is_little {
            return None;
        }
        (self.unsaved, self.was_saved) = (0, true);
        let rows: Vec<(u64, u64, u32)> = self
            .coarse
            .iter()
            .take(SAVED_MAX)
            .map(|(key, mean)| (*key, mean.milli, mean.samples.min(WEIGHT)))
            .collect();
        serde_json::to_string(&rows).ok()
    }

    /// Takes a stored row back; one that cannot be read is learned anew.
    pub(crate) fn restore(&mut self, value: &str) {
        let rows: Vec<(u64, u64, u32)> = json::from_str(value).unwrap_or_default();
        let means = rows.into_iter().map(|(key, milli, samples)| (key, Mean { milli, samples }));
        self.coarse.clear();
        self.coarse.extend(means.take(SAVED_MAX));
    }
}

/// Fine and coarse.
fn kinds(tenant: &str, model: &str, max_tokens: Tokens) -> [u64; 2] {
    let coarse = banded(&["model", model], max_tokens);
    [coarse ^ key(&[tenant]), coarse]
}

fn of_band(max_tokens: Tokens) -> u64 {
    banded(&["band"], max_tokens)
}

fn insert(means: &mut Map<u64, Mean>, key: u64) -> &mut Mean {
    if means.len() >= KINDS_MAX && !means.contains_key(&key) {
        // Full: what is still untrusted goes; if all is trusted, all goes and
        // is learned again from the coarser kinds in a few requests.
        means.retain(|_, mean| mean.samples >= TRUSTED);
        if means.len() >= KINDS_MAX {
            means.clear();
        }
    }
    means.entry(key).or_default()
}

/// A hash of the parts, each closed by a byte that UTF-8 never has. It is stored: with
/// another hash all is learned anew.
pub(crate) fn key(parts: &[&str]) -> u64 {
    mixed(parts).finish()
}

/// The same of parts and a band. Bands are powers of two: 1,000 and 1,024 differ
/// little, 1,000 and 32,000 are different uses.
fn banded(parts: &[&str], max_tokens: Tokens) -> u64 {
    let mut mix = mixed(parts);
    mix.write_u64(max_tokens.max(1).ilog2().into());
    mix.write_u8(0xff);
    mix.finish()
}

fn mixed(parts: &[&str]) -> Mix {
    let mut mix = Mix::default();
    for part in parts {
        mix.write(part.as_bytes());
        mix.write_u8(0xff);
    }
    mix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_kind_borrows_from_coarser_ones() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.output("a", "m", 4_096), PRIOR);
        assert_eq!(lengths.output("a", "m", 100), 100);
        assert!(lengths.guesses("a", "m", 4_096));
        for _ in 0..TRUSTED {
            lengths.learn("a", "m", 4_096, 300);
        }
        assert_eq!(lengths.output("a", "m", 4_096), 300);
        assert_eq!(lengths.output("b", "m", 4_096), 300, "same model");
        assert_eq!(lengths.output("b", "other", 5_000), 300, "same band");
        assert!(!lengths.guesses("b", "other", 5_000) && lengths.guesses("a", "m", 64_000));
        assert_eq!(lengths.output("a", "m", 64_000), PRIOR, "another band");
        for _ in 0..TRUSTED {
            lengths.learn("b", "m", 4_096, 50);
        }
        assert_eq!(lengths.output("b", "m", 4_096), 50);
        assert_eq!(lengths.output("a", "m", 4_096), 300, "a tenant's own lengths stay its own");
    }

    #[test]
    fn memory_is_bounded_and_the_saved_part_comes_back() {
        let mut lengths = Lengths::default();
        for n in 0..(KINDS_MAX + 10) {
            lengths.learn(&n.to_string(), "m", 1_000, 200);
        }
        assert!(lengths.fine.len() <= KINDS_MAX);
        let row = lengths.save(false).expect("changed");
        assert_eq!(lengths.save(true), None);
        let mut again = Lengths::default();
        again.restore(&row);
        assert_eq!(again.output("new", "m", 1_000), 200);
        again.restore("not a row");
        assert_eq!(again.output("new", "m", 1_000), PRIOR);
    }
}
