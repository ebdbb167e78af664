//! What a tokenizer.json must be so that the crate `tokenizers` neither panics nor asks
//! for memory without end: in WebAssembly that stops the module, and with it the
//! tokenizer of everybody else. Whatever the crate refuses by itself is left to it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// An id is a place in tables of the crate's. The largest published vocabularies have a
/// quarter of a million entries (Gemma 3: 262,145), and gaps are few.
const IDS_MAX: u64 = 1 << 20;
/// Of what is larger than that, the most ids an entry.
const IDS_AN_ENTRY_MAX: u64 = 4;
/// The crate's `BucketVocabStore` holds a token's length in 16 bits.
const TOKEN_BYTES_MAX: usize = u16::MAX as usize;
/// WordPiece allocates as many bytes. Published files say 100 or 200.
const WORD_CHARS_MAX: u64 = 1 << 20;

/// # Errors
///
/// A sentence that names the part, if a canonical file has one that is not sound.
pub(crate) fn check(root: &Value) -> Result<(), String> {
    let model = &root["model"];
    let tokens = tokens_of(&model["vocab"])?;
    if tokens.is_empty() {
        return Err("its model's vocab is empty".into());
    }
    let added = root["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let added = || {
        added
            .iter()
            .map(|token| (token["content"].as_str().unwrap_or_default(), whole(&token["id"])))
    };
    let entries = (tokens.len() + added().count()) as u64;
    let ids = IDS_MAX.max(entries.saturating_mul(IDS_AN_ENTRY_MAX));
    for (part, (token, id)) in tokens
        .iter()
        .map(|&token| ("model's vocab", token))
        .chain(added().map(|token| ("added_tokens", token)))
    {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(format!(
                "a token of its {part} has {} bytes, and may have {TOKEN_BYTES_MAX}",
                token.len()
            ));
        }
        if let Some(id) = id.filter(|&id| id >= ids) {
            return Err(format!(
                "its {part} gives {token:?} the id {id}, and it has {entries} entries"
            ));
        }
    }
    let longest = tokens.iter().map(|(token, _)| token.len()).max().unwrap_or_default();
    merges(model, longest)?;
    match whole(&model["max_input_chars_per_word"]) {
        Some(chars) if chars > WORD_CHARS_MAX => Err(format!(
            "its model's max_input_chars_per_word is {chars}, and may be {WORD_CHARS_MAX}"
        )),
        _ => Ok(()),
    }?;
    decoder(&root["decoder"])?;
    normalizer(&root["normalizer"])
}

/// A whole number, where it is one: the crate reads 3e9 as such, too.
fn whole(number: &Value) -> Option<u64> {
    // Saturates.
    number.as_u64().or_else(|| number.as_f64().map(|number| number as u64))
}

/// Each token and its id, where it has one.
fn tokens_of(vocab: &Value) -> Result<Vec<(&str, Option<u64>)>, String> {
    match vocab {
        Value::Object(ids) => Ok(ids.iter().map(|(token, id)| (&token[..], whole(id))).collect()),
        // Unigram's: its ids are the places.
        Value::Array(list) => {
            Ok(list.iter().map(|pair| (pair[0].as_str().unwrap_or_default(), None)).collect())
        }
        _ => Err("its model has no vocab".into()),
    }
}

/// The crate joins a merge's halves in a buffer as long as the longest token.
fn merges(model: &Value, longest: usize) -> Result<(), String> {
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default();
    for merge in model["merges"].as_array().into_iter().flatten() {
        let (Some(left), Some(right)) = (merge[0].as_str(), merge[1].as_str()) else { continue };
        let made = right.get(prefix.len()..).map(|right| left.len() + right.len());
        if made.is_none_or(|bytes| bytes > longest) {
            return Err(format!("its model's merges make what is not in the vocab: {merge}"));
        }
    }
    Ok(())
}

/// The crate's `Strip` looks for characters before a token's first.
fn decoder(node: &Value) -> Result<(), String> {
    let list = node["decoders"].as_array().map_or(std::slice::from_ref(node), Vec::as_slice);
    for part in list {
        if part["decoders"].is_array() {
            decoder(part)?;
        }
        if part["type"] == "Strip" && part["stop"] != 0 {
            return Err("its decoder's Strip takes from the end of a token".into());
        }
    }
    Ok(())
}

/// `Precompiled` walks a double array of sentencepiece's without looking at its bounds.
fn normalizer(node: &Value) -> Result<(), String> {
    for part in node["normalizers"].as_array().into_iter().flatten() {
        normalizer(part)?;
    }
    match node["precompiled_charsmap"].as_str() {
        Some(map) if node["type"] == "Precompiled" && !charsmap(map).unwrap_or_default() => {
            Err("its normalizer's precompiled_charsmap is damaged".into())
        }
        _ => Ok(()),
    }
}

/// Whether all that can be reached is there: the array's length in bytes, its units, and
/// the texts that its leaves are places in (sentencepiece, `src/normalizer.cc`, and
/// darts-clone's units). `None` where not even those are.
fn charsmap(base64: &str) -> Option<bool> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&STANDARD, config).decode(base64).ok()?;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (array, texts) = rest.split_at_checked(u32::from_le_bytes(*length) as usize / 4 * 4)?;
    let texts = std::str::from_utf8(texts).ok()?;
    let units: Vec<u32> =
        array.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    let children = |at: usize, unit: u32| at ^ ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize;
    let mut seen = vec![false; units.len()];
    let mut open = vec![children(0, *units.first()?)];
    while let Some(base) = open.pop() {
        for byte in 1..=0xff {
            let at = base ^ byte;
            let unit = *units.get(at)?;
            if unit & (1 << 31 | 0xff) != byte as u32 || std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let base = children(at, unit);
            if unit >> 8 & 1 == 1 {
                let text = (units.get(base)? & !(1 << 31)) as usize;
                if !texts.is_char_boundary(text) {
                    return Some(false);
                }
            }
            open.push(base);
        }
    }
    Some(true)
}
