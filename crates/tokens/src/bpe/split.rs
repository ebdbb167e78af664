//! Cuts text into the pieces that byte-pair encoding then works on, each alone.
//!
//! OpenAI states the cut as a regular expression. Here each one is written out by
//! hand: no engine, one look at each character, and nothing but the text from the
//! piece's start on decides where it ends. The expressions look ahead, never
//! behind, so a boundary, once known, is a place to start again.
//!
//! The patterns are those of npm `tiktoken` 1.0.22 (`encoders/*.json`), quoted at
//! each rule, and one more of another vendor's. Newer
//! releases of Python's tiktoken write cl100k's with possessive quantifiers and
//! `\s++$`, which cuts one case otherwise, a text that ends in a newline and then
//! blanks, and changes no id of it (tests/exact/ids.rs). The tests below compare
//! with the patterns themselves.

use super::unicode::{
    Classes, END, LETTER, LOWER, MARK, NEWLINE, NUMBER, OTHER, SPACE, UNCASED, UPPER, WHITE,
    class_at, class_once,
};

/// A way to cut text.
pub(super) trait Split: Copy {
    /// The end of the piece that starts at `at`, which is below the length. `bytes`
    /// is UTF-8, and `at` the start of a character; so is what comes back. Always
    /// more than `at`.
    fn piece_end(self, bytes: &[u8], at: usize) -> usize;
}

/// The rules there are. Most models of others cut by one of OpenAI's, or nearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// `o200k_base`; gpt-oss.
    O200k,
    /// `cl100k_base`; Llama 3, Phi 4.
    Cl100k,
    /// Qwen 2 to 3: cl100k's, and each digit alone.
    Qwen,
    /// `r50k_base`; GPT-2 and what followed it.
    R50k,
}

/// Pieces that are found before any is looked up, where speed is not all.
pub(super) const PIECES: usize = 64;

