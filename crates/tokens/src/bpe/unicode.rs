//! What kind of character a code point is, as far as splitting text asks.
//!
//! The kinds are Unicode's general categories and White_Space in the version that
//! tiktoken's regex engine has, not JavaScript's `\s`: U+0085 is white space here
//! and U+FEFF is not. The table is generated; see its head.

use super::unicode_table::{BLOCKS, INDEX};

/// A set of classes, a bit each.
pub(super) type Classes = u32;

/// Punctuation, symbols, controls, what is unassigned.
pub(super) const OTHER: Classes = 1;
/// Lu, Lt.
pub(super) const UPPER: Classes = 1 << 1;
/// Ll.
pub(super) const LOWER: Classes = 1 << 2;
/// Lm, Lo: letters without case.
pub(super) const UNCASED: Classes = 1 << 3;
/// M: what is written onto the letter before.
pub(super) const MARK: Classes = 1 << 4;
/// N.
pub(super) const NUMBER: Classes = 1 << 5;
/// White_Space but `\r` and `\n`.
pub(super) const SPACE: Classes = 1 << 6;
/// `\r`, `\n`.
pub(super) const NEWLINE: Classes = 1 << 7;
/// Behind the last byte.
pub(super) const END: Classes = 0;

/// `\p{L}`.
pub(super) const LETTER: Classes = UPPER | LOWER | UNCASED;
/// `\s`.
pub(super) const WHITE: Classes = SPACE | NEWLINE;

/// Bytes 0x80 and up: the class needs the whole code point.
const MULTIBYTE: u8 = 0;

static ASCII: [u8; 256] = ascii();

const fn ascii() -> [u8; 256] {
    let mut table = [MULTIBYTE; 256];
    let mut byte = 0;
    while byte < 128 {
        // A class is at most bit 7, so it fits.
        table[byte] = 1 << BLOCKS[INDEX[0] as usize][byte];
        byte += 1;
    }
    table
}

/// The class of the character that starts at `at` and the bytes it takes;
/// `(END, 0)` at the end. `bytes` is UTF-8 and `at` the start of a character.
#[inline(always)]
pub(super) fn class_at(bytes: &[u8], at: usize) -> (Classes, usize) {
    let Some(&first) = bytes.get(at) else { return (END, 0) };
    let class = ASCII[usize::from(first)];
    if class != MULTIBYTE {
        return (Classes::from(class), 1);
    }
    let (code, length) = decode(bytes, at, first);
    (class_of(code), length)
}

/// `class_at` for those who ask of a piece once: what is not ASCII is a call, for each
/// place where it is none is another copy.
#[inline(always)]
pub(super) fn class_once(bytes: &[u8], at: usize) -> (Classes, usize) {
    let Some(&first) = bytes.get(at) else { return (END, 0) };
    match ASCII[usize::from(first)] {
        MULTIBYTE => beyond_ascii(bytes, at),
        class => (Classes::from(class), 1),
    }
}

#[inline(never)]
fn beyond_ascii(bytes: &[u8], at: usize) -> (Classes, usize) {
    class_at(bytes, at)
}

/// The class of a code point.
#[inline]
pub(super) fn class_of(code: u32) -> Classes {
    let code = code as usize;
    match INDEX.get(code >> 7) {
        Some(&block) => {
            BLOCKS.get(usize::from(block)).map_or(OTHER, |block| 1 << block[code & 127])
        }
        None => OTHER,
    }
}

/// The code point of two bytes or more that starts at `at` with byte `first`, and
/// its length. What is no UTF-8 gives some code point and a length of at least 1.
#[inline(always)]
pub(super) fn decode(bytes: &[u8], at: usize, first: u8) -> (u32, usize) {
    let next = |n: usize| bytes.get(at + n).map_or(0, |&byte| u32::from(byte & 0x3f));
    let first = u32::from(first);
    if first < 0xe0 {
        ((first & 0x1f) << 6 | next(1), 2)
    } else if first < 0xf0 {
        ((first & 0x0f) << 12 | next(1) << 6 | next(2), 3)
    } else {
        ((first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4)
    }
}
