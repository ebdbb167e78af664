//! Remembers what pieces came to that are not tokens themselves: names and words
//! that a text repeats.
//!
//! Direct-mapped and small: 8,192 entries of 32 bytes stay in a core's own cache,
//! and a piece that is pushed out is merged again.

use super::short::Short;

const BITS: u32 = 13;
const TOKENS: usize = 4;
/// The count stands above the length, which needs four of its eight bits.
const COUNT_SHIFT: u32 = 60;
const COUNT_MASK: u64 = 0xf << COUNT_SHIFT;

#[derive(Debug)]
pub(super) struct Cache {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    low: u64,
    high: u64,
    /// The tokens, if they are at most four.
    tokens: [u32; TOKENS],
}

/// What is known of a piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'c> {
    /// At most 15, for a token has a byte at least.
    pub(super) count: usize,
    /// `None`: more than the cache keeps.
    pub(super) tokens: Option<&'c [u32]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { entries: vec![Entry { low: 0, high: 0, tokens: [0; TOKENS] }; 1 << BITS] }
    }

    #[inline(always)]
    pub(super) fn get(&self, piece: Short) -> Option<Known<'_>> {
        let entry = &self.entries[home(piece)];
        // An empty entry has length 0, which no piece has.
        if entry.low != piece.low || entry.high & !COUNT_MASK != piece.high {
            return None;
        }
        let count = (entry.high >> COUNT_SHIFT) as usize;
        Some(Known { count, tokens: entry.tokens.get(..count) })
    }

    pub(super) fn put(&mut self, piece: Short, tokens: &[u32]) {
        let mut kept = [0; TOKENS];
        if let Some(kept) = kept.get_mut(..tokens.len()) {
            kept.copy_from_slice(tokens);
        }
        let high = piece.high | (tokens.len() as u64) << COUNT_SHIFT;
        self.entries[home(piece)] = Entry { low: piece.low, high, tokens: kept };
    }
}

#[inline(always)]
fn home(piece: Short) -> usize {
    (piece.hash() >> (64 - BITS)) as usize
}
