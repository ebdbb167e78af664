//! From JSON events to facts: where in the request an event is, and what to do
//! with its text.

use tokens::FeatureScanner;

use super::field::{self, ARRAY, Field, OBJECT};
use super::prefix::Fingerprint;
use super::source::{Sent, Source};
use super::{Api, Facts, Invalid, SYSTEM_BYTES_KEPT, Thinking};
use crate::json::{Handler, Token};

/// Short strings are kept this far. Model ids have some 30 bytes.
pub(super) const CAPTURE_BYTES_MAX: usize = 256;
/// Image sizes kept; the API takes 100 images, or 600 with a large window (docs,
/// vision, read 2026). Further images count as of unknown size.
const IMAGE_SIZES_MAX: usize = 600;
/// Searches of a web search tool that states no `max_uses`. An assumption: the
/// API has no limit of its own that is documented.
const WEB_SEARCHES_DEFAULT: u64 = 10;

/// Reads one request.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) facts: Facts,
    pub(super) frames: Vec<Frame>,
    /// The field of the value that comes next in an object.
    pub(super) next: Option<Field>,
    mode: Mode,
    pub(super) captured: Vec<u8>,
    pub(super) overflow: bool,
    pub(super) top_keys: Vec<u64>,
    section: Section,
    text: [FeatureScanner; 4],
    /// Of tools and system prompt.
    prefix: [Fingerprint; 2],
    /// See [`super::Scanner::strict`].
    pub(super) strict: bool,
    pub(super) source: Option<Source>,
    pub(super) tool: ToolSoFar,
    pub(super) thinking: ThinkingSoFar,
    pub(super) max_tokens: Option<u64>,
    has_messages: bool,
}

/// An open object or array.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) field: Field,
    object: bool,
    /// Elements begun.
    index: u32,
    /// Fields met, one bit each.
    pub(super) seen: u64,
}

/// What happens to the text of the current token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Skip,
    /// A key that may be one we act on.
    Key,
    /// A key within JSON that reaches the model as such.
    KeyText,
    /// A string or number that a decision depends on.
    Capture(Field),
    Text,
    /// Text of the system prompt, which is kept.
    System,
    /// A scalar within JSON that reaches the model as such.
    JsonText,
    Opaque,
    Data,
}

/// Whose text it is; the index into `Reader::text`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Other,
    System,
    Tools,
    Messages,
}

#[derive(Debug, Default)]
pub(super) struct ToolSoFar {
    pub(super) web_search: bool,
    pub(super) max_uses: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct ThinkingSoFar {
    pub(super) kind: Option<Thinking>,
    pub(super) budget: u64,
}

impl Reader {
    /// The facts of a complete request.
    pub(super) fn facts(mut self, api: Api) -> Result<Facts, Invalid> {
        let required = |field: &str, remedy: &str| {
            Err(Invalid::field(field.into(), &format!("field required. {remedy}")))
        };
        if self.facts.model.is_empty() {
            return required("model", "Name a model, e.g. \"claude-sonnet-5-5\".");
        }
        if !self.has_messages {
            return required("messages", "Send an array of at least one message.");
        }
        if self.facts.messages == 0 {
            return Err(Invalid::field("messages".into(), "must hold at least one message."));
        }
        match (self.max_tokens, api) {
            (Some(max_tokens), Api::Messages) => self.facts.max_tokens = max_tokens,
            (None, Api::Messages) => {
                return required("max_tokens", "Send the most tokens to generate, e.g. 1024.");
            }
            (_, Api::CountTokens) => {}
        }
        let [other, system, tools, messages] = self.text.map(|scanner| scanner.features());
        self.facts.text.system += system;
        self.facts.text.tools += tools;
        self.facts.text.messages += messages;
        self.facts.text.other += other;
        let [tools, system] = self.prefix.map(|part| part.value());
        self.facts.prefix = (system.wrapping_add(tools.rotate_left(5)) >> 32) as u32;
        Ok(self.facts)
    }

    /// Where it is, as far as known fields go: `messages.3.content.0`.
    pub(super) fn path(&self) -> String {
        self.path_to(None)
    }

    /// The same, with the field of a value that is about to be read.
    pub(super) fn path_to(&self, last: Option<Field>) -> String {
        let mut path = String::new();
        let mut index = None;
        let places = self.frames.iter().map(|f| (f.field, (!f.object).then_some(f.index)));
        for (field, elements) in places.chain(last.map(|field| (field, None))) {
            let name = match index {
                Some(i) => format!("{i}"),
                None if field == Field::Root => String::new(),
                None => match field.name() {
                    Some(name) => name.into(),
                    None => break,
                },
            };
            if !path.is_empty() && !name.is_empty() {
                path.push('.');
            }
            path.push_str(&name);
            index = elements.map(|begun| begun.saturating_sub(1));
        }
        path
    }

