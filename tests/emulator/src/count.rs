//! The emulator's token truth, independent of the gateway's estimate: a real
//! BPE (o200k) times the model family's factor from data/models.toml, plus a
//! fixed framing. Claude's own tokenizer is not public; this is a convention of
//! the emulator's own, and deterministic.

use crate::catalog::Counting;
use base64::Engine;
use serde_json::Value;

/// Tokens of any request (measured: a one-character message counts 8 on Claude
/// 4.x; ctoc, February 2026), and of each further message or system prompt.
pub const FRAMING: u64 = 7;
/// See [`FRAMING`].
pub const FRAMING_MESSAGE: u64 = 3;

/// An image by URL cannot be measured: it counts as the old families' cap.
const IMAGE_UNKNOWN: u64 = 1_568;
/// A PDF page: text and page image (2,324 to 2,347 measured for Claude 5.5;
/// JOHNISKING/token-cost, October 2026).
const PDF_PAGE: u64 = 2_335;

/// BPE runs over windows of this many bytes: a piece without a break costs the
/// square of its length, and the regex behind it gives up on very long ones.
const WINDOW: usize = 4_096;

/// o200k tokens of a text.
pub fn o200k(text: &str) -> u64 {
    let bpe = tiktoken_rs::o200k_base_singleton();
    let (mut rest, mut tokens) = (text, 0);
    while !rest.is_empty() {
        let (window, after) = rest.split_at(window_end(rest));
        tokens += bpe.encode_ordinary(window).len() as u64;
        rest = after;
    }
    tokens
}

/// The end of the first window: at its last space, so that words stay whole, else
/// at a character's end.
fn window_end(text: &str) -> usize {
    if text.len() <= WINDOW {
        return text.len();
    }
    let end = text.floor_char_boundary(WINDOW);
    match text[..end].rfind(' ') {
        Some(space) if space > 0 => space,
        _ => end,
    }
}

/// Tokens of the model for so many of o200k, rounded down.
pub fn scaled(o200k: u64, counting: &Counting) -> u64 {
    o200k.saturating_mul(counting.percent) / 100
}

/// Tokens of a text as the model counts it.
pub fn text(text: &str, counting: &Counting) -> u64 {
    scaled(o200k(text), counting)
}

/// Tokens of one content block: text, image, document, tool use or result.
pub fn block(block: &Value, counting: &Counting) -> u64 {
    let field = |name: &str| block.get(name);
    let string = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default();
    match string("type") {
        "text" => text(string("text"), counting),
        "image" => image(field("source"), counting),
        "document" => {
            text(string("title"), counting)
                + text(string("context"), counting)
                + document(field("source"), counting)
        }
        "tool_result" => FRAMING_MESSAGE + content(field("content"), counting),
        "tool_use" => {
            let input = field("input").map(Value::to_string).unwrap_or_default();
            FRAMING_MESSAGE + text(string("name"), counting) + text(&input, counting)
        }
        "thinking" => text(string("thinking"), counting),
        // Whatever else: its JSON.
        _ => text(&block.to_string(), counting),
    }
}

/// Tokens of a `content`: a string or a list of blocks.
pub fn content(content: Option<&Value>, counting: &Counting) -> u64 {
    match content {
        Some(Value::String(string)) => text(string, counting),
        Some(Value::Array(blocks)) => blocks.iter().map(|b| block(b, counting)).sum(),
        _ => 0,
    }
}

fn document(source: Option<&Value>, counting: &Counting) -> u64 {
    let Some(source) = source else { return 0 };
    let data = source.get("data").and_then(Value::as_str).unwrap_or_default();
    match source.get("type").and_then(Value::as_str) {
        Some("text") => text(data, counting),
        Some("content") => content(source.get("content"), counting),
        Some("base64") => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap_or_default();
            PDF_PAGE * pdf_pages(&bytes)
        }
        _ => PDF_PAGE,
    }
}

fn pdf_pages(bytes: &[u8]) -> u64 {
    let marks = |mark: &[u8]| {
        let ends = bytes.windows(mark.len() + 1).filter(|w| w.starts_with(mark));
        // `/Pages` is the tree, not a page.
        ends.filter(|w| w.last() != Some(&b's')).count() as u64
    };
    (marks(b"/Type /Page") + marks(b"/Type/Page")).max(1)
}

/// Patches of 28 by 28 pixels after scaling to the family's caps (exact for
/// unscaled images of Haiku 4.5 and Claude 5.5; JOHNISKING/image-token-cost).
fn image(source: Option<&Value>, counting: &Counting) -> u64 {
    let data = source.and_then(|source| source.get("data")?.as_str());
    let bytes = data.and_then(|d| base64::engine::general_purpose::STANDARD.decode(d).ok());
    match bytes.and_then(|bytes| imagesize::blob_size(&bytes).ok()) {
        Some(size) => patches(size.width as u64, size.height as u64, counting),
        None => IMAGE_UNKNOWN.min(counting.image_tokens_max),
    }
}

fn patches(width: u64, height: u64, counting: &Counting) -> u64 {
    let long = width.max(height).max(1);
    let edge = counting.image_edge_max.min(long);
    let side = |pixels: u64| (pixels.saturating_mul(edge) / long).div_ceil(28).max(1);
    side(width).saturating_mul(side(height)).min(counting.image_tokens_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use serde_json::json;

    fn counting(model: &str) -> Counting {
        Catalog::new().unwrap().model(model).unwrap().1.clone()
    }

    #[test]
    fn o200k_agrees_with_published_counts() {
        // "hello world" and the sentence of the OpenAI cookbook's tiktoken page.
        assert_eq!(o200k("hello world"), 2);
        assert_eq!(o200k("antidisestablishmentarianism"), 6);
        assert_eq!(o200k("2 + 2 = 4"), 7);
    }

    #[test]
    fn newer_families_count_thirty_percent_more() {
        let words = "The gateway counts what it can and asks for the rest. ".repeat(50);
        let (old, new) = (counting("claude-sonnet-4-6"), counting("claude-sonnet-5-5"));
        let (old, new) = (text(&words, &old), text(&words, &new));
        assert!((128..=132).contains(&(new * 100 / old)), "{old} {new}");
    }

    #[test]
    fn windows_change_no_count_of_words_and_bound_the_rest() {
        let words = "alpha beta gamma delta ".repeat(2_000);
        let whole = tiktoken_rs::o200k_base_singleton().encode_ordinary(words.trim_end());
        assert_eq!(o200k(words.trim_end()), whole.len() as u64);
        for text in [" ".repeat(200_000), "a".repeat(200_000), "語".repeat(50_000)] {
            assert!(o200k(&text) > 0);
        }
    }

    #[test]
    fn images_count_by_size_and_not_by_bytes() {
        let new = counting("claude-sonnet-5-5");
        // 1920 x 1080 counts 2,691 on Claude 5.5 (measured, same source).
        assert_eq!(patches(1_920, 1_080, &new), 2_691);
        assert_eq!(patches(28_000, 28_000, &counting("claude-haiku-4-5")), 1_568);
        let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}});
        assert_eq!(block(&image, &new), 1);
    }

    #[test]
    fn pdf_pages_are_counted_and_the_tree_is_not() {
        assert_eq!(pdf_pages(b"<< /Type /Pages >> << /Type /Page >> << /Type/Page/X >>"), 2);
        assert_eq!(pdf_pages(b""), 1);
    }
}
