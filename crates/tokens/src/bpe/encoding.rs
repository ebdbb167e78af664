//! The encodings: which vocabulary, which cut, which special tokens.
//!
//! Source: `tiktoken_ext/openai_public.py` of tiktoken 0.12 (2025-10).

use super::cut::part;
use super::split::Cut;

/// An encoding of OpenAI's, by tiktoken's name; or one from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// GPT-4o and later.
    O200kBase,
    /// gpt-oss: o200k's vocabulary with other special tokens.
    O200kHarmony,
    /// GPT-4, GPT-3.5, text-embedding-3.
    Cl100kBase,
    /// Codex, text-davinci-002 and -003.
    P50kBase,
    /// GPT-3; GPT-2's, too.
    R50kBase,
    /// A merge list from elsewhere ([`adopt`](super::adopt)), cut so. Its special
    /// tokens and its own ids are the caller's.
    Adopted(Cut),
}

/// The name of every adopted vocabulary.
pub(super) const ADOPTED: &str = "adopted";

/// Special tokens with a name of their own: text and id.
type Named = &'static [(&'static str, u32)];

const O200K_BASE: Named = &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)];
const O200K_HARMONY: Named = &[
    ("<|startoftext|>", 199_998),
    ("<|endoftext|>", 199_999),
    ("<|return|>", 200_002),
    ("<|constrain|>", 200_003),
    ("<|channel|>", 200_005),
    ("<|start|>", 200_006),
    ("<|end|>", 200_007),
    ("<|message|>", 200_008),
    ("<|call|>", 200_012),
    // The id is also that of <|reserved_200018|>; decoding gives this name.
    ("<|endofprompt|>", 200_018),
];
const CL100K_BASE: Named = &[
    ("<|endoftext|>", 100_257),
    ("<|fim_prefix|>", 100_258),
    ("<|fim_middle|>", 100_259),
    ("<|fim_suffix|>", 100_260),
    ("<|endofprompt|>", 100_276),
];
const P50K_BASE: Named = &[("<|endoftext|>", 50_256)];

/// Harmony's `<|reserved_N|>`, N being the id.
const RESERVED: [&str; 2] = ["<|reserved_", "|>"];

impl Encoding {
    /// Every encoding of OpenAI's.
    pub const ALL: [Self; 5] =
        [Self::O200kBase, Self::O200kHarmony, Self::Cl100kBase, Self::P50kBase, Self::R50kBase];

    /// The encoding that tiktoken calls so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// What tiktoken calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::O200kHarmony => "o200k_harmony",
            Self::Cl100kBase => "cl100k_base",
            Self::P50kBase => "p50k_base",
            Self::R50kBase => "r50k_base",
            Self::Adopted(_) => ADOPTED,
        }
    }

    /// How text is cut before it is merged.
    pub(super) fn cut(self) -> Cut {
        match self {
            Self::O200kBase | Self::O200kHarmony => Cut::O200k,
            Self::Cl100kBase => Cut::Cl100k,
            Self::P50kBase | Self::R50kBase => Cut::R50k,
            Self::Adopted(cut) => cut,
        }
    }

    /// The name of the vocabulary that it needs: its own, but for harmony.
    #[must_use]
    pub fn vocabulary(self) -> &'static str {
        match self {
            Self::O200kHarmony => Self::O200kBase.name(),
            _ => self.name(),
        }
    }

    /// The id of the special token that `text` is.
    #[must_use]
    pub fn special_token(self, text: &str) -> Option<u32> {
        let named = self.named().iter().find(|(name, _)| *name == text).map(|&(_, id)| id);
        named.or_else(|| {
            let [head, tail] = RESERVED;
            let number = text.strip_prefix(head)?.strip_suffix(tail)?;
            // Only the digits that `to_string` writes: no sign, no leading zero.
            let id = number.parse().ok().filter(|id: &u32| id.to_string() == number)?;
            self.is_reserved(id).then_some(id)
        })
    }

    /// The text of the special token `id`.
    #[must_use]
    pub fn special_text(self, id: u32) -> Option<String> {
        let named = self.named().iter().find(|&&(_, known)| known == id);
        named.map(|&(name, _)| name.to_string()).or_else(|| {
            let [head, tail] = RESERVED;
            self.is_reserved(id).then(|| format!("{head}{id}{tail}"))
        })
    }

    /// The first special token in `text`: where it starts, its text, its id. All
    /// of them look like `<|…|>` and hold neither `<` nor `|` inside.
    pub(super) fn next_special(self, text: &str) -> Option<(usize, &str, u32)> {
        let bytes = text.as_bytes();
        let mut inside = 0;
        while let Some(start) = next_pair(bytes, inside) {
            inside = start + 2;
            // Names have at most 20 bytes, so a page of `<|` stays linear.
            let mut name_end = inside;
            while name_end < bytes.len().min(inside + 20) && !matches!(bytes[name_end], b'|' | b'<')
            {
                name_end += 1;
            }
            if bytes[name_end..].starts_with(b"|>")
                && let token = part(text, start..name_end + 2)
                && let Some(id) = self.special_token(token)
            {
                return Some((start, token, id));
            }
        }
        None
    }

    fn named(self) -> Named {
        match self {
            Self::O200kBase => O200K_BASE,
            Self::O200kHarmony => O200K_HARMONY,
            Self::Cl100kBase => CL100K_BASE,
            Self::P50kBase | Self::R50kBase => P50K_BASE,
            Self::Adopted(_) => &[],
        }
    }

    /// Harmony reserves what is left of 200,000 … 201,087, but for the few ids that
    /// it names. 200,018 has both a name and its reserved one.
    fn is_reserved(self, id: u32) -> bool {
        self == Self::O200kHarmony
            && (200_000..=201_087).contains(&id)
            && (id >= 200_013 || self.named().iter().all(|&(_, named)| named != id))
    }
}

/// Where `<|` stands next, from `from` on.
fn next_pair(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.windows(2).position(|pair| pair == b"<|")?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_are_found_by_text_and_by_id() {
        let harmony = Encoding::O200kHarmony;
        assert_eq!(harmony.special_token("<|reserved_200018|>"), Some(200_018));
        assert_eq!(harmony.special_text(200_018).as_deref(), Some("<|endofprompt|>"));
        assert_eq!(harmony.special_text(201_087).as_deref(), Some("<|reserved_201087|>"));
        assert_eq!(harmony.special_text(201_088), None);
        for text in ["<|reserved_200005|>", "<|reserved_0200013|>", "<|reserved_+200013|>"] {
            assert_eq!(harmony.special_token(text), None, "{text}");
        }
        assert_eq!(Encoding::O200kBase.special_token("<|reserved_200013|>"), None);
        let found = |text| harmony.next_special(text).map(|(at, _, id)| (at, id));
        assert_eq!(found("a<|<|end|><|start|>"), Some((3, 200_007)));
        assert_eq!(found("<|é|end|> <|end| >"), None);
    }
}
