//! Text of a wanted length in tokens: sentences of plain words, drawn by a seed.
//!
//! In o200k a word and the space before it are pieces of their own, so counts of
//! words add up exactly and no answer has to be tokenised.

use crate::catalog::Counting;
use crate::count;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::LazyLock;

const WORDS: &str = "the a of to and in that is for it with as on be at by this have from or one \
had not but what all were when we there can an your which their said if do will each about how up \
out them then she many some so these would other into has more her two like him see time could no \
make than first been its who now people my made over did down only way find use may water long \
little very after words called just where most know get through back much before go good new write \
our used me man too any day same right look think also around another came come work three word \
must because does part even place well such here take why things help put years different away \
again off went old number great tell men say small every found still between name should home big \
give air line set own under read last never us left end along while might next sound below saw \
something thought both few those always looked show large often together asked house world going \
want school important until form food keep children feet land side without boy once animals life \
enough took sometimes four head above kind began almost live page got earth need far hand high year \
mother light parts country father let night following picture being study second eyes soon times \
story boys since white days ever paper hard near sentence better best across during today others \
however sure means knew try told young miles sun ways thing whole hear example heard several change \
answer room sea against top turned learn point city play toward five using himself usually money";

struct Word {
    /// With the space before it.
    lower: String,
    /// The same, at the beginning of a sentence.
    upper: String,
    lower_tokens: u64,
    upper_tokens: u64,
}

static LEXICON: LazyLock<Vec<Word>> = LazyLock::new(|| {
    WORDS
        .split_whitespace()
        .map(|word| {
            let (head, tail) = word.split_at(1);
            let lower = format!(" {word}");
            let upper = format!(" {}{tail}", head.to_uppercase());
            let (lower_tokens, upper_tokens) = (count::o200k(&lower), count::o200k(&upper));
            Word { lower, upper, lower_tokens, upper_tokens }
        })
        .collect()
});

/// A piece of text and the tokens of the model that it adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// The model's tokens for it.
    pub tokens: u64,
}

/// A generator seeded with a number: the same everywhere and for ever.
pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A number below `bound`, which is at least 1. The bias of the remainder is
/// below 2^-32 for the bounds used here.
pub fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    rng.next_u64() % bound.max(1)
}

/// Writes `tokens` tokens of the model, or the few less that whole words allow,
/// in pieces of `per_piece` tokens. `opening` comes first if there is room.
pub fn write(
    rng: &mut ChaCha8Rng,
    opening: &str,
    tokens: u64,
    per_piece: u64,
    counting: &Counting,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let (mut o200k, mut done) = (0, 0);
    let mut flush = |piece: &mut String, o200k: u64, force: bool| {
        let upto = count::scaled(o200k, counting);
        if !piece.is_empty() && (force || upto >= done + per_piece) {
            pieces.push(Piece { text: std::mem::take(piece), tokens: upto - done });
            done = upto;
        }
    };
    let fits = |o200k: u64| count::scaled(o200k, counting) <= tokens;
    let opening_tokens = count::o200k(opening);
    let (opening, opening_tokens) =
        if fits(opening_tokens + 1) { (opening, opening_tokens) } else { ("So", 1) };
    if fits(opening_tokens) {
        piece.push_str(opening);
        o200k += opening_tokens;
        flush(&mut piece, o200k, false);
    }
    let mut to_full_stop = 6 + below(rng, 10);
    let mut begins = false;
    while !piece.is_empty() || o200k > 0 {
        let word = &LEXICON[below(rng, LEXICON.len() as u64) as usize];
        let (text, word_tokens) = if begins {
            (&word.upper, word.upper_tokens)
        } else {
            (&word.lower, word.lower_tokens)
        };
        // Room for the word and for the full stop that must be able to follow.
        if !fits(o200k + word_tokens + 1) {
            break;
        }
        piece.push_str(text);
        o200k += word_tokens;
        to_full_stop -= 1;
        begins = to_full_stop == 0;
        if begins {
            piece.push('.');
            o200k += 1;
            to_full_stop = 6 + below(rng, 10);
        }
        flush(&mut piece, o200k, false);
    }
    if o200k > 0 && !begins && fits(o200k + 1) {
        piece.push('.');
        o200k += 1;
    }
    flush(&mut piece, o200k, true);
    pieces
}

/// The first words of a question, for an answer that shows it was read.
pub fn opening(question: &str) -> String {
    let plain = |word: &&str| {
        (2..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    let words: Vec<&str> = question.split_whitespace().filter(plain).take(6).collect();
    if words.is_empty() { "Well,".to_owned() } else { format!("About {},", words.join(" ")) }
}

/// Done once, before the first request waits for it.
pub fn warm_up() {
    LazyLock::force(&LEXICON);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn pieces_count_what_the_counter_counts_and_fill_the_length() {
        let catalog = Catalog::new().unwrap();
        for model in ["claude-sonnet-5-5", "claude-haiku-4-5"] {
            let counting = catalog.model(model).unwrap().1;
            for tokens in [1, 2, 3, 10, 57, 400, 5_000] {
                let pieces = write(&mut rng(tokens), &opening("what is new"), tokens, 4, counting);
                let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
                let sum: u64 = pieces.iter().map(|piece| piece.tokens).sum();
                assert_eq!(sum, count::text(&text, counting), "{text}");
                assert!(sum <= tokens && tokens - sum <= 6, "{sum} of {tokens}");
                assert!(!text.is_empty());
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same() {
        let catalog = Catalog::new().unwrap();
        let counting = catalog.model("claude-opus-5").unwrap().1;
        let text = |seed| write(&mut rng(seed), "Well,", 100, 4, counting);
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
