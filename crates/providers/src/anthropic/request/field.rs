//! Which fields of a request are acted on: their places, names and types.
//! Everything else is [`Field::Json`] (may reach the model: counted) or
//! [`Field::Skip`] (does not), and passes whatever it is.

use crate::json::Token;

/// A place in a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Root,
    Model,
    MaxTokens,
    Stream,
    Speed,
    Thinking,
    ThinkingType,
    Budget,
    Tools,
    Tool,
    ToolType,
    MaxUses,
    /// A block that changes the tools in mid-conversation.
    ToolChange,
    ToolChoice,
    ToolChoiceType,
    McpServers,
    McpServer,
    /// Models that the provider may turn to by itself.
    Fallbacks,
    Fallback,
    OtherModel,
    OtherMaxTokens,
    /// A conversation that the provider keeps.
    Thread,
    System,
    Messages,
    Message,
    Role,
    MessageContent,
    Block,
    BlockType,
    BlockContent,
    Source,
    SourceType,
    MediaType,
    Data,
    FileId,
    CacheControl,
    Ttl,
    Metadata,
    UserId,
    ServiceTier,
    InferenceGeo,
    Betas,
    Beta,
    /// A string that the provider encrypted or signed.
    Opaque,
    Text,
    Json,
    Skip,
}

/// A frame notes the fields it met, one bit each.
const _: () = assert!((Field::Skip as u32) < u64::BITS);

/// Kinds of values, one bit each.
pub(super) const STRING: u8 = 1;
pub(super) const NUMBER: u8 = 2;
pub(super) const BOOL: u8 = 4;
pub(super) const NULL: u8 = 8;
pub(super) const ARRAY: u8 = 16;
pub(super) const OBJECT: u8 = 32;
const ANY: u8 = 63;

pub(super) fn kind_of(token: Token) -> u8 {
    match token {
        Token::Key | Token::String => STRING,
        Token::Number => NUMBER,
        Token::True | Token::False => BOOL,
        Token::Null => NULL,
    }
}

impl Field {
    /// The field behind a key of this object.
    pub(super) fn child(self, key: &[u8]) -> Self {
        match self {
            Self::Root => match key {
                b"model" => Self::Model,
                b"max_tokens" => Self::MaxTokens,
                b"stream" => Self::Stream,
                b"speed" => Self::Speed,
                b"thinking" => Self::Thinking,
                b"tools" => Self::Tools,
                b"tool_choice" => Self::ToolChoice,
                b"mcp_servers" => Self::McpServers,
                b"fallbacks" => Self::Fallbacks,
                b"thread" => Self::Thread,
                b"system" => Self::System,
                b"messages" => Self::Messages,
                b"cache_control" => Self::CacheControl,
                b"metadata" => Self::Metadata,
                b"service_tier" => Self::ServiceTier,
                b"inference_geo" => Self::InferenceGeo,
                // They say how an answer is drawn and where it ends, and are no input.
                b"temperature" | b"top_p" | b"top_k" | b"stop_sequences" => Self::Skip,
                // Bedrock's and Vertex's bodies name them anthropic_beta.
                b"betas" | b"anthropic_beta" => Self::Betas,
                _ => Self::Json,
            },
            Self::Thinking => match key {
                b"type" => Self::ThinkingType,
                b"budget_tokens" => Self::Budget,
                _ => Self::Skip,
            },
            Self::Tool => match key {
                b"type" => Self::ToolType,
                b"max_uses" => Self::MaxUses,
                // The advisor tool's.
                b"model" => Self::OtherModel,
                b"cache_control" => Self::CacheControl,
                _ => Self::Json,
            },
            Self::Fallback => match key {
                b"model" => Self::OtherModel,
                b"max_tokens" => Self::OtherMaxTokens,
                _ => Self::Skip,
            },
            Self::ToolChange => match key {
                b"definition" => Self::Tool,
                _ => Self::Json,
            },
            Self::ToolChoice => match key {
                b"type" => Self::ToolChoiceType,
                _ => Self::Skip,
            },
            Self::Message => match key {
                b"role" => Self::Role,
                b"content" => Self::MessageContent,
                _ => Self::Json,
            },
            Self::Block | Self::BlockContent => match key {
                b"type" => Self::BlockType,
                b"content" => Self::BlockContent,
                b"source" => Self::Source,
                b"tool" => Self::ToolChange,
                b"cache_control" => Self::CacheControl,
                b"file_id" => Self::FileId,
                b"text" | b"thinking" | b"title" | b"context" | b"name" => Self::Text,
                // thinking, redacted_thinking, compaction, server tools' results
                b"signature" | b"data" | b"encrypted_content" | b"encrypted_stdout"
                | b"encrypted_index" => Self::Opaque,
                b"id" | b"tool_use_id" => Self::Skip,
                _ => Self::Json,
            },
            Self::Source => match key {
                b"type" => Self::SourceType,
                b"media_type" => Self::MediaType,
                b"data" => Self::Data,
                b"file_id" => Self::FileId,
                b"content" => Self::BlockContent,
                b"url" => Self::Skip,
                _ => Self::Json,
            },
            Self::CacheControl => match key {
                b"ttl" => Self::Ttl,
                _ => Self::Skip,
            },
            Self::Metadata => match key {
                b"user_id" => Self::UserId,
                _ => Self::Skip,
            },
            Self::McpServer | Self::Thread | Self::Skip => Self::Skip,
            _ => Self::Json,
        }
    }

