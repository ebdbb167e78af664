//! What is known of characters beyond ASCII, so that merging them need not start
//! from single bytes and a run of thousands falls into parts of a few.
//!
//! Between two characters a token is *ragged* if it spans the boundary and begins
//! or ends inside a character. The vocabularies hold some hundred to fifteen
//! hundred such tokens, and at most 205 pairs of bytes at a boundary within them.
//! Everywhere else only whole characters join, which has two consequences:
//!
//! - A character with no ragged token at either side becomes its own token before
//!   anything joins it to a neighbour, so merging may start from that token.
//! - If no token holds the two characters side by side either (o200k has 16,412
//!   such pairs), nothing ever joins across: the text can be cut there.

use super::pairs::NONE;
use super::unicode::decode;

/// The first plane has its tokens in a table, and behind it the part of the second
/// that emoji are in.
const PLANE: u32 = 0x1_0000;
const EMOJI: u32 = 0x1_f000;
const EMOJI_END: u32 = 0x2_0000;
const TABLED: usize = (PLANE + EMOJI_END - EMOJI) as usize;
/// Bits of the filter; a pair sets one. With o200k's 16,412 a foreign pair is taken
/// for a neighbour in 3 % of the cases, which costs a cut and no exactness.
const FILTER_BITS: u32 = 19;

#[derive(Debug)]
pub(super) struct Characters {
    tokens: Vec<u32>,
    /// A bit for each pair of bytes at a boundary within a ragged token.
    ragged: Vec<u64>,
    /// A bit for the hash of each pair of characters beyond ASCII within a token.
    neighbours: Vec<u64>,
}

impl Characters {
    pub(super) fn new() -> Self {
        Self {
            tokens: vec![NONE; TABLED],
            ragged: vec![0; (1 << 16) / 64],
            neighbours: vec![0; (1 << FILTER_BITS) / 64],
        }
    }

    /// Notes what token `id` says about characters.
    pub(super) fn learn(&mut self, token: &[u8], id: u32) {
        if token.is_ascii() {
            return;
        }
        let Ok(text) = std::str::from_utf8(token) else {
            for pair in token.windows(2) {
                if is_start(pair[1]) {
                    set(&mut self.ragged, ragged_bit([pair[0], pair[1]]));
                }
            }
            return;
        };
        let mut before = 0;
        for code in text.chars().map(u32::from) {
            if before >= 0x80 && code >= 0x80 {
                set(&mut self.neighbours, neighbours_bit(before, code));
            }
            before = code;
        }
        if text.chars().nth(1).is_none()
            && let Some(slot) = self.tokens.get_mut(place(before))
        {
            *slot = id;
        }
    }

    /// The token of a character beyond ASCII, or `NONE`. Those beyond U+FFFF that are
    /// no emoji start from their bytes.
    #[inline(always)]
    pub(super) fn token(&self, code: u32) -> u32 {
        self.tokens.get(place(code)).copied().unwrap_or(NONE)
    }

    /// Whether a ragged token may span the boundary at `at`. The ends of the piece
    /// are no boundary within any token.
    #[inline(always)]
    pub(super) fn is_ragged(&self, piece: &[u8], at: usize) -> bool {
        match (at.checked_sub(1).and_then(|at| piece.get(at)), piece.get(at)) {
            (Some(&before), Some(&after)) => is_set(&self.ragged, ragged_bit([before, after])),
            _ => false,
        }
    }

    /// Whether a token may hold the two characters, both beyond ASCII.
    #[inline(always)]
    pub(super) fn are_neighbours(&self, before: u32, after: u32) -> bool {
        is_set(&self.neighbours, neighbours_bit(before, after))
    }
}

/// A character beyond ASCII at `at`: its code point and length.
#[inline(always)]
pub(super) fn character(piece: &[u8], at: usize) -> (u32, usize) {
    let (code, length) = decode(piece, at, piece[at]);
    (code, length.min(piece.len() - at))
}

/// Where a character's token stands; behind the table's end if it has no place.
#[inline(always)]
fn place(code: u32) -> usize {
    let place = match code {
        0..PLANE => code,
        EMOJI..EMOJI_END => code - EMOJI + PLANE,
        _ => u32::MAX,
    };
    place as usize
}

fn is_start(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

#[inline(always)]
fn ragged_bit([before, after]: [u8; 2]) -> usize {
    usize::from(before) << 8 | usize::from(after)
}

#[inline(always)]
fn neighbours_bit(before: u32, after: u32) -> usize {
    // Code points have 21 bits.
    let pair = u64::from(before) << 21 | u64::from(after);
    (super::short::mix(pair) >> (64 - FILTER_BITS)) as usize
}

#[inline(always)]
fn is_set(bits: &[u64], bit: usize) -> bool {
    bits[bit / 64] >> (bit % 64) & 1 != 0
}

fn set(bits: &mut [u64], bit: usize) {
    bits[bit / 64] |= 1 << (bit % 64);
}
