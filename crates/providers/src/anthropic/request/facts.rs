//! What a request asks for, and how many input tokens that may be.

use tokens::calibration::{Kinds, OVERHEAD};
use tokens::{Estimate, Family, Features, estimate, kinds, overhead};

use crate::Speed;
use crate::models::{self, ModelInfo};
use crate::price::{self, CacheWrites, Cost, Terms};

/// More of a system prompt is not kept: one byte over the longest that a setting may
/// prescribe (docs/configure.md, `publishable.system`), so that one which only
/// begins like it differs.
pub const SYSTEM_BYTES_KEPT: usize = 4_097;

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The model, as asked for.
    pub model: String,
    /// The limit on the output; 0 for count_tokens.
    pub max_tokens: u64,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The speed asked for.
    pub speed: Speed,
    /// Thinking.
    pub thinking: Thinking,
    /// Tools, of any kind.
    pub tools: u32,
    /// Tools that the provider runs (an unknown kind counts as such).
    pub server_tools: u32,
    /// Tools that the provider defines and the client runs (bash, text editor…).
    pub defined_tools: u32,
    /// The most web searches, by the tools' `max_uses`.
    pub web_searches_max: u64,
    /// How the model may choose among them.
    pub tool_choice: ToolChoice,
    /// MCP servers.
    pub mcp_servers: u32,
    /// Other models named in it, which the provider may turn to by itself:
    /// fallbacks, advisors. A model's permission has to cover them.
    pub other_models: Vec<String>,
    /// The largest `max_tokens` that a fallback has for itself.
    pub other_max_tokens: u64,
    /// Whether the provider's own choice of fallbacks is asked for.
    pub fallbacks_default: bool,
    /// Whether it goes on with a conversation that the provider keeps.
    pub thread: bool,
    /// Files referred to by id.
    pub file_ids: u32,
    /// Betas named in the body.
    pub betas: Vec<String>,
    /// Whether anything is marked for the prompt cache.
    pub cache_control: bool,
    /// Whether anything is marked for an hour.
    pub cache_1h: bool,
    /// A fingerprint of the text of tools and system prompt.
    pub(super) prefix: u32,
    /// Images: sent along, by address, by file.
    pub images: u32,
    /// Images sent along.
    pub images_sent: u32,
    /// Their sizes in pixels, as far as their first bytes tell.
    pub image_sizes: Vec<(u32, u32)>,
    /// Documents: sent along, by address, by file.
    pub documents: u32,
    /// PDFs sent along.
    pub pdfs: u32,
    /// Their pages, as far as they tell.
    pub pdf_pages: u64,
    /// Images and documents by address or file: their content is not known.
    pub remote_sources: u32,
    /// Bytes of opaque content (signatures, encrypted results).
    pub opaque_bytes: u64,
    /// Messages.
    pub messages: u32,
    /// Whether there is a system prompt.
    pub system: bool,
    /// Its bytes, where it is one string or one block with a text and no more than
    /// `cache_control` beside it, and cut where it is longer than
    /// [`SYSTEM_BYTES_KEPT`] (only [`super::Scanner::strict`]). How the provider joins
    /// several blocks is not published.
    pub system_text: Option<Vec<u8>>,
    /// Whether a message has another role than user and assistant (only strictly).
    pub other_roles: bool,
    /// A field that is not among those that shape an answer and no more (only
    /// strictly).
    pub other_field: Option<String>,
    /// Whether `metadata.user_id` is set.
    pub user_id: bool,
    /// `service_tier`.
    pub service_tier: Option<String>,
    /// `inference_geo`.
    pub inference_geo: Option<String>,
    /// The text, by role.
    pub text: Text,
    /// Bytes of the body.
    pub bytes: u64,
}

/// Features of a request's text, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The system prompt.
    pub system: Features,
    /// Tool definitions.
    pub tools: Features,
    /// Messages.
    pub messages: Features,
    /// Fields that are not known to be text, but may reach the model.
    pub other: Features,
}

/// `thinking`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thinking {
    /// Not in the request.
    #[default]
    Unset,
    /// Off.
    Disabled,
    /// On, with a budget in tokens.
    Enabled {
        /// `budget_tokens`.
        budget: u64,
    },
    /// As the model sees fit, or a kind that this build does not know.
    Adaptive,
}

/// `tool_choice.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// Not in the request.
    #[default]
    Unset,
    /// The model chooses.
    Auto,
    /// Some tool.
    Any,
    /// The named tool.
    Tool,
    /// No tool.
    None,
}

