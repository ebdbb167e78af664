//! A tokenizer on the crate `tokenizers`. Its reader builds every `Split` without a
//! regex engine, so that a pattern that is not among its few native ones is read, and
//! cuts nothing. What the crate would build otherwise stops at the engine's first error
//! and leaves the rest of a text uncut. So such patterns are run here, by the crate's
//! engine; all other steps are the crate's, in its order.

use fancy_regex::{Regex, RegexBuilder};
use tokenizers::SplitDelimiterBehavior::{self, Isolated};
use tokenizers::pipeline::{
    EncodeOptions, Model, Override, PipelineModelScratch, PipelinePreTokenizer, PipelineToken,
    PipelineTokenizer, PreTokenizer, PreTokenizerScratch, Segment, Span, SpecialSegmentIterator,
    normalize_all, split_matches,
};
use tokenizers::pre_tokenizers::split::{Search, Split, SplitPattern};

use crate::source::located;

/// What a pattern may go back within one match: a fraction of a second. The engine's
/// own bound is a million, as many as the spaces of a long run.
const BACKTRACKS_MAX: usize = 1 << 24;

pub(crate) struct General {
    tokenizer: PipelineTokenizer,
    cutter: Option<Cutter>,
}

/// What stands in for the tokenizer's own way to cut.
struct Cutter {
    /// Each cuts the pieces of the one before it.
    steps: Vec<Step>,
    scratch: PreTokenizerScratch,
    pieces: [Vec<Span>; 2],
    model: PipelineModelScratch,
}

#[allow(clippy::large_enum_variant)]
enum Step {
    Native(PipelinePreTokenizer),
    Engine { pattern: Regex, behavior: SplitDelimiterBehavior, invert: bool },
}

impl General {
    /// Of the JSON that `source` made.
    pub(crate) fn new(json: &str) -> Result<Self, String> {
        let tokenizer =
            tokenizers::from_json(json).map_err(|error| located(&error.to_string(), json))?;
        let cutter = Cutter::of(&tokenizer)?;
        Ok(Self { tokenizer, cutter })
    }

    #[cfg(test)]
    pub(crate) fn is_native(&self) -> bool {
        self.cutter.is_none()
    }

    /// The text's ids; `framed`: with those that the model's template puts around.
    pub(crate) fn encode(&mut self, text: &str, framed: bool) -> Result<Vec<u32>, String> {
        let mut tokens = Vec::new();
        match &mut self.cutter {
            Some(cutter) => cutter.encode(&self.tokenizer, text, framed, &mut tokens),
            None => {
                let options = EncodeOptions {
                    add_special_tokens: framed,
                    encode_special_tokens: false,
                    padding: Override::Off,
                    truncation: Override::Off,
                };
                self.tokenizer.encode_into(text, &options, &mut tokens)
            }
        }
        .map_err(|error| error.to_string())?;
        Ok(tokens.into_iter().map(PipelineToken::id).collect())
    }

    /// The text that the ids stand for; `bare`: without the special tokens'.
    pub(crate) fn decode(&self, ids: &[u32], bare: bool) -> Result<String, String> {
        let added = self.tokenizer.get_added_vocabulary();
        let known = |id: u32| {
            added.simple_id_to_token(id).is_some()
                || self.tokenizer.get_model().id_to_token(id).is_some()
        };
        match ids.iter().find(|&&id| !known(id)) {
            Some(id) => Err(format!("No token has the id {id}.")),
            None => self.tokenizer.decode(ids, bare).map_err(|error| error.to_string()),
        }
    }
}

impl Cutter {
    /// `None` where the tokenizer cuts by itself.
    fn of(tokenizer: &PipelineTokenizer) -> Result<Option<Self>, String> {
        let pre_tokenizer = tokenizer.get_pre_tokenizer();
        let list = match pre_tokenizer {
            // DeepSeek's three are cut as one, without any of them.
            PipelinePreTokenizer::Sequence(sequence) if sequence.is_deepseek() => return Ok(None),
            PipelinePreTokenizer::Sequence(sequence) => sequence.pre_tokenizers(),
            one => std::slice::from_ref(one),
        };
        let steps = list.iter().map(Step::of).collect::<Result<Vec<Step>, String>>()?;
        let native = steps.iter().all(|step| matches!(step, Step::Native(_)));
        Ok((!native).then(|| Self {
            steps,
            scratch: PreTokenizerScratch::default(),
            pieces: Default::default(),
            model: tokenizer.get_model().init_scratch(),
        }))
    }

