//! How much a sample counts, so that each who teaches has about the same say,
//! however much they send.
//!
//! Of each teacher a count of the last samples is kept, which fades. A sample weighs
//! by how much rarer the rarest of them is, so what each taught adds up to the same.
//! Where one alone teaches, it weighs whole, and so it does among those of whom none
//! taught twice as much as another, as chance makes as much of a difference.

use crate::WHOLE;

/// Teachers remembered: beyond, a new one takes the place of the rarest.
const TEACHERS_MAX: usize = 32;
/// What one sample adds to its teacher's count.
const ONE: u32 = 1_024;
/// A count loses this part with each sample, rounded up, so that it ends: the last
/// thousand samples are remembered, two minutes of ten a second.
const FADES: u32 = 1_024;
/// Nobody is taken for rarer than this part of all, or whoever teaches once would
/// slow all others down by a thousand.
const RAREST: u32 = 32;

/// Who taught of late, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct Teachers {
    /// By a hash of their names; at most [`TEACHERS_MAX`], none with a count of 0.
    counts: Vec<(u64, u32)>,
}

impl Teachers {
    /// Whether this one taught less than half of what another did.
    pub fn is_rarer(&self, who: u64) -> bool {
        let own = self.counts.iter().find(|(id, _)| *id == who).map_or(0, |(_, count)| *count);
        self.counts.iter().any(|(_, count)| count / 2 > own)
    }

    /// Counts a sample of this one, and tells what it weighs, of [`WHOLE`]: 2 at least.
    pub fn weigh(&mut self, who: u64) -> u16 {
        for (_, count) in &mut self.counts {
            *count -= count.div_ceil(FADES);
        }
        self.counts.retain(|(_, count)| *count > 0);
        let at = self.counts.iter().position(|(id, _)| *id == who).unwrap_or_else(|| {
            if self.counts.len() < TEACHERS_MAX {
                self.counts.push((who, 0));
                return self.counts.len() - 1;
            }
            let rarest = (0..TEACHERS_MAX).min_by_key(|at| self.counts[*at].1).unwrap_or(0);
            self.counts[rarest] = (who, 0);
            rarest
        });
        self.counts[at].1 += ONE;
        let own = self.counts[at].1;
        // From 2^20 on, together, more of it fades than a sample adds: 64 times that fits.
        let all: u32 = self.counts.iter().map(|(_, count)| count).sum();
        let rarest = self.counts.iter().fold(own, |least, (_, count)| least.min(*count));
        let fair = rarest.max(all.div_ceil(RAREST));
        if own / 2 <= fair {
            return WHOLE;
        }
        (fair * u32::from(WHOLE) / own) as u16
    }
}
