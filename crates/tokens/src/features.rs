//! Features of a text, counted in one pass without keeping it.

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
    /// Runs of those longer than one space, newlines included.
    pub indents: u64,
    /// Latin letters outside ASCII (U+00C0 to U+02FF, told by the first byte).
    pub latin_accented: u64,
    /// Other two-byte code points: Greek, Cyrillic, Hebrew, Arabic, marks.
    pub two_byte: u64,
    /// Indic and South-East Asian scripts, Georgian, Ethiopic (U+0800 to U+1FFF).
    pub brahmic: u64,
    /// Symbols and punctuation of U+2000 to U+2FFF.
    pub symbols: u64,
    /// Chinese, Japanese, Korean and the rest of the first plane.
    pub cjk: u64,
    /// Code points of four bytes: emoji, rare ideographs.
    pub astral: u64,
    /// ASCII characters equal to the one before: runs compress without bound.
    pub repeats: u64,
}

/// Counts [`Features`] of a text that comes in pieces, split anywhere.
#[derive(Clone, Debug, Default)]
pub struct FeatureScanner {
    features: Features,
    last: u8,
}

impl FeatureScanner {
    /// Counts one more piece of UTF-8; it may start and end inside a code point.
    pub fn feed(&mut self, _text: &[u8]) {
        todo!()
    }

    /// What was counted so far.
    pub fn features(&self) -> Features {
        self.features
    }
}
