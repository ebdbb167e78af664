//! Remembers what pieces came to that are longer than a `Short`: words of scripts
//! with two and three bytes a letter, above all. Each would be merged again, which
//! is the dearest step of all, where it is repeated.

use super::short::mix;

/// 4,096 pieces: 416 KiB.
const BITS: u32 = 12;
const WORDS: usize = 8;
const TOKENS: usize = 8;

/// The bytes of a piece of 16 to 64, eight to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Long {
    words: [u64; WORDS],
    length: usize,
}

#[derive(Debug)]
pub(super) struct LongCache {
    pieces: Vec<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    words: [u64; WORDS],
    tokens: [u32; TOKENS],
    /// 0: nothing is here, for no piece is empty.
    length: u32,
    count: u32,
}

impl Long {
    const LEN_MIN: usize = 16;
    pub(super) const LEN_MAX: usize = 8 * WORDS;

    /// `None` if it has fewer bytes, or more.
    pub(super) fn new(piece: &[u8]) -> Option<Self> {
        let length = piece.len();
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&length) {
            return None;
        }
        let mut words = [0; WORDS];
        let (whole, _) = piece.as_chunks::<8>();
        for (word, bytes) in words.iter_mut().zip(whole) {
            *word = u64::from_le_bytes(*bytes);
        }
        // What is left, and some bytes again: no copy of a length that only run time
        // knows. Where nothing is left there is no word to write, or it is a second
        // copy of the last.
        if let (Some(word), Some(last)) = (words.get_mut(length / 8), piece.last_chunk()) {
            *word = u64::from_le_bytes(*last);
        }
        Some(Self { words, length })
    }

    fn home(&self) -> usize {
        let hash = self
            .words
            .iter()
            .fold(self.length as u64, |hash, word| mix(hash.rotate_left(23) ^ word));
        (hash >> (64 - BITS)) as usize
    }
}

impl LongCache {
    pub(super) fn new() -> Self {
        let nothing = Known { words: [0; WORDS], tokens: [0; TOKENS], length: 0, count: 0 };
        Self { pieces: vec![nothing; 1 << BITS] }
    }

    /// The number of tokens, if the piece is known.
    pub(super) fn count(&self, piece: &Long) -> Option<usize> {
        self.find(piece).map(|known| known.count as usize)
    }

    /// The tokens, if the piece is known and has no more than are kept.
    pub(super) fn tokens(&self, piece: &Long) -> Option<&[u32]> {
        let known = self.find(piece)?;
        known.tokens.get(..known.count as usize)
    }

    /// Notes that a piece is the first `count` of `tokens`.
    pub(super) fn put(&mut self, piece: &Long, tokens: &[u32; Long::LEN_MAX], count: usize) {
        let mut first = [0; TOKENS];
        first.copy_from_slice(&tokens[..TOKENS]);
        self.pieces[piece.home()] = Known {
            words: piece.words,
            tokens: first,
            length: piece.length as u32,
            count: count as u32,
        };
    }

    fn find(&self, piece: &Long) -> Option<&Known> {
        let known = &self.pieces[piece.home()];
        (known.length as usize == piece.length && known.words == piece.words).then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_differ_anywhere_are_told_apart() {
        let base: Vec<u8> = (1..=64).collect();
        let mut cache = LongCache::new();
        let tokens = std::array::from_fn(|id| id as u32);
        for length in 16..=64 {
            let piece = Long::new(&base[..length]).expect("it has a length that fits");
            assert_eq!(cache.count(&piece), None);
            cache.put(&piece, &tokens, length);
            assert_eq!(cache.count(&piece), Some(length));
            assert_eq!(cache.tokens(&piece), None);
            for at in 0..length {
                let mut other = base[..length].to_vec();
                other[at] ^= 0x80;
                let other = Long::new(&other).expect("it has a length that fits");
                assert_eq!(cache.count(&other), None, "{length} bytes, byte {at}");
            }
            cache.put(&piece, &tokens, 8);
            assert_eq!(cache.tokens(&piece), Some(&[0, 1, 2, 3, 4, 5, 6, 7][..]));
        }
        assert_eq!((Long::new(&base[..15]), Long::new(&[0; 65])), (None, None));
    }
}
