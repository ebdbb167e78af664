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
mod general;
mod growing;
mod quick;
#[path = "../../src/room.rs"]
pub mod room;
mod sound;
mod source;
#[cfg(test)]
mod tests;

use wasm_bindgen::prelude::wasm_bindgen;

use form::Form;
use general::General;
use growing::Grown;
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
    General(General),
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
            let form = form::read(&bytes)?;
            // Whoever kept it may have written it anew, checksum and all.
            if let Form::General(json) = &form {
                source::check(json)?;
            }
            return Ok(Tokenizer { runs: Runs::of(form)?, form: bytes });
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
            Runs::General(general) => Ok(general.encode(text, framed)?.len()),
        })
    }

    /// Whether the text has at most so many tokens.
    pub fn fits(&mut self, bytes: usize, tokens: usize, framed: bool) -> Result<bool, String> {
        with_text(bytes, |text| match &mut self.runs {
            Runs::Quick(quick) => Ok(quick.count(text, framed, tokens) <= tokens),
            Runs::General(general) => Ok(general.encode(text, framed)?.len() <= tokens),
        })
    }

    /// The text's ids.
    pub fn encode(&mut self, bytes: usize, framed: bool) -> Result<Vec<u32>, String> {
        with_text(bytes, |text| match &mut self.runs {
            Runs::Quick(quick) => Ok(quick.encode(text, framed)),
            Runs::General(general) => general.encode(text, framed),
        })
    }

    /// The text that the ids stand for; `bare`: without the special tokens'.
    pub fn decode(&self, ids: &[u32], bare: bool) -> Result<String, String> {
        match &self.runs {
            Runs::Quick(quick) => {
                quick.decode(ids, bare).map_err(|id| format!("No token has the id {id}."))
            }
            Runs::General(general) => general.decode(ids, bare),
        }
    }
}

/// A long text that comes in parts, to a tokenizer that `is_quick`: whether it fits.
#[wasm_bindgen]
pub struct Growing {
    text: Grown,
}

#[wasm_bindgen]
impl Growing {
    /// Nothing of it yet; `framed`: as for [`Tokenizer::count`].
    #[wasm_bindgen(constructor)]
    pub fn new(by: &Tokenizer, framed: bool) -> Growing {
        let frame = match &by.runs {
            Runs::Quick(quick) if framed => quick.frame_tokens(),
            _ => 0,
        };
        Growing { text: Grown::new(frame) }
    }

    /// The buffer's text is the next part. Whether it has more than so many tokens,
    /// whatever follows.
    pub fn exceeds(&mut self, by: &mut Tokenizer, bytes: usize, most: usize) -> bool {
        let Runs::Quick(quick) = &mut by.runs else { return false };
        with_text(bytes, |text| self.text.exceeds(quick, text, most))
    }

    /// Nothing follows: whether all of it has at most so many tokens.
    pub fn fits(&mut self, by: &mut Tokenizer, most: usize) -> bool {
        let Runs::Quick(quick) = &mut by.runs else { return false };
        self.text.fits(quick, most)
    }
}

impl Runs {
    fn of(form: Form) -> Result<Self, String> {
        Ok(match form {
            Form::Quick(parts) => Self::Quick(Quick::new(parts)?),
            Form::General(json) => Self::General(General::new(&json)?),
        })
    }
}
