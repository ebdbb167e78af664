//! Which slots of a table are free, while it is filled.
//!
//! A bit for each, so all of them stay in a core's own cache. To look into the slots
//! themselves would mean to wait for memory with each token, for whether one is free
//! cannot be guessed; a slot that is only written is not waited for.

pub(super) struct Free(Vec<u64>);

impl Free {
    /// A table has at least so many slots, as a power of two.
    pub(super) const LEAST_BITS: u32 = u64::BITS.trailing_zeros();

    /// All of `slots`, of which there are a power of two.
    pub(super) fn all_of(slots: usize) -> Self {
        Self(vec![u64::MAX; slots / 64])
    }

    /// The first one from `at` on, round the end; from now on it is taken. The caller
    /// takes no more than there are.
    pub(super) fn take(&mut self, at: usize) -> usize {
        let mut word = at / 64;
        let mut from = u64::MAX << (at % 64);
        loop {
            let Some(bits) = self.0.get_mut(word) else {
                word = 0;
                continue;
            };
            let free = *bits & from;
            if free != 0 {
                *bits ^= free & free.wrapping_neg();
                return word * 64 + free.trailing_zeros() as usize;
            }
            word += 1;
            from = u64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_is_taken_once_and_the_next_one_where_it_is() {
        let mut free = Free::all_of(128);
        assert_eq!([5, 5, 5, 7].map(|at| free.take(at)), [5, 6, 7, 8]);
        assert_eq!([127, 127, 0].map(|at| free.take(at)), [127, 0, 1]);
        let mut rest: Vec<usize> = (0..121).map(|_| free.take(100)).collect();
        assert_eq!((rest[0], rest[120]), (100, 99));
        rest.sort_unstable();
        assert_eq!(rest, (2..127).filter(|at| !(5..9).contains(at)).collect::<Vec<_>>());
    }
}
