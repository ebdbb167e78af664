//! Remembers what pieces came to that are longer than a `Short`: indentation, words
//! of scripts with two and three bytes a letter, sentences of those without blanks.
//! Each would be merged again, which is the dearest step of all, where it is repeated.
//!
//! Pieces differ in length by a hundred times, so they stand one behind the other in
//! one store, whole, each with its tokens. When that is full, all is forgotten. A piece
//! comes in the second time it is met: most are never met again, and to store all of a
//! text that is read once only pushes out what is needed.

use super::short::mix;

/// 8,192 sets: 256 KiB.
const BITS: u32 = 13;
/// 2 MiB: a quarter of a million characters without a blank, and their tokens.
const STORE_WORDS: usize = 1 << 18;
/// 8 KiB, of which a quarter may be used: then all that was met once is forgotten.
const MET_BITS: u32 = 16;
const MET_MAX: u32 = 1 << (MET_BITS - 2);

/// A piece of more bytes than a `Short` has, and not so many that to keep it would
/// push out all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Long<'t> {
    piece: &'t [u8],
    hash: u64,
}

#[derive(Debug)]
pub(super) struct LongCache {
    /// The later one of two first.
    sets: Vec<[Known; 2]>,
    /// Of each piece its bytes, eight to a word, then its tokens, two to a word.
    store: Vec<u64>,
    /// A bit for the hash of each piece that was met.
    met: Vec<u64>,
    met_count: u32,
}

/// Where a piece stands in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    hash: u64,
    at: u32,
    /// Bytes. 0: nothing is here, for no piece is empty.
    length: u16,
    /// Tokens.
    count: u16,
}

const NOTHING: Known = Known { hash: 0, at: 0, length: 0, count: 0 };

impl<'t> Long<'t> {
    const LEN_MIN: usize = 16;
    /// Of the store some fortieth, with its tokens.
    const LEN_MAX: usize = 1 << 15;

    /// `None` if it has fewer bytes, or more.
    pub(super) fn new(piece: &'t [u8]) -> Option<Self> {
        let length = piece.len();
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&length) {
            return None;
        }
        let hash = words(piece).fold(length as u64, |hash, word| mix(hash.rotate_left(23) ^ word));
        Some(Self { piece, hash })
    }

    fn home(self) -> usize {
        (self.hash >> (64 - BITS)) as usize
    }
}

impl Known {
    pub(super) fn count(self) -> usize {
        usize::from(self.count)
    }
}

impl LongCache {
    pub(super) fn new() -> Self {
        Self {
            sets: vec![[NOTHING; 2]; 1 << BITS],
            store: Vec::with_capacity(STORE_WORDS),
            met: vec![0; (1 << MET_BITS) / 64],
            met_count: 0,
        }
    }

    pub(super) fn find(&self, long: Long<'_>) -> Option<Known> {
        let same = |known: &Known| {
            known.hash == long.hash
                && usize::from(known.length) == long.piece.len()
                && words(long.piece).zip(&self.store[known.at as usize..]).all(|(a, b)| a == *b)
        };
        self.sets[long.home()].iter().copied().find(same)
    }

    /// Appends the tokens of a piece to `ids`.
    pub(super) fn tokens_into(&self, known: Known, ids: &mut Vec<u32>) {
        let at = known.at as usize + usize::from(known.length).div_ceil(8);
        let both = |word: &u64| [*word as u32, (*word >> 32) as u32];
        ids.extend(self.store[at..].iter().flat_map(both).take(known.count()));
    }

    /// Notes the tokens of a piece, at most one for each of its bytes, if it was met
    /// before.
    pub(super) fn put(&mut self, long: Long<'_>, tokens: &[u32]) {
        if self.meet(long) {
            self.store(long, tokens);
        }
    }

    /// Whether a piece was met before; some are taken for another.
    fn meet(&mut self, long: Long<'_>) -> bool {
        let bit = (long.hash >> (64 - MET_BITS)) as usize;
        let word = &mut self.met[bit / 64];
        let met = *word >> (bit % 64) & 1 != 0;
        *word |= 1 << (bit % 64);
        self.met_count += u32::from(!met);
        if self.met_count > MET_MAX {
            self.met.fill(0);
            self.met_count = 0;
        }
        met
    }

