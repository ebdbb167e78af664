//! Reads a tokenizer.json, and decides how it runs: on the package's own counter
//! where the ids are provably those of `tokenizers`, else on `tokenizers` itself.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tokenizers::{ConvertError, canonicalize_value, post_processor_from_json};
use tokens::bpe::{Cut, Vocabulary, adopt};

use crate::form::Form;
use crate::quick::{Added, Parts};
use crate::sound;

/// # Errors
///
/// A sentence that says what is wrong with the file.
pub(crate) fn read(json: &[u8]) -> Result<Form, String> {
    let mut value: Value = serde_json::from_slice(json)
        .map_err(|error| format!("this is no tokenizer.json: {error}"))?;
    let model = value.get("model").and_then(Value::as_object);
    let model = model.ok_or("this is no tokenizer.json: it has no \"model\"")?;
    if let Some(kind) = model.get("type").filter(|kind| !kind.is_null())
        && !matches!(kind.as_str(), Some("BPE" | "WordPiece" | "Unigram" | "WordLevel"))
    {
        return Err(format!(
            "the model type {kind} is not known: BPE, WordPiece, Unigram or WordLevel"
        ));
    }
    let mut steps = in_a_row(value["pre_tokenizer"].take());
    value["pre_tokenizer"] = match &mut steps[..] {
        [step] => step.take(),
        _ => json!({"type": "Sequence", "pretokenizers": steps}),
    };
    let steps = shape(&value["pre_tokenizer"]);
    canonicalize_value(&mut value).map_err(|error| {
        if is_of_a_step(&error) {
            format!("{error} (its pre_tokenizer is {steps})")
        } else {
            error.to_string()
        }
    })?;
    // Counting is of whole texts, one by one.
    for key in ["truncation", "padding"] {
        value[key] = Value::Null;
    }
    match quick(&value) {
        Some(parts) => Ok(Form::Quick(parts)),
        None => {
            sound::check(&value)?;
            Ok(Form::General(value.to_string()))
        }
    }
}

/// A step, or those of a Sequence, and of one within it: each cuts what the one before it left, so
/// it is all the same. The crate reads no Sequence in another, and not every step in one of its own.
fn in_a_row(mut step: Value) -> Vec<Value> {
    let is_sequence = step["type"] == "Sequence";
    match step.get_mut("pretokenizers").and_then(Value::as_array_mut).filter(|_| is_sequence) {
        Some(list) => std::mem::take(list).into_iter().flat_map(in_a_row).collect(),
        None => vec![step],
    }
}

/// Whether a step of the pre_tokenizer is not read, and not another part of the file.
fn is_of_a_step(error: &ConvertError) -> bool {
    use ConvertError::*;
    matches!(
        error,
        ByteLevelAddPrefixSpace
            | ByteLevelNotLast
            | ByteLevelOnNonBpeModel { .. }
            | MetaspaceBadReplacement { .. }
            | MetaspaceDropWhitespaceNoSplit
            | MetaspaceDropWhitespaceScheme { .. }
            | MetaspaceNoReplacement
            | PrefixSpaceMismatch
            | UnknownPrependScheme { .. }
    )
}

/// The types of which a step is, in order: what is not read is mostly an order.
fn shape(step: &Value) -> String {
    match step["pretokenizers"].as_array() {
        Some(list) => format!("[{}]", list.iter().map(shape).collect::<Vec<_>>().join(", ")),
        None => kind(step).to_owned(),
    }
}

fn kind(step: &Value) -> &str {
    step["type"].as_str().unwrap_or("none")
}

/// What the crate says of a canonical file that it does not read, with the step of its
/// pre_tokenizer that this is about: the first of the type that the sentence has.
pub(crate) fn located(error: &str, canonical: &str) -> String {
    let root: Value = serde_json::from_str(canonical).unwrap_or_default();
    let steps = &root["pre_tokenizer"];
    let list = steps["pretokenizers"].as_array();
    // The crate writes it in both ways.
    let is_about = error.contains("pre-tokenizer") || error.contains("pre tokenizer");
    let at = list.and_then(|list| list.iter().position(|step| error.contains(kind(step))));
    match at.filter(|_| is_about) {
        Some(at) => {
            let (nth, all, one) = (at + 1, shape(steps), kind(&steps["pretokenizers"][at]));
            format!("{error} (step {nth}, {one}, of its pre_tokenizer, which is {all})")
        }
        None => error.to_owned(),
    }
}

/// Of the JSON that [`read`] made for `tokenizers`, and that was kept.
///
/// # Errors
///
/// As for [`read`].
pub(crate) fn check(canonical: &str) -> Result<(), String> {
    let value = serde_json::from_str(canonical)
        .map_err(|error| format!("this is no tokenizer.json: {error}"))?;
    sound::check(&value)
}