    /// The field of the value that begins, its kind checked.
    fn place(&mut self, kind: u8) -> Result<Field, Invalid> {
        let field = match self.frames.last_mut() {
            None => Field::Root,
            Some(frame) if frame.object => self.next.take().unwrap_or(Field::Skip),
            Some(frame) => {
                frame.index = frame.index.saturating_add(1);
                frame.field.element()
            }
        };
        if field.kinds() & kind == 0 {
            let path = match field {
                Field::Root => "body".into(),
                _ => self.path_to(Some(field)),
            };
            let (want, got) = (field::describe(field.kinds()), field::describe(kind));
            return Err(Invalid::field(path, &format!("must be {want}, not {got}.")));
        }
        if self.frames.len() == 1 {
            self.section = match field {
                Field::System => Section::System,
                Field::Tools => Section::Tools,
                Field::Messages => Section::Messages,
                _ => Section::Other,
            };
        }
        Ok(field)
    }

    fn begin(&mut self, field: Field) {
        match field {
            Field::Tool => {
                self.facts.tools = self.facts.tools.saturating_add(1);
                self.tool = ToolSoFar::default();
            }
            Field::McpServer => self.facts.mcp_servers = self.facts.mcp_servers.saturating_add(1),
            Field::Message => self.facts.messages = self.facts.messages.saturating_add(1),
            Field::Messages => self.has_messages = true,
            Field::CacheControl => self.facts.cache_control = true,
            Field::Thread => self.facts.thread = true,
            Field::System => self.facts.system = true,
            Field::Block if self.strict && self.section == Section::System => {
                let is_only = self.frames.len() == 2 && self.frames[1].index == 1;
                self.facts.system_text = is_only.then(Vec::new);
            }
            Field::Source => {
                // Only a malformed request has a source within one that has data.
                self.settle_source();
                self.source = Some(Source::default());
            }
            _ => {}
        }
    }

    /// Whether it is in the one block of the system prompt, which is kept.
    pub(super) fn is_system_block(&self) -> bool {
        self.section == Section::System
            && self.frames.len() == 3
            && self.facts.system_text.is_some()
    }

    fn settle_source(&mut self) {
        let Some(source) = self.source.take() else { return };
        let facts = &mut self.facts;
        match source.settle() {
            Sent::Image(size) => {
                facts.images_sent = facts.images_sent.saturating_add(1);
                if let Some(size) = size.filter(|_| facts.image_sizes.len() < IMAGE_SIZES_MAX) {
                    facts.image_sizes.push(size);
                }
            }
            Sent::Document(pages) => {
                facts.pdfs = facts.pdfs.saturating_add(1);
                facts.pdf_pages = facts.pdf_pages.saturating_add(pages);
            }
            Sent::Text(features) => facts.text.messages += features,
            Sent::Remote => facts.remote_sources = facts.remote_sources.saturating_add(1),
            Sent::Nothing => {}
        }
    }

    /// Text that reaches the model.
    #[inline]
    fn feed(&mut self, text: &[u8]) {
        self.text[self.section as usize].feed(text);
        match self.section {
            Section::Tools => self.prefix[0].feed(text),
            Section::System => self.prefix[1].feed(text),
            _ => {}
        }
    }

    /// Syntax that reaches the model as text.
    fn syntax(&mut self, text: &[u8]) {
        if self.frames.last().is_some_and(|frame| frame.field == Field::Json) {
            self.text[self.section as usize].feed(text);
        }
    }
}

impl Handler for Reader {
    type Refusal = Invalid;

