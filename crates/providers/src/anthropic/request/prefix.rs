//! A fingerprint of what prompts begin with, tools and system prompt: by it the gate
//! knows a prompt again that the provider may read from its prompt cache.

/// Odd, its bits well spread: the golden ratio's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash of bytes that come in pieces, split anywhere. Not against an adversary:
/// whoever makes two prompts look alike holds up his own requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprint {
    hash: u64,
    /// Bytes of an unfinished word of eight, and how many.
    part: u64,
    bytes: u32,
}

impl Fingerprint {
    pub(super) fn of(text: &[u8]) -> u64 {
        let mut whole = Self::default();
        whole.feed(text);
        whole.value()
    }

    pub(super) fn feed(&mut self, text: &[u8]) {
        let begun = (self.bytes % 8) as usize;
        let missing = if begun == 0 { 0 } else { text.len().min(8 - begun) };
        let (head, text) = text.split_at(missing);
        self.slow(head);
        let mut words = text.chunks_exact(8);
        for word in words.by_ref() {
            // Eight bytes, as the iterator says.
            self.word(u64::from_le_bytes(word.try_into().unwrap_or_default()));
            self.bytes = self.bytes.wrapping_add(8);
        }
        self.slow(words.remainder());
    }

    /// Its value so far, of which the upper half is the better one.
    pub(super) fn value(&self) -> u64 {
        let mut last = self.clone();
        last.word(last.part);
        last.word(u64::from(last.bytes));
        last.hash
    }

    fn slow(&mut self, text: &[u8]) {
        for byte in text {
            self.part |= u64::from(*byte) << (8 * (self.bytes % 8));
            self.bytes = self.bytes.wrapping_add(1);
            if self.bytes.is_multiple_of(8) {
                self.word(self.part);
                self.part = 0;
            }
        }
    }

    fn word(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&[u8]]) -> u64 {
        let mut fingerprint = Fingerprint::default();
        pieces.iter().for_each(|piece| fingerprint.feed(piece));
        fingerprint.value()
    }

    #[test]
    fn pieces_do_not_matter_and_bytes_do() {
        let text: Vec<u8> = (0..100).collect();
        for end in 0..40 {
            let text = &text[..end];
            for first in 0..=end {
                for second in first..=end {
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    assert_eq!(of(&pieces), of(&[text]), "{first} {second} of {end}");
                }
            }
            for at in 0..end {
                let mut other = text.to_vec();
                other[at] ^= 1;
                assert_ne!(of(&[&other]) >> 32, of(&[text]) >> 32, "{at} of {end}");
            }
        }
        assert_ne!(of(&[&[0; 8]]), of(&[&[0; 16]]), "zeros count");
    }
}
