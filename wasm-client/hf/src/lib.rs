//! The second WebAssembly of the npm package, `tollgate/hf`: counts by any
//! tokenizer.json. Bindings and nothing else; texts are in the buffer that
//! [`room::room`] gives. Fetched only by whoever asks for it: the crate `tokenizers`
//! is larger than everything else together.
//!
//! Most models of today are byte-level BPE. Those that are provably the same run on
//! the package's own counter (`quick`), which is several times as fast and loads from
//! its compact form in a twentieth of the time; all others on `tokenizers`. `source`
//! decides, `form` keeps what it decided.

mod form;
mod quick;
#[path = "../../src/room.rs"]
pub mod room;
mod source;
#[cfg(test)]
mod tests;

use tokenizers::pipeline::{EncodeOptions, Override, PipelineTokenizer};
use wasm_bindgen::prelude::wasm_bindgen;

use form::Form;
use quick::Quick;
use room::with_text;

/// A model's tokenizer.
#[wasm_bindgen]
pub struct Tokenizer {
    runs: Runs,
    form: Vec<u8>,
}

// One a tokenizer, and behind a pointer of JavaScript's anyway.
#[allow(clippy::large_enum_variant)]
enum Runs {
    Quick(Quick),
    General(PipelineTokenizer),
}

#[wasm_bindgen]
impl Tokenizer {
    /// From the buffer's bytes: a tokenizer.json, or the compact form of one.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: usize) -> Result<Tokenizer, String> {
        Tokenizer::of(room::take(bytes))
    }

    fn of(bytes: Vec<u8>) -> Result<Tokenizer, String> {
        if form::is_form(&bytes) {
            return Ok(Tokenizer { runs: Runs::of(form::read(&bytes)?)?, form: bytes });
        }
        let form = source::read(&bytes)?;
        let bytes = form::write(&form);
        Ok(Tokenizer { runs: Runs::of(form)?, form: bytes })
    }

    /// The compact form: what `new` takes next time.
    pub fn form(&self) -> Vec<u8> {
        self.form.clone()
    }

    /// Whether the package's own counter runs it.
    pub fn is_quick(&self) -> bool {
        matches!(self.runs, Runs::Quick(_))
    }

    /// The text's tokens; `framed`: with those that the model's template puts around.
    pub fn count(&mut self, bytes: usize, framed: bool) -> Result<usize, String> {
        with_text(bytes, |text| match &mut self.runs {
            Runs::Quick(quick) => Ok(quick.count(text, framed, usize::MAX)),
            Runs::General(general) => Ok(encode(general, text, framed)?.len()),
        })
    }

    /// Whether the text has at most so many tokens.
    pub fn fits(&mut self, bytes: usize, tokens: usize, framed: bool) -> Result<bool, String> {
        with_text(bytes, |text| match &mut self.runs {
            Runs::Quick(quick) => Ok(quick.count(text, framed, tokens) <= tokens),
            Runs::General(general) => Ok(encode(general, text, framed)?.len() <= tokens),
        })
    }

    /// The text's ids.
    pub fn encode(&mut self, bytes: usize, framed: bool) -> Result<Vec<u32>, String> {
        with_text(bytes, |text| match &mut self.runs {
            Runs::Quick(quick) => Ok(quick.encode(text, framed)),
            Runs::General(general) => encode(general, text, framed),
        })
    }

    /// The text that the ids stand for; `bare`: without the special tokens'.
    pub fn decode(&self, ids: &[u32], bare: bool) -> Result<String, String> {
        let unknown = |id: u32| format!("No token has the id {id}.");
        match &self.runs {
            Runs::Quick(quick) => quick.decode(ids, bare).map_err(unknown),
            Runs::General(general) => {
                let added = general.get_added_vocabulary();
                let known = |id: u32| {
                    added.simple_id_to_token(id).is_some()
                        || general.get_model().id_to_token(id).is_some()
                };
                if let Some(&id) = ids.iter().find(|&&id| !known(id)) {
                    return Err(unknown(id));
                }
                general.decode(ids, bare).map_err(|error| error.to_string())
            }
        }
    }
}

impl Runs {
    fn of(form: Form) -> Result<Self, String> {
        Ok(match form {
            Form::Quick(parts) => Self::Quick(Quick::new(parts)?),
            Form::General(json) => {
                Self::General(tokenizers::from_json(&json).map_err(|error| error.to_string())?)
            }
        })
    }
}

fn encode(general: &PipelineTokenizer, text: &str, framed: bool) -> Result<Vec<u32>, String> {
    let options = EncodeOptions {
        add_special_tokens: framed,
        encode_special_tokens: false,
        padding: Override::Off,
        truncation: Override::Off,
    };
    let mut tokens = Vec::new();
    general.encode_into(text, &options, &mut tokens).map_err(|error| error.to_string())?;
    Ok(tokens.into_iter().map(|token| token.id()).collect())
}