    fn store(&mut self, long: Long<'_>, tokens: &[u32]) {
        let room = long.piece.len().div_ceil(8) + tokens.len().div_ceil(2);
        if self.store.len() + room > STORE_WORDS {
            self.sets.fill([NOTHING; 2]);
            self.store.clear();
        }
        let at = self.store.len() as u32;
        self.store.extend(words(long.piece));
        self.store.extend(tokens.chunks(2).map(|pair| {
            let second = pair.get(1).copied().unwrap_or_default();
            u64::from(pair[0]) | u64::from(second) << 32
        }));
        let [before, _] = self.sets[long.home()];
        let (length, count) = (long.piece.len() as u16, tokens.len() as u16);
        self.sets[long.home()] = [Known { hash: long.hash, at, length, count }, before];
    }
}

/// The bytes of a piece of eight or more, eight to a word. What is left comes with some
/// bytes again: no copy of a length that only run time knows.
fn words(piece: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, rest) = piece.as_chunks::<8>();
    let last = if rest.is_empty() { None } else { piece.last_chunk() };
    whole.iter().chain(last).map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(cache: &LongCache, piece: &[u8]) -> Option<Vec<u32>> {
        let known = cache.find(Long::new(piece).expect("it has a length that fits"))?;
        let mut ids = vec![7];
        cache.tokens_into(known, &mut ids);
        assert_eq!(ids.len(), 1 + known.count());
        Some(ids.split_off(1))
    }

    #[test]
    fn pieces_that_differ_anywhere_are_told_apart() {
        let base: Vec<u8> = (0..=Long::LEN_MAX).map(|at| (at % 251) as u8).collect();
        let mut cache = LongCache::new();
        for length in (16..80).chain([1000, 1023, 1024]) {
            let piece = &base[..length];
            assert_eq!(tokens(&cache, piece), None);
            let ids: Vec<u32> = (0..length as u32 - 15).collect();
            cache.store(Long::new(piece).expect("it has a length that fits"), &ids);
            assert_eq!(tokens(&cache, piece), Some(ids));
            for at in 0..length {
                let mut other = piece.to_vec();
                other[at] ^= 0x80;
                assert_eq!(tokens(&cache, &other), None, "{length} bytes, byte {at}");
            }
        }
        let fits = [15, 16, Long::LEN_MAX, Long::LEN_MAX + 1].map(|length| &base[..length]);
        assert_eq!(fits.map(|piece| Long::new(piece).is_some()), [false, true, true, false]);
    }

    #[test]
    fn a_piece_comes_in_the_second_time_and_what_was_met_is_forgotten_in_time() {
        let mut cache = LongCache::new();
        let piece = |number: u32| [number.to_le_bytes().as_slice(), &[7; 20]].concat();
        let mut put = |number: u32| {
            let piece = piece(number);
            cache.put(Long::new(&piece).expect("it has 24 bytes"), &[number]);
            tokens(&cache, &piece)
        };
        assert_eq!(put(1), None);
        assert_eq!(put(1), Some(vec![1]));
        // Few are taken for others, however many there were before.
        let taken = (2..200_000).filter(|&number| put(number).is_some()).count();
        assert!((10_000..40_000).contains(&taken), "{taken}");
    }

    #[test]
    fn a_full_store_forgets_all_and_goes_on() {
        let mut cache = LongCache::new();
        let piece = |number: u32| [number.to_le_bytes().as_slice(), &[7; 300]].concat();
        let mut forgotten = 0;
        for number in 0..20_000 {
            cache.store(Long::new(&piece(number)).expect("it has 304 bytes"), &[number; 40]);
            assert!(cache.store.len() <= STORE_WORDS && cache.store.capacity() == STORE_WORDS);
            assert_eq!(tokens(&cache, &piece(number)), Some(vec![number; 40]));
            forgotten += u32::from(number > 0 && tokens(&cache, &piece(number - 1)).is_none());
        }
        // 58 words each.
        assert_eq!(forgotten, 20_000 * 58 / STORE_WORDS as u32);
    }
}
