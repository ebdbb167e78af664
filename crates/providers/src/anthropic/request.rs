//! A request's facts, from its body in windows of any size, without keeping it.

use tokens::{Estimate, Features};

use crate::Speed;

/// Which endpoint's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
}

/// Why a body is refused, for the user: never contains the prompt's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// 400 or 413.
    pub status: u16,
    /// The field's path, e.g. `messages.0.role`.
    pub field: Option<String>,
    /// A sentence: problem and remedy.
    pub message: String,
}

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
    pub web_searches_max: u32,
    /// How the model may choose among them.
    pub tool_choice: ToolChoice,
    /// MCP servers.
    pub mcp_servers: u32,
    /// Files referred to by id.
    pub file_ids: u32,
    /// Betas named in the body.
    pub betas: Vec<String>,
    /// Whether anything is marked for the prompt cache.
    pub cache_control: bool,
    /// Whether anything is marked for an hour.
    pub cache_1h: bool,
    /// Sizes in pixels of images sent along, as far as their first bytes tell.
    pub image_sizes: Vec<(u32, u32)>,
    /// All images: sent along, by address, by file.
    pub images: u32,
    /// All documents.
    pub documents: u32,
    /// Bytes of the PDFs sent along, base64 decoded.
    pub pdf_bytes: u64,
    /// PDFs sent along.
    pub pdfs: u32,
    /// Bytes of opaque content (signatures, encrypted results).
    pub opaque_bytes: u64,
    /// Messages.
    pub messages: u32,
    /// Whether there is a system prompt.
    pub system: bool,
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

/// Reads a request body in windows.
#[derive(Debug)]
pub struct Scanner {
    api: Api,
}

impl Scanner {
    /// For a body of this endpoint.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// Reads the next window, of any size.
    pub fn feed(&mut self, _window: &[u8]) -> Result<(), Invalid> {
        todo!("{:?}", self.api)
    }

    /// The facts, once the whole body was fed.
    pub fn finish(self) -> Result<Facts, Invalid> {
        todo!()
    }
}

impl Facts {
    /// Input tokens of the whole request.
    pub fn input(&self) -> Estimate {
        todo!()
    }
}