    /// As `PipelineTokenizer::encode_into`.
    fn encode(
        &mut self,
        tokenizer: &PipelineTokenizer,
        text: &str,
        framed: bool,
        tokens: &mut Vec<PipelineToken>,
    ) -> tokenizers::Result<()> {
        let added = tokenizer.get_added_vocabulary();
        let frame = &tokenizer.get_post_processor().single;
        if framed {
            tokens.extend(frame.prefix.iter().map(|&(token, _)| token));
        }
        for segment in SpecialSegmentIterator::new(text, added, false, false) {
            let (text, offset) = match segment {
                Segment::SpecialToken(id) => {
                    tokens.push(id.into());
                    continue;
                }
                Segment::Text { text, input_offset } => (text, input_offset),
            };
            let text = normalize_all(tokenizer.get_normalizers(), text, offset)?;
            for segment in SpecialSegmentIterator::new(&text, added, true, false) {
                match segment {
                    Segment::SpecialToken(id) => tokens.push(id.into()),
                    Segment::Text { text, .. } => {
                        self.cut(text)?;
                        let [pieces, _] = &self.pieces;
                        let model = tokenizer.get_model();
                        model.tokenize_spans(text, pieces, &mut self.model, tokens)?;
                    }
                }
            }
        }
        if framed {
            tokens.extend(frame.suffix.iter().map(|&(token, _)| token));
        }
        Ok(())
    }

    /// Leaves the text's pieces in the first of `pieces`.
    fn cut(&mut self, text: &str) -> tokenizers::Result<()> {
        let [pieces, next] = &mut self.pieces;
        pieces.clear();
        pieces.push(Span { start: 0, end: u32::try_from(text.len())? });
        for step in &self.steps {
            next.clear();
            for piece in pieces.iter() {
                let from = next.len();
                step.cut(&text[piece.range()], &mut self.scratch, next)?;
                for span in &mut next[from..] {
                    span.start += piece.start;
                    span.end += piece.start;
                }
            }
            std::mem::swap(pieces, next);
        }
        Ok(())
    }
}

impl Step {
    fn of(pre_tokenizer: &PipelinePreTokenizer) -> Result<Self, String> {
        match pre_tokenizer {
            PipelinePreTokenizer::Split(Split {
                pattern: SplitPattern::Regex(pattern),
                search: Search::Unavailable,
                behavior,
                invert,
                ..
            }) if !is_native(pre_tokenizer) => {
                let regex = RegexBuilder::new(pattern).backtrack_limit(BACKTRACKS_MAX).build();
                let pattern = regex.map_err(|error| {
                    format!("its pre_tokenizer's Split has no pattern in {pattern:?}: {error}")
                })?;
                Ok(Self::Engine { pattern, behavior: *behavior, invert: *invert })
            }
            other => Ok(Self::Native(other.clone())),
        }
    }

    /// Appends the text's pieces.
    fn cut(
        &self,
        text: &str,
        scratch: &mut PreTokenizerScratch,
        pieces: &mut Vec<Span>,
    ) -> tokenizers::Result<()> {
        match self {
            Self::Native(pre_tokenizer) => pre_tokenizer.pre_tokenize(text, scratch, pieces),
            Self::Engine { pattern, behavior, invert } => {
                let mut parts = Vec::new();
                let mut end = 0;
                for found in pattern.find_iter(text) {
                    let found = found.map_err(|error| {
                        format!("The tokenizer's Split cannot cut this text: {error}")
                    })?;
                    if end != found.start() {
                        parts.push(((end, found.start()), *invert));
                    }
                    parts.push(((found.start(), found.end()), !invert));
                    end = found.end();
                }
                if end != text.len() {
                    parts.push(((end, text.len()), *invert));
                }
                split_matches(pieces, parts, *behavior);
                Ok(())
            }
        }
    }
}

/// Whether the crate cuts by a grammar of its own, which cuts in one way.
fn is_native(pre_tokenizer: &PipelinePreTokenizer) -> bool {
    matches!(pre_tokenizer, PipelinePreTokenizer::Split(split)
        if split.grammar().is_some() && split.behavior == Isolated && !split.invert)
}
