//! Finds the token that two adjacent tokens make. Its id is its rank: byte-pair
//! encoding joins the pair with the lowest one first.
//!
//! Merging by ids needs no bytes and no hashing of strings. It is exact although a
//! token's bytes can be cut in more than one place: merges within a token's bytes
//! go their way whatever stands around, so when nothing has crossed its ends, the
//! last two parts are always the same two, and these are in the file.

use super::file::BYTES;
use super::free::Free;

/// No token: ranks above all others.
pub(super) const NONE: u32 = u32::MAX;

const EMPTY: u64 = u64::MAX;
const ID_BITS: u32 = 18;

#[derive(Debug)]
pub(super) struct Pairs {
    /// Both single bytes, by left id * 256 + right id: where all merging starts.
    of_bytes: Vec<u32>,
    /// The rest: left, right and made id, 18 bits each.
    slots: Vec<u64>,
    /// Eight bits for each slot: every pair sets one of those of the slot where it
    /// belongs. Most questions are about two that make nothing, and nine in ten of
    /// these end here, in a core's own cache.
    filter: Vec<u8>,
    shift: u32,
}

impl Pairs {
    /// Room for `tokens`, at most four fifths full.
    pub(super) fn for_tokens(tokens: usize) -> Self {
        let bits = (tokens * 5 / 4).next_power_of_two().trailing_zeros().max(Free::LEAST_BITS);
        Self {
            of_bytes: vec![NONE; BYTES * BYTES],
            slots: vec![EMPTY; 1 << bits],
            filter: vec![0; 1 << bits],
            shift: 64 - bits,
        }
    }

    /// All of its slots.
    pub(super) fn free(&self) -> Free {
        Free::all_of(self.slots.len())
    }

    /// The caller adds each pair once and no more than it made room for. All ids
    /// are below `IDS_MAX`.
    pub(super) fn add(&mut self, free: &mut Free, left: u32, right: u32, id: u32) {
        if let Some(at) = both_bytes(left, right) {
            self.of_bytes[at] = id;
            return;
        }
        let key = key(left, right);
        let (at, bit) = self.home(key);
        self.filter[at] |= bit;
        self.slots[free.take(at)] = key << ID_BITS | u64::from(id);
    }

    /// The token that the two make, or `NONE`.
    #[inline(always)]
    pub(super) fn join(&self, left: u32, right: u32) -> u32 {
        if let Some(at) = both_bytes(left, right) {
            return self.of_bytes[at];
        }
        let key = key(left, right);
        let (at, bit) = self.home(key);
        if self.filter[at] & bit == 0 {
            return NONE;
        }
        self.find(key, at)
    }

    /// The token of a pair that belongs at `at`.
    fn find(&self, key: u64, mut at: usize) -> u32 {
        // Ends at an empty slot: a fifth of them are.
        loop {
            let slot = self.slots[at];
            if slot >> ID_BITS == key {
                return (slot & ((1 << ID_BITS) - 1)) as u32;
            }
            if slot == EMPTY {
                return NONE;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Where a pair belongs, and its bit in the filter.
    #[inline(always)]
    fn home(&self, key: u64) -> (usize, u8) {
        let hash = super::short::mix(key);
        ((hash >> self.shift) as usize, 1 << (hash >> (self.shift - 3) & 7))
    }
}

#[inline(always)]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << ID_BITS | u64::from(right)
}

#[inline(always)]
fn both_bytes(left: u32, right: u32) -> Option<usize> {
    ((left | right) < BYTES as u32).then_some((left * BYTES as u32 + right) as usize)
}
