//! Where a text may be cut apart, so that an edit on one side leaves the other as it was:
//! at a hard boundary, which the two characters around it tell, and at the end of a piece
//! that is settled.

use super::split::{Cut, PIECES};
use super::unicode::{
    END, LETTER, LOWER, MARK, NEWLINE, NUMBER, OTHER, SPACE, UNCASED, UPPER, WHITE, class_once,
};

/// Whether every text is cut at `at`, whatever stands further away than the two
/// characters on either side: no piece of any encoding holds them both in this
/// order. Then the text on either side can be counted alone. It is enough, not
/// necessary: other boundaries depend on where the piece before began.
///
/// `at` is a character's start within `bytes`.
#[must_use]
pub fn is_hard_boundary(bytes: &[u8], at: usize) -> bool {
    bytes.split_at_checked(at).is_some_and(|(left, right)| are_apart(left, right))
}

/// The same of two texts, one of which is to stand behind the other.
#[inline(never)]
pub(super) fn are_apart(left: &[u8], right: &[u8]) -> bool {
    let (before_class, _) = class_once(left, start_of_last(left));
    let (after_class, _) = class_once(right, 0);
    match before_class {
        // Behind a word only a contraction or a mark can belong to it.
        UPPER | LOWER | UNCASED => {
            after_class != END && after_class & (LETTER | MARK) == 0 && right[0] != b'\''
        }
        NUMBER => after_class != END && after_class != NUMBER,
        // Symbols may be a word's prefix and take line ends with them, no blanks.
        OTHER | MARK => after_class == SPACE,
        // Behind white space, what follows decides whether its last one is left over. Behind
        // nothing there is no boundary.
        _ => false,
    }
}

/// What a rule has looked at behind a piece that is settled: a character, or `'ll`.
pub(super) const SEEN: usize = 4;

/// Whether a piece that starts at `start` ends at `at` whatever stands `SEEN` bytes behind
/// it or further: nearly all do. Then what comes behind is cut as if it were alone, and an
/// edit there changes nothing before.
///
/// It is the boundaries that hard ones are not enough for: a run may have none (`aBaB`,
/// `}` after `}` on lines of their own), and thousands of pieces.
#[inline(never)]
pub(super) fn is_settled(bytes: &[u8], start: usize, at: usize) -> bool {
    if at + SEEN > bytes.len() {
        return false;
    }
    let class = |at| class_once(bytes, at).0;
    match class(at) {
        // Boundaries between digits hang on where the first one is: a key would move them all.
        NUMBER => class(start) != NUMBER,
        // White space was looked through to its end. A single blank before a word or a
        // symbol is theirs.
        SPACE | NEWLINE if class(start) & WHITE != 0 => {
            let second = start + class_once(bytes, start).1;
            second < at && class(second) & WHITE == 0
        }
        // So were capitals for a small letter behind them.
        UPPER => class(start_of_last(&bytes[..at])) & (UNCASED | MARK) == 0,
        _ => true,
    }
}

/// Where the last character starts.
fn start_of_last(bytes: &[u8]) -> usize {
    let is_start = |at: &usize| bytes[*at] & 0xc0 != 0x80;
    (bytes.len().saturating_sub(4)..bytes.len()).rev().find(is_start).unwrap_or_default()
}

impl Cut {
    /// Whether a text that is cut from its beginning is cut at `at`, and would be whatever
    /// stood there instead of what is `SEEN` bytes behind it or further.
    pub(super) fn settles_at(self, bytes: &[u8], at: usize) -> bool {
        let mut ends = [0; PIECES];
        let mut start = 0;
        while start < at {
            let found = self.ends(bytes, start, &mut ends);
            for &end in &ends[..found] {
                if end >= at {
                    return end == at && is_settled(bytes, start, at);
                }
                start = end;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::split::tests::{pieces, texts};
    use super::*;

    #[test]
    fn a_hard_boundary_needs_only_its_neighbours() {
        for (text, at, hard) in [
            ("a b", 1, true),
            ("a'", 1, false),
            ("a1", 1, true),
            ("1a", 1, true),
            ("12", 1, false),
            (" b", 1, false),
            ("!b", 1, false),
            ("! ", 1, true),
            ("!\n", 1, false),
            ("\nb", 1, false),
            ("a", 1, false),
            ("a", 0, false),
            ("中。", 3, true),
            ("中\u{301}", 3, false),
        ] {
            assert_eq!(is_hard_boundary(text.as_bytes(), at), hard, "{text:?} at {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn where_a_piece_is_settled_what_stands_further_behind_changes_nothing(
            text in texts(), other in texts(),
        ) {
            for cut in [Cut::O200k, Cut::Cl100k, Cut::Qwen, Cut::R50k] {
                let mut before = Vec::new();
                let mut at = 0;
                for piece in pieces(cut, &text) {
                    let start = at;
                    at += piece.len();
                    before.push(piece);
                    let settled = is_settled(text.as_bytes(), start, at);
                    prop_assert_eq!(cut.settles_at(text.as_bytes(), at), settled);
                    // A hard one is settled, if as much stands behind it as is looked at.
                    let hard = is_hard_boundary(text.as_bytes(), at) && at + SEEN <= text.len();
                    prop_assert!(settled || !hard);
                    if settled {
                        let changed = format!("{}{other}", &text[..text.ceil_char_boundary(at + SEEN)]);
                        let cut = pieces(cut, &changed);
                        prop_assert_eq!(&cut[..before.len()], &before);
                    }
                }
            }
        }

        #[test]
        fn at_a_hard_boundary_each_side_is_cut_as_if_alone(text in texts()) {
            for (at, _) in text.char_indices() {
                if is_hard_boundary(text.as_bytes(), at) {
                    let (left, right) = text.split_at(at);
                    for cut in [Cut::O200k, Cut::Cl100k, Cut::Qwen, Cut::R50k] {
                        let apart = [pieces(cut, left), pieces(cut, right)].concat();
                        prop_assert_eq!(pieces(cut, &text), apart);
                    }
                }
            }
        }
    }
}