    fn open(&mut self, object: bool) -> Result<(), Invalid> {
        let mut field = self.place(if object { OBJECT } else { ARRAY })?;
        if !object && field == Field::Root {
            return Err(Invalid::field("body".into(), "must be an object, not an array."));
        }
        if matches!(field, Field::Text | Field::Opaque | Field::Data) {
            // Not what the API has there, but it may reach the model all the same.
            field = Field::Json;
        }
        self.begin(field);
        if object && matches!(field, Field::BlockContent) {
            // A tool result's error, or whatever a content may be: read as a block.
            field = Field::Block;
        }
        self.frames.push(Frame { field, object, index: 0, seen: 0 });
        self.syntax(if object { b"{" } else { b"[" });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Invalid> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let (field, object) = (frame.field, frame.object);
        self.syntax(if object { b"}," } else { b"]," });
        self.frames.pop();
        match field {
            Field::Source => self.settle_source(),
            Field::Tool if self.tool.web_search => {
                let uses = self.tool.max_uses.unwrap_or(WEB_SEARCHES_DEFAULT);
                self.facts.web_searches_max = self.facts.web_searches_max.saturating_add(uses);
            }
            Field::Thinking => {
                self.facts.thinking = match self.thinking.kind {
                    Some(Thinking::Enabled { .. }) => {
                        Thinking::Enabled { budget: self.thinking.budget }
                    }
                    Some(kind) => kind,
                    None => Thinking::Adaptive,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, token: Token) -> Result<(), Invalid> {
        if token == Token::Key {
            let json = self.frames.last().is_some_and(|frame| frame.field == Field::Json);
            self.mode = if json { Mode::KeyText } else { Mode::Key };
            self.captured.clear();
            self.overflow = false;
            self.syntax(b"\"");
            return Ok(());
        }
        let field = self.place(field::kind_of(token))?;
        let string = token == Token::String;
        self.mode = match (field, token) {
            (_, Token::Null) => Mode::Skip,
            (Field::Stream, Token::True) => {
                self.facts.stream = true;
                Mode::Skip
            }
            (Field::Text, _) if self.is_system_block() => Mode::System,
            (Field::Text | Field::MessageContent | Field::BlockContent, _) => Mode::Text,
            (Field::System, _) => {
                self.facts.system = true;
                match self.strict {
                    true => {
                        self.facts.system_text = Some(Vec::new());
                        Mode::System
                    }
                    false => Mode::Text,
                }
            }
            (Field::Role, _) if self.strict => {
                self.captured.clear();
                self.overflow = false;
                Mode::Capture(field)
            }
            // A search result's source is a string.
            (Field::Source | Field::ToolChange, _) => Mode::Text,
            (Field::Opaque, _) if string => Mode::Opaque,
            (Field::Data, _) => Mode::Data,
            (Field::Json | Field::Opaque, _) => Mode::JsonText,
            (Field::FileId, _) => {
                self.facts.file_ids = self.facts.file_ids.saturating_add(1);
                Mode::Skip
            }
            (Field::UserId, _) => {
                self.facts.user_id = true;
                Mode::Skip
            }
            (Field::Thread, _) => {
                self.facts.thread = true;
                Mode::Skip
            }
            (Field::Fallbacks, _) => {
                self.facts.fallbacks_default = true;
                Mode::Skip
            }
            (Field::Stream | Field::Role | Field::Skip | Field::McpServer, _) => Mode::Skip,
            (field, _) => {
                self.captured.clear();
                self.overflow = false;
                Mode::Capture(field)
            }
        };
        match self.mode {
            Mode::Text | Mode::System => self.text[self.section as usize].boundary(),
            Mode::JsonText if string => self.text[self.section as usize].feed(b"\""),
            Mode::JsonText if token == Token::True => {
                self.text[self.section as usize].feed(b"true")
            }
            Mode::JsonText if token == Token::False => {
                self.text[self.section as usize].feed(b"false");
            }
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn piece(&mut self, text: &[u8]) {
        match self.mode {
            Mode::Text | Mode::JsonText | Mode::KeyText => self.feed(text),
            Mode::Key | Mode::Capture(_) => {
                let room = CAPTURE_BYTES_MAX - self.captured.len();
                let kept = text.len().min(room);
                self.captured.extend_from_slice(&text[..kept]);
                self.overflow |= kept < text.len();
                // What is not kept is still counted.
                self.facts.add_opaque(text.len() - kept);
            }
            Mode::System => {
                self.feed(text);
                let Some(kept) = &mut self.facts.system_text else { return };
                let room = SYSTEM_BYTES_KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(&text[..text.len().min(room)]);
            }
            Mode::Opaque => {
                self.facts.add_opaque(text.len());
            }
            Mode::Data => {
                self.source.get_or_insert_default().data(text);
            }
            Mode::Skip => {}
        }
    }

    fn end(&mut self, token: Token) -> Result<(), Invalid> {
        match self.mode {
            Mode::Key => return self.key(),
            Mode::KeyText => {
                self.next = Some(Field::Json);
                self.syntax(b"\":");
            }
            Mode::Capture(field) => return self.capture(field),
            Mode::JsonText if token == Token::String => {
                self.text[self.section as usize].feed(b"\",");
            }
            Mode::JsonText => self.text[self.section as usize].feed(b","),
            _ => {}
        }
        Ok(())
    }
}
