//! Remembers what short pieces came to.
//!
//! Direct-mapped and small beside the vocabulary's tables, so that what is frequent
//! stays in a core's own cache: words that a text repeats are answered here without
//! a trip to memory, and names that are several tokens are not merged again. A
//! piece that is pushed out is looked up again.

use super::short::Short;

/// 32,768 sets: 1 MiB to count by, 640 KiB more with the tokens. A text of a quarter of a
/// million characters in scripts that have few words in the vocabulary, and of random
/// letters, has 17,000 pieces; where there are fewer, no more memory is touched.
const BITS: u32 = 15;
const TOKENS: usize = 4;
/// The count stands above the length, which needs four of its eight bits.
const COUNT_SHIFT: u32 = 60;
const COUNT_MASK: u64 = 0xf << COUNT_SHIFT;

#[derive(Debug)]
pub(super) struct Cache {
    /// Two to a set: a piece that is one token, and one that is several. Merging is
    /// dear and looking up is not, so that the many words must not push the names
    /// out. Where no word is, an older name stands in its place, to be counted alone.
    keys: Vec<[Key; 2]>,
    /// Of each key; several only if they are at most four. Counting does not touch
    /// them.
    one: Vec<u32>,
    several: Vec<[u32; TOKENS]>,
}

/// A `Short` with its count. Zeros are nothing, for no piece has length 0.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Key {
    low: u64,
    high: u64,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            keys: vec![[Key { low: 0, high: 0 }; 2]; 1 << BITS],
            one: vec![0; 1 << BITS],
            several: vec![[0; TOKENS]; 1 << BITS],
        }
    }

    /// The number of tokens, if the piece is known: at most 15, for a token has a
    /// byte at least.
    #[inline(always)]
    pub(super) fn count(&self, piece: Short, hash: u64) -> Option<usize> {
        let [one, several] = self.keys[home(hash)];
        if one == (Key { low: piece.low, high: piece.high }) {
            return Some(1);
        }
        (several.low == piece.low && several.high & !COUNT_MASK == piece.high)
            .then_some((several.high >> COUNT_SHIFT) as usize)
    }

    /// The number of tokens of a piece that stands in the other's place.
    pub(super) fn spare_count(&self, piece: Short, hash: u64) -> Option<usize> {
        let [Key { low, high }, _] = self.keys[home(hash)];
        (low == piece.low && high & !COUNT_MASK == piece.high)
            .then_some((high >> COUNT_SHIFT) as usize)
    }

    /// The tokens, if the piece is known and has no more than are kept.
    #[inline(always)]
    pub(super) fn tokens(&self, piece: Short, hash: u64) -> Option<&[u32]> {
        match self.count(piece, hash)? {
            1 => self.one.get(home(hash)..=home(hash)),
            count => self.several[home(hash)].get(..count),
        }
    }

    /// Notes the tokens of a piece.
    pub(super) fn put(&mut self, piece: Short, hash: u64, tokens: &[u32]) {
        let at = home(hash);
        if let &[token] = tokens {
            self.keys[at][0] = Key { low: piece.low, high: piece.high };
            self.one[at] = token;
        } else {
            let key =
                Key { low: piece.low, high: piece.high | (tokens.len() as u64) << COUNT_SHIFT };
            let [one, several] = &mut self.keys[at];
            // Where no word is, two that are several may be counted in turn.
            let is_word = one.high != 0 && one.high & COUNT_MASK == 0;
            if !is_word && *several != key {
                *one = *several;
            }
            *several = key;
            // More than are kept are merged again when they are asked for.
            for (kept, token) in self.several[at].iter_mut().zip(tokens) {
                *kept = *token;
            }
        }
    }
}

#[inline(always)]
fn home(hash: u64) -> usize {
    (hash >> (64 - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_set_are_both_counted_where_no_word_is() {
        let piece = |n: u32| Short::new(&n.to_le_bytes()).expect("it is short");
        let first = piece(0);
        let mut same = (1..).map(piece).filter(|piece| home(piece.hash()) == home(first.hash()));
        let (Some(second), Some(word)) = (same.next(), same.next()) else { unreachable!() };
        let mut cache = Cache::new();
        let known = |cache: &Cache, piece: Short| {
            let hash = piece.hash();
            cache.count(piece, hash).or_else(|| cache.spare_count(piece, hash))
        };
        cache.put(first, first.hash(), &[7, 8]);
        cache.put(first, first.hash(), &[7, 8]);
        cache.put(second, second.hash(), &[7, 8, 9]);
        assert_eq!((known(&cache, first), known(&cache, second)), (Some(2), Some(3)));
        assert_eq!(cache.tokens(first, first.hash()), None);
        assert_eq!(cache.tokens(second, second.hash()), Some([7, 8, 9].as_slice()));
        cache.put(word, word.hash(), &[5]);
        cache.put(first, first.hash(), &[7, 8]);
        assert_eq!((known(&cache, first), known(&cache, second)), (Some(2), None));
        assert_eq!(cache.tokens(word, word.hash()), Some([5].as_slice()));
    }
}
