//! Maps whose order does not depend on chance, so that a simulation's seed tells
//! all, and the hash that stands for a request's name.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

/// Keys are made by the Worker, configured, or bounded in number: nobody gains
/// by colliding them.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// What is configured, or asked for by operators, by its name. Boxed, so that the maps
/// of all types are compiled to one code: 4 KiB of the Worker.
pub type ByName<T> = BTreeMap<String, Box<T>>;

/// A request's name by its hash. Names are the Worker's own and random; two that
/// collide would be one among 2^64.
pub(crate) type Name = u64;

/// What stands for a name.
pub(crate) fn name(id: &str) -> Name {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    hasher.finish()
}

/// Multiplies and rotates, eight bytes at a time: a tenth of the standard
/// hasher's time (the bench's profile, 2026-11).
#[derive(Clone, Debug, Default)]
pub(crate) struct Mix(u64);

/// An odd number without pattern: the golden ratio's fraction.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.write_u64(last);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(FACTOR);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    /// A map tells its buckets apart by the low bits, which a product mixes least.
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(FACTOR);
        mixed ^ mixed >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_in_a_row_spread_over_all_buckets() {
        let of_number = |n: u64| {
            let mut mix = Mix::default();
            mix.write_u64(n);
            mix.finish()
        };
        let of_name = |n: u64| {
            let mut mix = Mix::default();
            mix.write(format!("scope/user/tenant/user{n}").as_bytes());
            mix.write_u8(0xff);
            mix.finish()
        };
        for hash in [&of_number as &dyn Fn(u64) -> u64, &of_name, &|n| of_number(n << 40)] {
            let mut buckets = [0; 64];
            (0..6_400).for_each(|n| buckets[(hash(n) % 64) as usize] += 1);
            // A fair throw stays within 6 standard deviations of 10.
            assert!(buckets.iter().all(|count| (40..=160).contains(count)), "{buckets:?}");
            let tops: u64 = (0..64).map(|n| 1 << (hash(n) >> 58)).fold(0, |a, b| a | b);
            assert!(tops.count_ones() > 24, "{tops:b}");
        }
    }
}