    /// The elements of this array.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Tools => Self::Tool,
            Self::McpServers => Self::McpServer,
            Self::Fallbacks => Self::Fallback,
            Self::System | Self::MessageContent | Self::BlockContent => Self::Block,
            Self::Messages => Self::Message,
            Self::Betas => Self::Beta,
            Self::Skip | Self::FileId | Self::Metadata | Self::Thread => Self::Skip,
            _ => Self::Json,
        }
    }

    /// The kinds of values that it may have.
    pub(super) fn kinds(self) -> u8 {
        match self {
            Self::Root | Self::Message | Self::Tool | Self::Block | Self::Fallback => OBJECT,
            Self::Model
            | Self::ThinkingType
            | Self::ToolChoiceType
            | Self::Role
            | Self::BlockType
            | Self::SourceType
            | Self::Beta => STRING,
            Self::MaxTokens => NUMBER,
            Self::Stream => BOOL | NULL,
            Self::Budget | Self::MaxUses | Self::OtherMaxTokens => NUMBER | NULL,
            Self::Speed
            | Self::ServiceTier
            | Self::InferenceGeo
            | Self::UserId
            | Self::Ttl
            | Self::ToolType
            | Self::OtherModel
            | Self::MediaType => STRING | NULL,
            Self::Messages => ARRAY,
            Self::Tools | Self::McpServers | Self::Betas => ARRAY | NULL,
            Self::Thinking | Self::ToolChoice | Self::CacheControl | Self::Metadata => {
                OBJECT | NULL
            }
            Self::System | Self::Fallbacks => STRING | ARRAY | NULL,
            Self::MessageContent => STRING | ARRAY,
            Self::Data => STRING,
            Self::McpServer
            | Self::Thread
            | Self::ToolChange
            | Self::BlockContent
            | Self::Source
            | Self::FileId
            | Self::Opaque
            | Self::Text
            | Self::Json
            | Self::Skip => ANY,
        }
    }

    /// Its key, where the path of a complaint may name it.
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Model | Self::OtherModel => "model",
            Self::MaxTokens | Self::OtherMaxTokens => "max_tokens",
            Self::Fallbacks => "fallbacks",
            Self::Thread => "thread",
            Self::Stream => "stream",
            Self::Speed => "speed",
            Self::Thinking => "thinking",
            Self::ThinkingType
            | Self::ToolType
            | Self::ToolChoiceType
            | Self::BlockType
            | Self::SourceType => "type",
            Self::Budget => "budget_tokens",
            Self::Tools => "tools",
            Self::MaxUses => "max_uses",
            Self::ToolChange => "tool",
            Self::Tool => "definition",
            Self::ToolChoice => "tool_choice",
            Self::McpServers => "mcp_servers",
            Self::System => "system",
            Self::Messages => "messages",
            Self::Role => "role",
            Self::MessageContent | Self::BlockContent => "content",
            Self::Source => "source",
            Self::MediaType => "media_type",
            Self::Data => "data",
            Self::FileId => "file_id",
            Self::CacheControl => "cache_control",
            Self::Ttl => "ttl",
            Self::Metadata => "metadata",
            Self::UserId => "user_id",
            Self::ServiceTier => "service_tier",
            Self::InferenceGeo => "inference_geo",
            Self::Betas => "betas",
            Self::Root
            | Self::Message
            | Self::Block
            | Self::Fallback
            | Self::McpServer
            | Self::Beta
            | Self::Opaque
            | Self::Text
            | Self::Json
            | Self::Skip => return None,
        })
    }

    /// Whether a second one in the same object is refused: which of the two the
    /// provider would read is not ours to guess.
    pub(super) fn once(self) -> bool {
        !matches!(self, Self::Opaque | Self::Text | Self::Json | Self::Skip)
    }
}

/// "a string or null", for complaints.
pub(super) fn describe(kinds: u8) -> String {
    const NAMES: [(u8, &str); 6] = [
        (STRING, "a string"),
        (NUMBER, "a number"),
        (BOOL, "true or false"),
        (ARRAY, "an array"),
        (OBJECT, "an object"),
        (NULL, "null"),
    ];
    // Not `join`, which is a KiB wherever it is.
    let mut text = String::new();
    for (_, name) in NAMES.iter().filter(|(bit, _)| kinds & bit != 0) {
        if !text.is_empty() {
            text.push_str(" or ");
        }
        text.push_str(name);
    }
    text
}
