//! Features of a text, counted in one pass without keeping it.
//!
//! The hot path of every request: one table look-up and one addition a byte.
//! Eight counters share a `u64` (a byte each), added up at least every 255 bytes.

/// What the estimate reads: counts over one text, or the sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// UTF-8 bytes.
    pub bytes: u64,
    /// Unicode code points.
    pub code_points: u64,
    /// Letters A-Z, a-z.
    pub latin_letters: u64,
    /// Runs of those letters, split where a lower-case letter meets an upper-case one.
    pub words: u64,
    /// Digits 0-9.
    pub digits: u64,
    /// Runs of digits.
    pub numbers: u64,
    /// ASCII punctuation, brackets, quotes and control characters.
    pub structure: u64,
    /// Runs of those.
    pub structure_runs: u64,
    /// Space, tab, line feed, carriage return.
    pub whitespace: u64,
    /// Runs of line ends and tabs, and runs of spaces after them.
    pub breaks: u64,
    /// Latin letters outside ASCII (U+00C0 to U+02FF, told by the first byte).
    pub latin_accented: u64,
    /// Cyrillic letters (U+0400 to U+04FF).
    pub cyrillic: u64,
    /// Other two-byte code points: Greek, Hebrew, Arabic, marks, signs.
    pub two_byte: u64,
    /// Indic and South-East Asian scripts, Georgian, Ethiopic (U+0800 to U+1FFF).
    pub brahmic: u64,
    /// Symbols and punctuation of U+2000 to U+2FFF.
    pub symbols: u64,
    /// Chinese, Japanese, Korean and the rest of the first plane.
    pub cjk: u64,
    /// Code points of four bytes: emoji, rare ideographs.
    pub astral: u64,
    /// ASCII characters equal to the one before: such runs take few tokens.
    pub repeats: u64,
}

/// Counts [`Features`] of a text that comes in pieces, split anywhere.
#[derive(Clone, Debug, Default)]
pub struct FeatureScanner {
    features: Features,
    /// Counts not yet in `features`, of `in_lanes` bytes.
    lanes: u64,
    in_lanes: usize,
    /// The byte before; any beyond ASCII where there is none.
    last: u8,
}

impl FeatureScanner {
    /// Counts one more piece of UTF-8; it may start and end inside a code point.
    pub fn feed(&mut self, text: &[u8]) {
        self.features.bytes += text.len() as u64;
        let mut rest = text;
        while !rest.is_empty() {
            let (block, tail) = rest.split_at(rest.len().min(LANE_MAX - self.in_lanes));
            self.block(block);
            self.in_lanes += block.len();
            if self.in_lanes == LANE_MAX {
                self.features.add(std::mem::take(&mut self.lanes));
                self.in_lanes = 0;
            }
            rest = tail;
        }
    }

    /// The next piece starts another text: no word runs on into it.
    pub fn boundary(&mut self) {
        self.last = 0x80;
    }

    /// What was counted so far.
    pub fn features(&self) -> Features {
        let mut f = self.features;
        f.add(self.lanes);
        let ascii = f.latin_letters;
        f.latin_letters = ascii - f.digits - f.structure - f.whitespace;
        f.code_points = ascii
            + f.latin_accented
            + f.cyrillic
            + f.two_byte
            + f.brahmic
            + f.symbols
            + f.cjk
            + f.astral;
        f
    }

    /// So few bytes that no lane overflows. `latin_letters` holds all of
    /// ASCII until [`Self::features`] takes the rest off.
    fn block(&mut self, block: &[u8]) {
        let mut lanes = self.lanes;
        let mut ascii = 0u64;
        let mut last = self.last;
        let mut class = CLASS[usize::from(last)];
        for &byte in block {
            let next = CLASS[usize::from(byte)];
            if byte < 0x80 {
                ascii += 1;
                lanes += PAIR[usize::from(class << 3 | next) & 63];
                lanes += u64::from(byte == last) << REPEATS;
            } else {
                self.beyond_ascii(byte);
            }
            class = next;
            last = byte;
        }
        self.last = last;
        self.lanes = lanes;
        self.features.latin_letters += ascii;
    }

    /// One byte of a code point beyond ASCII; the first one tells which.
    fn beyond_ascii(&mut self, byte: u8) {
        let f = &mut self.features;
        match byte {
            0x80..=0xBF => {}
            0xC3..=0xCB => f.latin_accented += 1,
            0xD0..=0xD3 => f.cyrillic += 1,
            0xC0..=0xDF => f.two_byte += 1,
            0xE0..=0xE1 => f.brahmic += 1,
            0xE2 => f.symbols += 1,
            0xE3..=0xEF => f.cjk += 1,
            _ => f.astral += 1,
        }
    }
}

impl Features {
    fn add(&mut self, lanes: u64) {
        let lane = |shift: u32| lanes >> shift & 0xFF;
        self.words += lane(WORDS);
        self.digits += lane(DIGITS);
        self.numbers += lane(NUMBERS);
        self.structure += lane(STRUCTURE);
        self.structure_runs += lane(STRUCTURE_RUNS);
        self.whitespace += lane(WHITESPACE);
        self.breaks += lane(BREAKS);
        self.repeats += lane(REPEATS);
    }
}