/// The patterns as the tokenizer.json files of these models have them (npm
/// @lenml/tokenizer-* 3.7.2: gpt4o, llama3, qwen2_5). GPT-2's stands in no file: the
/// `ByteLevel` pre-tokenizer has it built in.
const PATTERNS: [(Cut, &str); 4] = [
    (
        Cut::O200k,
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
    ),
    (
        Cut::Cl100k,
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
    ),
    (
        Cut::Qwen,
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
            r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
    ),
    (Cut::R50k, r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
];

impl Cut {
    /// The rule that is written so, letter by letter: a pattern that means the same
    /// in other words is not known.
    #[must_use]
    pub fn of_pattern(pattern: &str) -> Option<Self> {
        PATTERNS.iter().find(|(_, known)| *known == pattern).map(|&(cut, _)| cut)
    }

    /// Writes the ends of the pieces from `at` on, as many as there is room for, and
    /// answers how many there are.
    pub(super) fn ends(self, bytes: &[u8], at: usize, ends: &mut [usize; PIECES]) -> usize {
        match self {
            Self::O200k => ends_by(O200k, bytes, at, ends),
            Self::Cl100k | Self::Qwen => ends_by(Cl100k { digits: self.digits() }, bytes, at, ends),
            Self::R50k => ends_by(R50k, bytes, at, ends),
        }
    }

    /// The most digits that a piece has.
    pub(super) fn digits(self) -> usize {
        if self == Self::Qwen { 1 } else { 3 }
    }
}

fn ends_by(split: impl Split, bytes: &[u8], mut at: usize, ends: &mut [usize; PIECES]) -> usize {
    let mut count = 0;
    for end in ends {
        if at >= bytes.len() {
            break;
        }
        at = split.piece_end(bytes, at);
        *end = at;
        count += 1;
    }
    count
}

/// `o200k_base` and `o200k_harmony`, alternative by alternative:
///
/// ```text
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// \p{N}{1,3}
///  ?[^\s\p{L}\p{N}]+[\r\n/]*
/// \s*[\r\n]+
/// \s+(?!\S)
/// \s+
/// ```
#[derive(Clone, Copy)]
pub(super) struct O200k;

impl Split for O200k {
    #[inline(always)]
    fn piece_end(self, bytes: &[u8], at: usize) -> usize {
        let (class, length) = class_once(bytes, at);
        // A mark is a word's letter as well as its prefix: either way the word
        // ends at the same place, so it is taken as a letter.
        if class & (LETTER | MARK) != 0 {
            return cased_word(bytes, at);
        }
        let second = at + length;
        if class & (SPACE | OTHER) != 0 {
            let (next, _) = class_once(bytes, second);
            if next & (LETTER | MARK) != 0 {
                return cased_word(bytes, second);
            }
            if class == OTHER || next == OTHER && bytes[at] == b' ' {
                return symbols(bytes, second, |byte| matches!(byte, b'\r' | b'\n' | b'/'));
            }
        }
        if class == NUMBER {
            return digits(bytes, second, 3);
        }
        blank_lines(bytes, at)
    }
}

/// `cl100k_base`, with 3 `digits`:
///
/// ```text
/// (?i:'s|'t|'re|'ve|'m|'ll|'d)
/// [^\r\n\p{L}\p{N}]?\p{L}+
/// \p{N}{1,digits}
///  ?[^\s\p{L}\p{N}]+[\r\n]*
/// \s*[\r\n]+
/// \s+(?!\S)
/// \s+
/// ```
#[derive(Clone, Copy)]
pub(super) struct Cl100k {
    pub(super) digits: usize,
}

impl Split for Cl100k {
    #[inline(always)]
    fn piece_end(self, bytes: &[u8], at: usize) -> usize {
        let (class, length) = class_once(bytes, at);
        if class & LETTER != 0 {
            return run(bytes, skip_letters::<0x20>(bytes, at), LETTER);
        }
        let second = at + length;
        if class & (SPACE | OTHER | MARK) != 0 {
            if bytes[at] == b'\'' {
                let end = contraction(bytes, at);
                if end > at {
                    return end;
                }
            }
            let (next, _) = class_once(bytes, second);
            if next & LETTER != 0 {
                return run(bytes, skip_letters::<0x20>(bytes, second), LETTER);
            }
            if class != SPACE || next & (OTHER | MARK) != 0 && bytes[at] == b' ' {
                return symbols(bytes, second, |byte| matches!(byte, b'\r' | b'\n'));
            }
        }
        if class == NUMBER {
            return digits(bytes, second, self.digits);
        }
        blank_lines(bytes, at)
    }
}

/// `p50k_base` and `r50k_base`:
///
/// ```text
/// 's|'t|'re|'ve|'m|'ll|'d
///  ?\p{L}+
///  ?\p{N}+
///  ?[^\s\p{L}\p{N}]+
/// \s+(?!\S)
/// \s+
/// ```
#[derive(Clone, Copy)]
pub(super) struct R50k;

impl Split for R50k {
    #[inline(always)]
    fn piece_end(self, bytes: &[u8], at: usize) -> usize {
        let (mut class, length) = class_once(bytes, at);
        let mut second = at + length;
        match bytes[at] {
            b' ' => {
                let (next, length) = class_once(bytes, second);
                if next & WHITE != 0 || next == END {
                    return blanks(bytes, at);
                }
                (class, second) = (next, second + length);
            }
            b'\'' => match bytes.get(second..) {
                Some([b's' | b't' | b'm' | b'd', ..]) => return at + 2,
                Some([b'r' | b'v', b'e', ..] | [b'l', b'l', ..]) => return at + 3,
                _ => {}
            },
            _ => {}
        }
        if class & LETTER != 0 {
            run(bytes, skip_letters::<0x20>(bytes, second), LETTER)
        } else if class == NUMBER {
            run(bytes, second, NUMBER)
        } else if class & WHITE != 0 {
            blanks(bytes, at)
        } else {
            run(bytes, second, OTHER | MARK)
        }
    }
}

/// The end of the characters of `classes` from `at` on.
#[inline(always)]
fn run(bytes: &[u8], mut at: usize, classes: Classes) -> usize {
    loop {
        let (class, length) = class_at(bytes, at);
        if class & classes == 0 {
            return at;
        }
        at += length;
    }
}

/// Behind the ASCII letters from `at` on, small ones; with `FOLD` 0x20 capitals,
/// too. Eight at a time: words are long enough, and their lengths too uneven for a
/// processor to guess where a loop ends. Near the end of the text it may stop
/// early, so `run` has to follow.
#[inline(always)]
fn skip_letters<const FOLD: u8>(bytes: &[u8], mut at: usize) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let each = |byte: u8| u64::from_ne_bytes([byte; 8]);
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let chunk = u64::from_le_bytes(*chunk);
        // Seven bits each, so that no addition carries into the next byte. The top
        // bit of a sum says whether the byte is at least `a`, or beyond `z`.
        let low = chunk & !HIGH | each(FOLD);
        let letters = (low + each(0x80 - b'a')) & !(low + each(0x80 - b'z' - 1)) & !chunk & HIGH;
        let others = letters ^ HIGH;
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// o200k's first two alternatives behind the prefix; a letter or a mark is at `at`.
#[inline(always)]
fn cased_word(bytes: &[u8], at: usize) -> usize {
    // `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*` takes all it can …
    let mut end = at;
    let mut behind_uncased = at;
    let next = loop {
        let (class, length) = class_at(bytes, end);
        if class & (UPPER | UNCASED | MARK) == 0 {
            break class;
        }
        end += length;
        if class != UPPER {
            behind_uncased = end;
        }
    };
    if next == LOWER {
        end = run(bytes, skip_letters::<0>(bytes, end), LOWER | UNCASED | MARK);
    } else if behind_uncased > at {
        // … and gives back as far as the last one that may also stand in
        // `[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`, which needs one. Capitals behind it are
        // the next piece's.
        end = behind_uncased;
    }
    // Capitals alone are the second alternative, and end where they end.
    contraction(bytes, end)
}

/// Behind `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` at `at`. Of all characters only U+017F,
/// the long s, folds to one of these letters.
#[inline(always)]
fn contraction(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at) != Some(&b'\'') {
        return at;
    }
    match bytes.get(at + 1..).unwrap_or_default() {
        [b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => at + 2,
        [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] => at + 3,
        [0xc5, 0xbf, ..] => at + 3,
        _ => at,
    }
}

/// `\p{N}{1,most}` behind its first.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize, most: usize) -> usize {
    for _ in 1..most {
        let (class, length) = class_once(bytes, at);
        if class != NUMBER {
            break;
        }
        at += length;
    }
    at
}

