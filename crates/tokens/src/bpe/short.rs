//! A piece of up to 15 bytes as two words, so that it is compared and hashed
//! without a loop.

/// Bytes 0-7; then bytes 8-14 and, topmost, the length. Little-endian, zeros
/// behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) low: u64,
    pub(super) high: u64,
}

/// What the text keeps of a 16-byte read, by length.
const KEEP: [[u64; 2]; Short::LEN_MAX + 1] = keep();

const fn keep() -> [[u64; 2]; Short::LEN_MAX + 1] {
    let mut table = [[0; 2]; Short::LEN_MAX + 1];
    let mut length = 0;
    while length <= Short::LEN_MAX {
        let all = (1u128 << (8 * length)) - 1;
        table[length] = [all as u64, (all >> 64) as u64];
        length += 1;
    }
    table
}

impl Short {
    pub(super) const LEN_MAX: usize = 15;

    /// `None` if there are more bytes than fit.
    #[inline]
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > Self::LEN_MAX {
            return None;
        }
        let mut padded = [0; 16];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self::masked(u128::from_le_bytes(padded), bytes.len()))
    }

    /// `text[at..end]`, read at once: to copy a length that only run time knows is a
    /// call in wasm.
    #[inline(always)]
    pub(super) fn within(text: &[u8], at: usize, end: usize) -> Option<Self> {
        let length = end - at;
        if length > Self::LEN_MAX {
            return None;
        }
        match text.get(at..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => Some(Self::masked(u128::from_le_bytes(*chunk), length)),
            None => Self::at_the_end(text, at, length),
        }
    }

    /// `within` where fewer than 16 bytes are left: the last 16 of the text, moved.
    #[inline(never)]
    fn at_the_end(text: &[u8], at: usize, length: usize) -> Option<Self> {
        let Some(chunk) = text.last_chunk() else {
            return Self::new(text.get(at..at + length)?);
        };
        // As many bytes as stand before the piece: 15 at most, for it has one.
        let before = at + 16 - text.len();
        Some(Self::masked(u128::from_le_bytes(*chunk) >> (8 * before.min(15)), length))
    }

    #[inline(always)]
    fn masked(all: u128, length: usize) -> Self {
        // Every caller has checked the length; the mask only spares a panic.
        let [low, high] = KEEP[length & Self::LEN_MAX];
        Self { low: all as u64 & low, high: (all >> 64) as u64 & high | (length as u64) << 56 }
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        (self.high >> 56) as usize
    }

    #[inline]
    pub(super) fn bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// Tables take the top bits.
    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        mix(self.low ^ self.high.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }
}

/// Spreads every bit over the top ones.
#[inline(always)]
pub(super) fn mix(word: u64) -> u64 {
    let word = word ^ word >> 32;
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_same_wherever_it_stands() {
        let text: Vec<u8> = (1..=40).collect();
        for size in 0..text.len() {
            let text = &text[..size];
            for at in 0..size {
                for end in at..=size {
                    let alone = Short::new(&text[at..end]);
                    assert_eq!(Short::within(text, at, end), alone, "{at}..{end} of {size}");
                    assert_eq!(alone.is_some(), end - at <= Short::LEN_MAX);
                }
            }
        }
    }
}
