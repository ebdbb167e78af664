//! A text that comes in parts, to see whether it has at most so many tokens. What was
//! counted is given up, and the rest of the text is not asked for once it is known:
//! neither a copy of a long text is made, nor all of it read, where its beginning tells.

use crate::quick::Quick;

pub(crate) struct Grown {
    /// Tokens of what was given up, and of the template.
    count: usize,
    /// The rest so far, which what follows may still change.
    rest: String,
}

impl Grown {
    /// No text, in a template of so many tokens.
    pub(crate) fn new(frame: usize) -> Self {
        Self { count: frame, rest: String::new() }
    }

    /// The next part; whether all so far has more than `most` tokens, whatever follows.
    pub(crate) fn exceeds(&mut self, quick: &mut Quick, part: &str, most: usize) -> bool {
        self.rest.push_str(part);
        if let Some(at) = quick.last_cut(&self.rest) {
            self.count += quick.count(&self.rest[..at], false, most.saturating_sub(self.count));
            self.rest.drain(..at);
        }
        // A run without a cut is not waited for to its end.
        self.count + quick.tokens_min(self.rest.len()) > most
    }

    /// Bytes of what was not counted yet.
    #[cfg(test)]
    pub(crate) fn rest(&self) -> usize {
        self.rest.len()
    }

    /// Whether it has at most `most` tokens, if nothing follows.
    pub(crate) fn fits(&self, quick: &mut Quick, most: usize) -> bool {
        most.checked_sub(self.count)
            .is_some_and(|left| quick.count(&self.rest, false, left) <= left)
    }
}
