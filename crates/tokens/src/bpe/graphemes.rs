//! What a reader takes for one character: Unicode's extended grapheme clusters
//! (UAX #29). Only as much as cutting a text asks, with a table of a quarter of the
//! usual size, for it is part of every page's download.

use super::grapheme_table::TABLE;

/// Numbers of the table. Those of Hangul's syllables are computed.
const OTHER: u8 = 0;
const CONTROL: u8 = 1;
const EXTEND: u8 = 2;
/// Extends a conjunct of consonants, too.
const JOINING: u8 = 3;
/// Joins consonants to a conjunct.
const LINKER: u8 = 4;
const SPACING: u8 = 5;
const PREPEND: u8 = 6;
const PICTURE: u8 = 7;
const CONSONANT: u8 = 8;
const FLAG: u8 = 9;
const LEADING: u8 = 10;
const VOWEL: u8 = 11;
const TRAILING: u8 = 12;
const ZWJ: u8 = 13;
const OPEN_SYLLABLE: u8 = 14;
const SHUT_SYLLABLE: u8 = 15;

const RANGES: usize = TABLE.len();
/// The table by bytes of equal weight, which packs to two thirds.
static BYTES: [[u8; RANGES]; 4] = {
    let mut bytes = [[0; RANGES]; 4];
    let mut at = 0;
    while at < RANGES {
        let range = TABLE[at].to_be_bytes();
        let mut byte = 0;
        while byte < 4 {
            bytes[byte][at] = range[byte];
            byte += 1;
        }
        at += 1;
    }
    bytes
};

const SYLLABLES: std::ops::RangeInclusive<u32> = 0xac00..=0xd7a3;
/// Syllables that begin alike, the first of which has no trailing consonant.
const TRAILERS: u32 = 28;

/// The last boundary that is not behind `at`.
pub(super) fn boundary_before(text: &str, at: usize) -> usize {
    let mut at = text.floor_char_boundary(at);
    while !is_boundary(text, at) {
        at = text.floor_char_boundary(at - 1);
    }
    at
}

/// The first boundary that is not before `at`.
pub(super) fn boundary_behind(text: &str, at: usize) -> usize {
    let mut at = text.ceil_char_boundary(at);
    while !is_boundary(text, at) {
        at = text.ceil_char_boundary(at + 1);
    }
    at
}

/// At both ends there is one, so a search for the next stays inside.
fn is_boundary(text: &str, at: usize) -> bool {
    let (Some(before), Some(after)) = (text.get(..at), text.get(at..)) else { return true };
    let (Some(left), Some(right)) = (before.chars().next_back(), after.chars().next()) else {
        return true;
    };
    match (class_of(left), class_of(right)) {
        (CONTROL, _) | (_, CONTROL) => (left, right) != ('\r', '\n'),
        (_, EXTEND | JOINING | LINKER | SPACING | ZWJ) | (PREPEND, _) => false,
        (LEADING, LEADING | VOWEL | OPEN_SYLLABLE | SHUT_SYLLABLE)
        | (VOWEL | OPEN_SYLLABLE, VOWEL | TRAILING)
        | (TRAILING | SHUT_SYLLABLE, TRAILING) => false,
        (JOINING | LINKER | ZWJ, CONSONANT) => {
            let mut classes = before.chars().rev().map(class_of);
            let mut linked = false;
            let joined = classes.find(|class| {
                linked |= *class == LINKER;
                !matches!(*class, JOINING | LINKER | ZWJ)
            });
            !(linked && joined == Some(CONSONANT))
        }
        (ZWJ, PICTURE) => {
            let mut classes = before.chars().rev().skip(1).map(class_of);
            classes.find(|class| !matches!(*class, EXTEND | JOINING | LINKER)) != Some(PICTURE)
        }
        (FLAG, FLAG) => {
            before.chars().rev().take_while(|&flag| class_of(flag) == FLAG).count() % 2 == 0
        }
        _ => true,
    }
}

#[inline(never)]
fn class_of(character: char) -> u8 {
    let code = u32::from(character);
    if SYLLABLES.contains(&code) {
        let shut = !(code - SYLLABLES.start()).is_multiple_of(TRAILERS);
        return if shut { SHUT_SYLLABLE } else { OPEN_SYLLABLE };
    }
    let (mut from, mut to) = (0, RANGES);
    while from < to {
        let middle = usize::midpoint(from, to);
        match range(middle) {
            Some(range) if range >> 11 <= code => from = middle + 1,
            _ => to = middle,
        }
    }
    match from.checked_sub(1).and_then(range) {
        Some(range) if code - (range >> 11) <= range >> 4 & 0x7f => (range & 0xf) as u8,
        _ => OTHER,
    }
}

/// First code point, how many follow, class: 21, 7 and 4 bits.
fn range(at: usize) -> Option<u32> {
    let [a, b, c, d] = &BYTES;
    Some(u32::from_be_bytes([*a.get(at)?, *b.get(at)?, *c.get(at)?, *d.get(at)?]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;

    /// Characters of every class, and any.
    fn character() -> impl Strategy<Value = char> {
        let telling = "a\r\n\u{ad}\u{300}\u{200c}\u{200d}\u{fe0f}\u{903}\u{600}\u{a9}\u{1f469}\u{1f3fd}\
            \u{915}\u{92e}\u{94d}\u{93c}\u{9cd}\u{995}\u{1f1e9}\u{1f1ea}\u{1100}\u{1161}\u{11a8}\u{ac00}\u{ac01}";
        let telling = proptest::sample::select(telling.chars().collect::<Vec<_>>());
        prop_oneof![6 => telling, 1 => any::<char>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn boundaries_are_where_the_crate_unicode_segmentation_sees_them(
            characters in proptest::collection::vec(character(), 0..12)
        ) {
            let text: String = characters.into_iter().collect();
            let mut ends: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
            ends.push(text.len());
            for at in 0..=text.len() {
                let before = ends.iter().copied().filter(|&end| end <= at).max();
                prop_assert_eq!(Some(boundary_before(&text, at)), before, "before {}", at);
                let behind = ends.iter().copied().find(|&end| end >= at);
                prop_assert_eq!(Some(boundary_behind(&text, at)), behind, "behind {}", at);
            }
        }
    }
}
