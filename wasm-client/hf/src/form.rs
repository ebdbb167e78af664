//! The compact form of a tokenizer: what parsing a tokenizer.json comes to, so that it
//! is parsed once. Little-endian:
//!
//! ```text
//! 0   4  "TGH1"; another version is another name
//! 4   4  CRC-32 of all that follows
//! 8   1  0: quick, 1: general
//! 9      quick: the fields of `Parts` in their order, lists and texts behind their
//!        length; general: the tokenizer.json in the form that `tokenizers` reads
//! ```

use tokens::bpe::Cut;

use crate::quick::{Added, Parts};

const MAGIC: [u8; 4] = *b"TGH1";
/// In the order of their numbers in the form.
const CUTS: [Cut; 4] = [Cut::O200k, Cut::Cl100k, Cut::Qwen, Cut::R50k];
const DAMAGED: &str = "the compact form is damaged or cut short";

/// How a tokenizer runs.
#[derive(Debug, PartialEq)]
pub(crate) enum Form {
    Quick(Parts),
    /// Canonical JSON of `tokenizers`.
    General(String),
}

pub(crate) fn is_form(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub(crate) fn write(form: &Form) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    match form {
        Form::Quick(parts) => {
            let cut = CUTS.iter().position(|&cut| cut == parts.cut).unwrap_or_default();
            out.extend([0, cut as u8, u8::from(parts.nfc)]);
            parts.frame.iter().for_each(|ids| put_ids(&mut out, ids));
            put(&mut out, parts.added.len() as u32);
            for Added { text, id, special } in &parts.added {
                put(&mut out, *id);
                out.push(u8::from(*special));
                put_bytes(&mut out, text.as_bytes());
            }
            put_ids(&mut out, &parts.ids);
            put(&mut out, parts.unmade.len() as u32);
            for (id, bytes) in &parts.unmade {
                put(&mut out, *id);
                put_bytes(&mut out, bytes);
            }
            out.push(u8::from(parts.whole));
            put_bytes(&mut out, &parts.merges);
        }
        Form::General(json) => {
            out.push(1);
            put_bytes(&mut out, json.as_bytes());
        }
    }
    let sum = crc32(&out[8..]).to_le_bytes();
    out[4..8].copy_from_slice(&sum);
    out
}

/// # Errors
///
/// Whatever the bytes are, if `write` did not write them.
pub(crate) fn read(bytes: &[u8]) -> Result<Form, String> {
    let whole = || {
        let (sum, content) = bytes.get(4..)?.split_first_chunk::<4>()?;
        if crc32(content) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut rest = Rest(content);
        let form = match rest.byte()? {
            0 => Form::Quick(Parts {
                cut: *CUTS.get(usize::from(rest.byte()?))?,
                nfc: rest.byte()? != 0,
                frame: [rest.ids()?, rest.ids()?],
                added: rest.list(|rest| {
                    let (id, special) = (rest.number()?, rest.byte()? != 0);
                    Some(Added { text: rest.text()?, id, special })
                })?,
                ids: rest.ids()?,
                unmade: rest.list(|rest| Some((rest.number()?, rest.bytes()?.to_vec())))?,
                whole: rest.byte()? != 0,
                merges: rest.bytes()?.to_vec(),
            }),
            1 => Form::General(rest.text()?),
            _ => return None,
        };
        rest.0.is_empty().then_some(form)
    };
    whole().ok_or_else(|| DAMAGED.to_owned())
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_ids(out: &mut Vec<u8>, ids: &[u32]) {
    put(out, ids.len() as u32);
    ids.iter().for_each(|&id| put(out, id));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

/// What is left to read; `None` where there is too little.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // Never more room than bytes: a length is not to be trusted.
        let length = self.number()? as usize;
        let mut list = Vec::with_capacity(length.min(self.0.len() / 4));
        for _ in 0..length {
            list.push(one(self)?);
        }
        Some(list)
    }

    fn ids(&mut self) -> Option<Vec<u32>> {
        self.list(Self::number)
    }
}

/// IEEE 802.3's. Against damage, not against malice: whoever keeps the form knows the
/// hash of its source.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut value = at as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, &byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)])
}
