//! Finds a token by its bytes: one probe says of most pieces of a text that they
//! are a token.
//!
//! Open addressing, 16 bytes a slot. Up to 12 bytes a token stands in its slot, so
//! a hit needs one cache line and no second look; longer ones leave their hash
//! there and are compared in the vocabulary's text. Frequent tokens have low ids
//! and come first, so they sit where their hash points.

use super::free::Free;
use super::short::Short;

/// Longest token that its slot holds.
const INLINE: usize = 12;
const LONG: u64 = 0xff;
/// Where a slot's second word keeps the id, between bytes 8-11 and the length.
const ID_SHIFT: u32 = 32;
const ID_MASK: u64 = 0xff_ffff << ID_SHIFT;
const LENGTH_SHIFT: u32 = 56;

#[derive(Debug)]
pub(super) struct Words {
    /// Zero in the second word: empty, for no token has length 0.
    slots: Vec<[u64; 2]>,
    /// Eight bits for each slot: every token sets one of those of the slot where it
    /// belongs. A piece that is none mostly ends here, and not after the ten slots that
    /// it takes to meet an empty one.
    filter: Vec<u8>,
    shift: u32,
}

impl Words {
    /// Room for `tokens`, at most four fifths full.
    pub(super) fn for_tokens(tokens: usize) -> Self {
        let bits = (tokens * 5 / 4).next_power_of_two().trailing_zeros().max(Free::LEAST_BITS);
        Self { slots: vec![[0; 2]; 1 << bits], filter: vec![0; 1 << bits], shift: 64 - bits }
    }

    /// All of its slots.
    pub(super) fn free(&self) -> Free {
        Free::all_of(self.slots.len())
    }

    /// Adds the token `text[start..end]`. The caller adds each once and no more
    /// than it made room for.
    pub(super) fn add(&mut self, free: &mut Free, text: &[u8], start: usize, end: usize, id: u32) {
        let length = end - start;
        let id = u64::from(id) << ID_SHIFT;
        let short = Short::within(text, start, end);
        let hash = short.map_or_else(|| hash(&text[start..end]), Short::hash);
        let slot = match short {
            Some(short) if length <= INLINE => [short.low, short.high | id],
            _ => [hash, length as u64 | id | LONG << LENGTH_SHIFT],
        };
        let (at, bit) = self.home(hash);
        self.filter[at] |= bit;
        self.slots[free.take(at)] = slot;
    }

    /// The token that `short` with this `hash` is. `token` gives the bytes of an id.
    #[inline]
    pub(super) fn find_short<'v>(
        &self,
        short: Short,
        hash: u64,
        token: impl Fn(u32) -> &'v [u8],
    ) -> Option<u32> {
        if short.len() > INLINE {
            let bytes = short.bytes();
            return self.find_long(&bytes[..short.len()], hash, token);
        }
        let (mut at, bit) = self.home(hash);
        if self.filter[at] & bit == 0 {
            return None;
        }
        // Ends at an empty slot: a fifth of them are.
        loop {
            let [low, high] = self.slots[at];
            if low == short.low && high & !ID_MASK == short.high {
                return Some(id_of(high));
            }
            if high == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The token that `bytes` are, of any length.
    pub(super) fn find<'v>(&self, bytes: &[u8], token: impl Fn(u32) -> &'v [u8]) -> Option<u32> {
        match Short::new(bytes) {
            Some(short) => self.find_short(short, short.hash(), token),
            None => self.find_long(bytes, hash(bytes), token),
        }
    }

    fn find_long<'v>(
        &self,
        bytes: &[u8],
        hash: u64,
        token: impl Fn(u32) -> &'v [u8],
    ) -> Option<u32> {
        let mark = bytes.len() as u64 | LONG << LENGTH_SHIFT;
        let (mut at, bit) = self.home(hash);
        if self.filter[at] & bit == 0 {
            return None;
        }
        loop {
            let [low, high] = self.slots[at];
            if low == hash && high & !ID_MASK == mark && token(id_of(high)) == bytes {
                return Some(id_of(high));
            }
            if high == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Where a token belongs, and its bit in the filter.
    #[inline(always)]
    fn home(&self, hash: u64) -> (usize, u8) {
        ((hash >> self.shift) as usize, 1 << (hash >> (self.shift - 3) & 7))
    }
}

#[inline(always)]
fn id_of(high: u64) -> u32 {
    ((high & ID_MASK) >> ID_SHIFT) as u32
}

/// Of more bytes than a `Short` has.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = super::short::mix(hash.rotate_left(23) ^ u64::from_le_bytes(word));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_mostly_ends_at_the_filter() {
        let piece = |n: u64| super::super::short::mix(n).to_le_bytes();
        let mut words = Words::for_tokens(10_000);
        let mut free = words.free();
        for n in 0..10_000 {
            words.add(&mut free, &piece(n), 0, 8, n as u32);
        }
        let passes = |n: u64| {
            let (at, bit) = words.home(Short::new(&piece(n)).expect("it is short").hash());
            words.filter[at] & bit != 0
        };
        let token = |_| -> &[u8] { unreachable!("8 bytes stand in their slot") };
        for n in 0..10_000 {
            assert!(passes(n) && words.find(&piece(n), token) == Some(n as u32), "{n}");
        }
        let absent = 10_000..20_000;
        assert!(absent.clone().all(|n| words.find(&piece(n), token).is_none()));
        assert!(absent.filter(|n| passes(*n)).count() < 1_500);
    }
}