impl Facts {
    /// Input tokens of the whole request. `lower <= estimate <= upper`; the upper
    /// bound is the model's context window where the content is not in the body
    /// (files, addresses, PDFs, tools that the provider runs). Tools that the
    /// provider runs can be billed for several passes: see [`Self::open_ended`].
    pub fn input(&self) -> Estimate {
        let model = models::class_of(&self.model);
        let family = model.map_or(Family::From47, |model| model.family);
        let text = estimate(&self.known_text(), family);
        let mut sum = text
            + self.other()
            + overhead::opaque(self.opaque_bytes)
            + overhead::framing(u64::from(self.messages), family)
            + self.pictures(family)
            + self.tool_prompt(model)
            + overhead::pdf(u64::from(self.pdfs), self.pdf_pages, family);
        let window = model.map_or(models::CONTEXT_TOKENS_MAX, |model| model.context_tokens);
        if self.open_ended() || self.pdfs > 0 || self.remote_documents() > 0 {
            sum.upper = sum.upper.max(window);
        }
        // Beyond the window the provider refuses, and nothing is billed.
        sum.upper = sum.upper.min(window).max(sum.estimate);
        sum
    }

    /// By kinds, the part of that estimate which a calibration corrects: text, framing
    /// and tools. Images, PDFs and opaque content are the rest.
    pub fn kinds(&self) -> Kinds {
        let model = models::class_of(&self.model);
        let family = model.map_or(Family::From47, |model| model.family);
        let mut kinds = kinds(&self.known_text(), family);
        let framing = overhead::framing(u64::from(self.messages), family);
        kinds[OVERHEAD] = framing.estimate + self.tool_prompt(model).estimate;
        kinds
    }

    /// Whether the provider may add input of its own: server tools, MCP servers, a
    /// conversation that it keeps.
    pub fn open_ended(&self) -> bool {
        self.server_tools > 0 || self.mcp_servers > 0 || self.thread
    }

    /// Where anything is marked for the prompt cache: a fingerprint of tools and
    /// system prompt, by which it begins.
    pub fn cached_prefix(&self) -> Option<u32> {
        self.cache_control.then_some(self.prefix)
    }

    /// The most that the request can cost at the prices of `at_ms`: each model that
    /// it names at the input's upper bound and its limit on the output. No bound,
    /// and flagged estimated, where the provider may bill further passes.
    pub fn cost_most(&self, at_ms: u64) -> Cost {
        let (input, terms) = (self.input().upper, self.terms());
        let own = price::most(&self.model, input, self.max_tokens, terms, at_ms);
        let output = self.max_tokens.max(self.other_max_tokens);
        let others = self.other_models.iter().map(|model| {
            price::most(model, input, output, Terms { web_searches: 0, ..terms }, at_ms)
        });
        let sum = others.fold(own, |sum, one| Cost {
            microusd: sum.microusd.saturating_add(one.microusd),
            estimated: sum.estimated | one.estimated,
        });
        Cost { estimated: sum.estimated || self.open_ended() || self.fallbacks_default, ..sum }
    }

    /// What decides the request's price beside its tokens.
    pub fn terms(&self) -> Terms {
        Terms {
            speed: self.speed,
            not_us: self.inference_geo.as_deref().is_some_and(|geo| geo != "us"),
            cache: match (self.cache_control, self.cache_1h) {
                (false, _) => CacheWrites::No,
                (true, false) => CacheWrites::FiveMinutes,
                (true, true) => CacheWrites::Hour,
            },
            web_searches: self.web_searches_max,
        }
    }

    /// Whether output may be billed that the stream does not show.
    pub fn may_think(&self) -> bool {
        // Left unset, the default is the model's own.
        self.thinking != Thinking::Disabled
    }

    pub(super) fn add_opaque(&mut self, bytes: usize) {
        self.opaque_bytes = self.opaque_bytes.saturating_add(bytes as u64);
    }

    fn known_text(&self) -> Features {
        let mut sum = self.text.system;
        sum += self.text.tools;
        sum += self.text.messages;
        sum
    }

    /// Text that may reach the model, or not.
    pub(super) fn other(&self) -> Estimate {
        let unknown = self.text.other.bytes;
        Estimate { lower: 0, estimate: unknown.div_ceil(16), upper: unknown }
    }

    pub(super) fn pictures(&self, family: Family) -> Estimate {
        let sized = self.image_sizes.iter().map(|&size| overhead::image(Some(size), family));
        let all = u64::from(self.images.max(self.images_sent));
        let unsized_images = all.saturating_sub(self.image_sizes.len() as u64);
        sized.fold(overhead::image(None, family) * unsized_images, |sum, one| sum + one)
    }

    /// Documents by address or file; a file in a container counts as one.
    pub(super) fn remote_documents(&self) -> u32 {
        let remote_images = self.images.saturating_sub(self.images_sent);
        self.remote_sources.max(self.file_ids).saturating_sub(remote_images)
    }

    pub(super) fn tool_prompt(&self, model: Option<&ModelInfo>) -> Estimate {
        if self.tools == 0 {
            return Estimate::default();
        }
        let known = model.and_then(|model| match self.tool_choice {
            ToolChoice::Any | ToolChoice::Tool => model.tools_any,
            _ => model.tools_auto,
        });
        let prompt = match known {
            Some(tokens) => Estimate { lower: tokens, estimate: tokens, upper: tokens },
            None => models::TOOLS_UNKNOWN,
        };
        prompt + models::TOOL_DEFINED * u64::from(self.defined_tools)
    }
}