/// `[^\s\p{L}\p{N}]+` behind its first, then a run of `tail`.
#[inline(always)]
fn symbols(bytes: &[u8], at: usize, tail: impl Fn(u8) -> bool) -> usize {
    let mut end = run(bytes, at, OTHER | MARK);
    while bytes.get(end).is_some_and(|&byte| tail(byte)) {
        end += 1;
    }
    end
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`
fn blank_lines(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    let mut behind_newline = at;
    let mut last = 0;
    loop {
        let (class, length) = class_once(bytes, end);
        if class & WHITE == 0 {
            return if behind_newline > at {
                behind_newline
            } else {
                leave_one(at, end, last, class)
            };
        }
        last = length;
        end += length;
        if class == NEWLINE {
            behind_newline = end;
        }
    }
}

/// `\s+(?!\S)|\s+`
fn blanks(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    let mut last = 0;
    loop {
        let (class, length) = class_once(bytes, end);
        if class & WHITE == 0 {
            return leave_one(at, end, last, class);
        }
        last = length;
        end += length;
    }
}

/// White space leaves its last character to what follows, if it has more than one
/// and anything follows.
fn leave_one(at: usize, end: usize, last: usize, next: Classes) -> usize {
    if next == END || end - at == last { end } else { end - last }
}

#[cfg(test)]
pub(super) mod tests {
    use fancy_regex::Regex;
    use proptest::prelude::*;

    use super::super::telling::TELLING;
    use super::*;

    pub(in super::super) fn pieces(cut: Cut, text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        let mut ends = [0; PIECES];
        let mut at = 0;
        while at < text.len() {
            let found = cut.ends(text.as_bytes(), at, &mut ends);
            for &end in &ends[..found] {
                pieces.push(&text[at..end]);
                at = end;
            }
        }
        pieces
    }

    #[test]
    fn a_capital_begins_a_word_unless_capitals_stand_alone() {
        assert_eq!(
            pieces(Cut::O200k, "fooBar HTTPServer ABC"),
            ["foo", "Bar", " HTTPServer", " ABC"]
        );
        assert_eq!(pieces(Cut::Cl100k, "fooBar ABC"), ["fooBar", " ABC"]);
    }

    #[test]
    fn contractions_are_what_each_encoding_says() {
        let text = "I'm I'LL 'ſ x'ſ '";
        assert_eq!(pieces(Cut::O200k, text), ["I'm", " I'LL", " '", "ſ", " x'ſ", " '"]);
        assert_eq!(
            pieces(Cut::Cl100k, text),
            ["I", "'m", " I", "'LL", " '", "ſ", " x", "'ſ", " '"]
        );
        assert_eq!(
            pieces(Cut::R50k, text),
            ["I", "'m", " I", "'", "LL", " '", "ſ", " x", "'", "ſ", " '"]
        );
    }

    #[test]
    fn white_space_leaves_one_blank_and_keeps_line_ends() {
        let text = "a  b\r\n\n  c \u{85}d \u{feff}e  ";
        let o200k = ["a", " ", " b", "\r\n\n", " ", " c", " ", "\u{85}d", " \u{feff}", "e", "  "];
        assert_eq!(pieces(Cut::O200k, text), o200k);
        assert_eq!(pieces(Cut::Cl100k, text), o200k);
        assert_eq!(
            pieces(Cut::R50k, text),
            ["a", " ", " b", "\r\n\n ", " c", " ", "\u{85}", "d", " \u{feff}", "e", "  "]
        );
    }

    pub(in super::super) fn texts() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            8 => proptest::sample::select(TELLING).prop_map(String::from),
            1 => any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(character, 0..24).prop_map(|parts| parts.concat())
    }

    fn by_pattern<'t>(pattern: &Regex, text: &'t str) -> Vec<&'t str> {
        pattern.find_iter(text).map(|found| found.expect("no limit is met").as_str()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn pieces_are_what_the_patterns_match(text in texts()) {
            thread_local! {
                static ENGINES: [Regex; 4] = PATTERNS
                    .map(|(_, pattern)| Regex::new(pattern).expect("a pattern"));
            }
            ENGINES.with(|[o200k, cl100k, qwen, r50k]| {
                prop_assert_eq!(pieces(Cut::O200k, &text), by_pattern(o200k, &text));
                prop_assert_eq!(pieces(Cut::Cl100k, &text), by_pattern(cl100k, &text));
                prop_assert_eq!(pieces(Cut::Qwen, &text), by_pattern(qwen, &text));
                prop_assert_eq!(pieces(Cut::R50k, &text), by_pattern(r50k, &text));
                Ok(())
            })?;
        }
    }
}
