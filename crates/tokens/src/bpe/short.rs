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
        Some(Self::masked(&padded, bytes.len()))
    }

    /// `text[at..end]`, read at once where the text goes on for long enough.
    #[inline(always)]
    pub(super) fn within(text: &[u8], at: usize, end: usize) -> Option<Self> {
        let length = end - at;
        if length > Self::LEN_MAX {
            return None;
        }
        match text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
            Some(chunk) => Some(Self::masked(chunk, length)),
            None => Self::new(&text[at..end]),
        }
    }

    #[inline(always)]
    fn masked(chunk: &[u8; 16], length: usize) -> Self {
        let all = u128::from_le_bytes(*chunk);
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