impl std::ops::AddAssign for Features {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.code_points += other.code_points;
        self.latin_letters += other.latin_letters;
        self.words += other.words;
        self.digits += other.digits;
        self.numbers += other.numbers;
        self.structure += other.structure;
        self.structure_runs += other.structure_runs;
        self.whitespace += other.whitespace;
        self.breaks += other.breaks;
        self.latin_accented += other.latin_accented;
        self.cyrillic += other.cyrillic;
        self.two_byte += other.two_byte;
        self.brahmic += other.brahmic;
        self.symbols += other.symbols;
        self.cjk += other.cjk;
        self.astral += other.astral;
        self.repeats += other.repeats;
    }
}

/// The most that a lane of eight bits holds, one a byte.
const LANE_MAX: usize = 255;
const WORDS: u32 = 0;
const DIGITS: u32 = 8;
const NUMBERS: u32 = 16;
const STRUCTURE: u32 = 24;
const STRUCTURE_RUNS: u32 = 32;
const WHITESPACE: u32 = 40;
const BREAKS: u32 = 48;
const REPEATS: u32 = 56;

const OTHER: u8 = 0;
const LOWER: u8 = 1;
const UPPER: u8 = 2;
const DIGIT: u8 = 3;
const PUNCTUATION: u8 = 4;
const SPACE: u8 = 5;
const BREAK: u8 = 6;

/// The class of each byte.
static CLASS: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = match b {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            b' ' => SPACE,
            b'\t' | b'\n' | b'\r' => BREAK,
            _ => PUNCTUATION,
        };
        byte += 1;
    }
    table
};

/// What a byte of one class adds to the lanes after one of another.
static PAIR: [u64; 64] = {
    let mut table = [0; 64];
    let mut pair = 0;
    while pair < 64 {
        let (before, class) = ((pair >> 3) as u8, (pair & 7) as u8);
        let starts = before != class;
        table[pair] = match class {
            LOWER if before != LOWER && before != UPPER => 1 << WORDS,
            UPPER if before != UPPER => 1 << WORDS,
            DIGIT => 1 << DIGITS | (starts as u64) << NUMBERS,
            PUNCTUATION => 1 << STRUCTURE | (starts as u64) << STRUCTURE_RUNS,
            SPACE => 1 << WHITESPACE | ((before == BREAK) as u64) << BREAKS,
            BREAK => 1 << WHITESPACE | (starts as u64) << BREAKS,
            _ => 0,
        };
        pair += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &str) -> Features {
        let mut scanner = FeatureScanner::default();
        scanner.feed(text.as_bytes());
        scanner.features()
    }

    #[test]
    fn each_kind_of_character_is_counted_once() {
        let f = scan("let Foo = fooBar(42, \"é\");\n  // Жук, 漢字 → 😀!!");
        assert_eq!(f.latin_letters, 12);
        assert_eq!(f.words, 4);
        assert_eq!((f.digits, f.numbers), (2, 1));
        assert_eq!((f.structure, f.structure_runs), (12, 8));
        assert_eq!((f.whitespace, f.breaks), (11, 2));
        assert_eq!((f.latin_accented, f.cyrillic, f.two_byte, f.cjk), (1, 3, 0, 2));
        assert_eq!((f.symbols, f.astral, f.brahmic), (1, 1, 0));
        assert_eq!(f.repeats, 5);
    }

    #[test]
    fn long_runs_do_not_overflow_a_lane() {
        let f = scan(&"7".repeat(100_000));
        assert_eq!((f.digits, f.numbers, f.repeats), (100_000, 1, 99_999));
    }

    #[test]
    fn no_word_runs_on_into_the_next_text() {
        let mut scanner = FeatureScanner::default();
        scanner.feed(b"gate");
        scanner.boundary();
        scanner.feed(b"keeper");
        assert_eq!((scanner.features().words, scanner.features().latin_letters), (2, 10));
    }

    proptest! {
        #[test]
        fn code_points_and_bytes_are_those_of_the_text(text in "\\PC{0,400}|[ -~\n\t]{0,600}") {
            let f = scan(&text);
            prop_assert_eq!(f.bytes, text.len() as u64);
            prop_assert_eq!(f.code_points, text.chars().count() as u64);
            let letters = text.bytes().filter(u8::is_ascii_alphabetic).count() as u64;
            prop_assert_eq!(f.latin_letters, letters);
        }

        #[test]
        fn any_split_gives_the_same_features(text in "\\PC{0,300}|[a-cA-C0-2 ,\n]{0,300}", cuts in prop::collection::vec(0usize..300, 0..6)) {
            let mut scanner = FeatureScanner::default();
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for to in cuts.into_iter().chain([text.len()]) {
                scanner.feed(&text.as_bytes()[from..to]);
                from = to;
            }
            prop_assert_eq!(scanner.features(), scan(&text));
        }
    }
}
