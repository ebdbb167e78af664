//! What keys and short values mean: from text to facts.

use super::field::Field;
use super::prefix::Fingerprint;
use super::reader::{CAPTURE_BYTES_MAX, Reader};
use super::source::Kind;
use super::{Invalid, Thinking, ToolChoice};
use crate::Speed;
use crate::models::{Runs, runs};

/// Top-level keys; the API knows some 25.
const TOP_KEYS_MAX: usize = 256;
/// Betas kept by name; the API knows some 40.
const BETAS_MAX: usize = 64;
/// Fields that may be input, that no decision depends on and that shape an answer, no more
/// (API reference, Messages, 2026-11). Others may run something, or bill for it.
const SHAPING: [&[u8]; 2] = [b"output_format", b"output_config"];
/// Fallbacks and advisors; more than a handful makes no sense.
const OTHER_MODELS_MAX: usize = 16;

impl Reader {
    /// A key was read: which field its value is.
    pub(super) fn key(&mut self) -> Result<(), Invalid> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        // No field that we act on has so long a name.
        let name = if self.overflow { b"" } else { self.captured.as_slice() };
        let field = frame.field.child(name);
        self.next = Some(field);
        let bit = 1 << field as u64;
        let before = frame.seen;
        frame.seen |= bit;
        let mut twice = field.once() && before & bit != 0;
        let top = frame.field == Field::Root;
        let is_plain = matches!(name, b"type" | b"text" | b"cache_control") && before & bit == 0;
        if !is_plain && self.is_system_block() {
            self.facts.system_text = None;
        }
        if top && self.strict && field == Field::Json && self.facts.other_field.is_none() {
            let name = self.captured.as_slice();
            if self.overflow || !SHAPING.contains(&name) {
                self.facts.other_field = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
        if top && !field.once() {
            // Two that look alike are refused, so who makes such harms himself.
            let hash = Fingerprint::of(&self.captured);
            twice |= self.top_keys.contains(&hash) && !self.overflow;
            self.top_keys.push(hash);
        }
        if self.top_keys.len() > TOP_KEYS_MAX {
            return Err(Invalid::field(
                "body".into(),
                "has too many fields. Remove those that the API does not have.",
            ));
        }
        if twice {
            let path = self.path_to(Some(field));
            let path = if path.is_empty() { "body".into() } else { path };
            return Err(Invalid::field(path, "a field is given twice. Send it once."));
        }
        Ok(())
    }

    /// A string or number was read that a decision depends on.
    pub(super) fn capture(&mut self, field: Field) -> Result<(), Invalid> {
        if self.overflow {
            return Err(self.bad(field, &format!("is longer than {CAPTURE_BYTES_MAX} bytes.")));
        }
        let captured = std::mem::take(&mut self.captured);
        let result = self.apply(field, &captured);
        self.captured = captured;
        result
    }

    fn apply(&mut self, field: Field, value: &[u8]) -> Result<(), Invalid> {
        // Captured text is whole and was checked: it is UTF-8.
        let text = || String::from_utf8_lossy(value).into_owned();
        if field == Field::BlockType && value != b"text" && self.is_system_block() {
            self.facts.system_text = None;
        }
        let facts = &mut self.facts;
        match field {
            Field::Model if value.is_empty() => {
                return Err(self.bad(field, "must not be empty. Name a model."));
            }
            Field::Model => facts.model = text(),
            Field::MaxTokens => self.max_tokens = Some(self.whole(field, value)?),
            Field::Speed => {
                facts.speed = match value {
                    b"standard" => Speed::Standard,
                    b"fast" => Speed::Fast,
                    _ => return Err(self.bad(field, "must be \"standard\" or \"fast\".")),
                };
            }
            Field::ThinkingType => {
                self.thinking.kind = Some(match value {
                    b"enabled" => Thinking::Enabled { budget: 0 },
                    b"disabled" => Thinking::Disabled,
                    _ => Thinking::Adaptive,
                });
            }
            Field::Budget => self.thinking.budget = self.whole(field, value)?,
            Field::ToolType => match runs(value) {
                Runs::Custom => {}
                Runs::Client => facts.defined_tools = facts.defined_tools.saturating_add(1),
                Runs::Server => {
                    facts.server_tools = facts.server_tools.saturating_add(1);
                    self.tool.web_search = value.starts_with(b"web_search");
                }
            },
            Field::MaxUses => self.tool.max_uses = Some(self.whole(field, value)?),
            Field::ToolChoiceType => {
                facts.tool_choice = match value {
                    b"auto" => ToolChoice::Auto,
                    b"any" => ToolChoice::Any,
                    b"none" => ToolChoice::None,
                    // The dearer overhead, also for a kind to come.
                    _ => ToolChoice::Tool,
                };
            }
            Field::BlockType => match value {
                b"image" => facts.images = facts.images.saturating_add(1),
                b"document" => facts.documents = facts.documents.saturating_add(1),
                _ => {}
            },
            Field::SourceType => {
                if let Some(source) = &mut self.source {
                    source.kind = Kind::of(value);
                }
            }
            Field::MediaType => {
                if let Some(source) = &mut self.source {
                    source.image = Some(value.starts_with(b"image/"));
                }
            }
            Field::Ttl => facts.cache_1h |= value != b"5m",
            Field::Role => facts.other_roles |= !matches!(value, b"user" | b"assistant"),
            Field::ServiceTier => facts.service_tier = Some(text()),
            Field::InferenceGeo => facts.inference_geo = Some(text()),
            Field::OtherModel if facts.other_models.len() < OTHER_MODELS_MAX => {
                facts.other_models.push(text());
            }
            Field::OtherModel => return Err(self.bad(field, "names one model too many.")),
            Field::OtherMaxTokens => {
                let tokens = self.whole(field, value)?;
                self.facts.other_max_tokens = self.facts.other_max_tokens.max(tokens);
            }
            Field::Beta if facts.betas.len() < BETAS_MAX => facts.betas.push(text()),
            Field::Beta => return Err(self.bad(Field::Betas, "names too many betas.")),
            _ => {}
        }
        Ok(())
    }

    /// A whole number, 0 or more.
    fn whole(&self, field: Field, value: &[u8]) -> Result<u64, Invalid> {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| {
            self.bad(field, "must be a whole number, 0 or more, without fraction or exponent.")
        })
    }

    fn bad(&self, field: Field, problem: &str) -> Invalid {
        Invalid::field(self.path_to(Some(field)), problem)
    }
}
