//! Remembers what short pieces came to.
//!
//! Direct-mapped and small, so that it stays in a core's own cache, where the
//! vocabulary's tables do not: words that a text repeats are answered here without
//! a trip to memory, and names that are several tokens are not merged again. A
//! piece that is pushed out is looked up again.

use super::short::Short;

/// 16,384 entries: 256 KiB to count by, as much again with the tokens.
const BITS: u32 = 14;
const TOKENS: usize = 4;
/// The count stands above the length, which needs four of its eight bits.
const COUNT_SHIFT: u32 = 60;
const COUNT_MASK: u64 = 0xf << COUNT_SHIFT;

#[derive(Debug)]
pub(super) struct Cache {
    keys: Vec<Key>,
    /// Of each key, if they are at most four. Counting does not touch them.
    tokens: Vec<[u32; TOKENS]>,
}

/// A `Short` with its count.
#[derive(Debug, Clone, Copy)]
struct Key {
    low: u64,
    high: u64,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            keys: vec![Key { low: 0, high: 0 }; 1 << BITS],
            tokens: vec![[0; TOKENS]; 1 << BITS],
        }
    }

    /// The number of tokens, if the piece is known: at most 15, for a token has a
    /// byte at least.
    #[inline(always)]
    pub(super) fn count(&self, piece: Short, hash: u64) -> Option<usize> {
        let key = self.keys[home(hash)];
        // An empty entry has length 0, which no piece has.
        (key.low == piece.low && key.high & !COUNT_MASK == piece.high)
            .then_some((key.high >> COUNT_SHIFT) as usize)
    }

    /// The tokens, if the piece is known and has no more than are kept.
    #[inline(always)]
    pub(super) fn tokens(&self, piece: Short, hash: u64) -> Option<&[u32]> {
        let count = self.count(piece, hash)?;
        self.tokens[home(hash)].get(..count)
    }

    /// Notes that a piece is the first `count` of `tokens`.
    pub(super) fn put(
        &mut self,
        piece: Short,
        hash: u64,
        tokens: &[u32; Short::LEN_MAX],
        count: usize,
    ) {
        let at = home(hash);
        if let Some(first) = tokens.first_chunk() {
            self.tokens[at] = *first;
        }
        let high = piece.high | (count as u64) << COUNT_SHIFT;
        self.keys[at] = Key { low: piece.low, high };
    }
}

#[inline(always)]
fn home(hash: u64) -> usize {
    (hash >> (64 - BITS)) as usize
}
