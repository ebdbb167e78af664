//! The insides of strings, fast: how far they are plain, and whether they are
//! UTF-8.

/// The length of what is neither quote, backslash nor control character at the
/// head of `bytes`, and whether all of it is ASCII (it may say no in doubt).
pub(super) fn plain(bytes: &[u8]) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut high = 0;
    let mut length = 0;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        // Exact for the lowest byte that is flagged: borrows only run upwards.
        let special = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        high |= word;
        if special & HIGH != 0 {
            length += (special & HIGH).trailing_zeros() as usize / 8;
            return (length, high & HIGH == 0);
        }
        length += 8;
    }
    for &byte in &bytes[length..] {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        high |= u64::from(byte);
        length += 1;
    }
    (length, high & HIGH == 0)
}

/// A check for UTF-8 that can stop inside a code point.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// Bytes that must still come, and the range of the next one.
    pub(super) need: u8,
    low: u8,
    high: u8,
}

impl Utf8 {
    /// Whether what was given so far can be UTF-8.
    pub(super) fn check(&mut self, text: &[u8]) -> bool {
        let mut rest = text;
        while self.need > 0 {
            let Some((&byte, tail)) = rest.split_first() else { return true };
            if !self.follow(byte) {
                return false;
            }
            rest = tail;
        }
        let Err(error) = std::str::from_utf8(rest) else { return true };
        let tail = &rest[error.valid_up_to()..];
        let Some((&first, following)) = tail.split_first() else { return false };
        error.error_len().is_none() && self.lead(first) && following.iter().all(|&b| self.follow(b))
    }

    /// The first byte of a code point of several (Unicode 17, table 3-7).
    fn lead(&mut self, byte: u8) -> bool {
        (self.need, self.low, self.high) = match byte {
            0xC2..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xE1..=0xEF => (2, 0x80, 0xBF),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => return false,
        };
        true
    }

    fn follow(&mut self, byte: u8) -> bool {
        let fits = (self.low..=self.high).contains(&byte);
        self.need -= 1;
        (self.low, self.high) = (0x80, 0xBF);
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_stops_where_a_byte_by_byte_search_does(
            bytes in prop::collection::vec(prop_oneof![0x20u8..0x80, any::<u8>()], 0..64),
        ) {
            let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
            let length = bytes.iter().position(special).unwrap_or(bytes.len());
            let (found, ascii) = plain(&bytes);
            prop_assert_eq!(found, length);
            prop_assert!(!ascii || bytes[..length].is_ascii());
        }

        #[test]
        fn the_check_agrees_with_std_for_any_split(
            bytes in prop::collection::vec(prop_oneof![0x80u8..0xC0, 0xC0u8.., 0x20u8..0x7F], 0..10), cut in 0usize..10,
        ) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut utf8 = Utf8::default();
            let valid = utf8.check(head) && utf8.check(tail) && utf8.need == 0;
            prop_assert_eq!(valid, std::str::from_utf8(&bytes).is_ok());
        }
    }
}