/// The parts of a tokenizer that the package's own counter runs; `None` for every
/// other. Whatever is not known here is another.
fn quick(root: &Value) -> Option<Parts> {
    let nfc = match &root["normalizer"] {
        Value::Null => false,
        normalizer => (normalizer["type"] == "NFC").then_some(true)?,
    };
    let cut = cut_of(&root["pre_tokenizer"])?;
    let model = root["model"].as_object()?;
    let plain = model.get("type")? == "BPE"
        && model.get("byte_level")? == true
        && ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"]
            .iter()
            .all(|key| model.get(*key).is_none_or(|value| value.is_null() || value == ""));
    if !plain {
        return None;
    }
    let vocab = model.get("vocab")?.as_object()?;
    let merges = merges_of(model.get("merges")?.as_array()?)?;
    let added = added_of(&root["added_tokens"], nfc)?;
    let list = merges.iter().map(|(left, right)| (&left[..], &right[..]));
    let file = adopt(list).ok()?;
    let vocabulary = Vocabulary::load(&file).ok()?;

    let mut of: HashMap<Vec<u8>, u32> = HashMap::with_capacity(vocab.len());
    let mut unmade = Vec::new();
    for (token, id) in vocab {
        let id = u32::try_from(id.as_u64()?).ok()?;
        match bytes_of(token) {
            Some(bytes) => drop(of.insert(bytes, id)),
            None => unmade.push((id, token.as_bytes().to_vec())),
        }
    }
    let tokens = (0..vocabulary.ids() as u32).map(|id| vocabulary.token(id));
    let ids = tokens.map(|token| of.remove(token?)).collect::<Option<Vec<u32>>>()?;
    // Left is what is never made.
    unmade.extend(of.into_iter().map(|(bytes, id)| (id, bytes)));
    unmade.sort();
    // `tokenizers` takes a character for its token, merges or not.
    let is_character = |(_, bytes): &(u32, Vec<u8>)| {
        std::str::from_utf8(bytes).is_ok_and(|text| text.chars().nth(1).is_none())
    };
    if unmade.iter().any(is_character) {
        return None;
    }
    let whole = model.get("ignore_merges").is_some_and(|whole| whole == true);
    let frame = post_processor_from_json(&root["post_processor"].to_string()).ok()?.single;
    let frame =
        [frame.prefix, frame.suffix].map(|run| run.iter().map(|(token, _)| token.id()).collect());
    Some(Parts { cut, nfc, frame, added, ids, unmade, whole, merges: file })
}

/// One `Split` by a pattern that the counter knows, alone or in a sequence of one.
fn cut_of(pre_tokenizer: &Value) -> Option<Cut> {
    let split = match pre_tokenizer["pretokenizers"].as_array() {
        Some(list) => <&[Value; 1]>::try_from(&list[..]).ok()?.first()?,
        None => pre_tokenizer,
    };
    // The patterns leave nothing of a text out, so what they match is all there is.
    let behavior = split["behavior"].as_str().unwrap_or("Isolated");
    let whole =
        matches!((behavior, split["invert"] == true), ("Isolated", false) | ("Removed", true));
    let pattern = split["pattern"]["Regex"].as_str()?;
    Cut::of_pattern(pattern).filter(|_| split["type"] == "Split" && whole)
}

type Merge = (Vec<u8>, Vec<u8>);

fn merges_of(list: &[Value]) -> Option<Vec<Merge>> {
    let pair = |merge: &Value| match &merge.as_array()?[..] {
        [left, right] => Some((bytes_of(left.as_str()?)?, bytes_of(right.as_str()?)?)),
        _ => None,
    };
    list.iter().map(pair).collect()
}

/// Added tokens that are found by their text alone.
fn added_of(list: &Value, normalizes: bool) -> Option<Vec<Added>> {
    let list = match list {
        Value::Null => &[][..],
        list => list.as_array()?,
    };
    let flag =
        |token: &Map<String, Value>, name: &str| token.get(name).is_some_and(|value| value == true);
    let mut added = Vec::with_capacity(list.len());
    let mut normalized = 0;
    for token in list {
        let token = token.as_object()?;
        if ["lstrip", "rstrip", "single_word"].iter().any(|name| flag(token, name)) {
            return None;
        }
        normalized += usize::from(flag(token, "normalized"));
        let text = token.get("content")?.as_str()?.to_owned();
        let id = u32::try_from(token.get("id")?.as_u64()?).ok()?;
        if text.is_empty() {
            return None;
        }
        added.push(Added { text, id, special: flag(token, "special") });
    }
    // Those of one kind are looked for before those of the other, and the normalised
    // ones in normalised text.
    let one_kind = normalized == 0 || normalized == added.len() && !normalizes;
    one_kind.then_some(added)
}

/// The bytes that a token of a byte-level vocabulary is written for: GPT-2's
/// `bytes_to_unicode`, where printable bytes are themselves and the other 68 follow
/// from U+0100 on.
fn bytes_of(token: &str) -> Option<Vec<u8>> {
    let byte = |char: char| match char as u32 {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x143 => match (code - 0x100) as u8 {
            low @ 0..=0x20 => Some(low),
            middle @ 0x21..=0x42 => Some(middle - 0x21 + 0x7f),
            _ => Some(0xad),
        },
        _ => None,
    };
    token.chars().map(byte).collect()
}
