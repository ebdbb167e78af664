//! Tokens that are not text: framing, images, PDF pages, opaque content. From
//! data/overhead.toml.

use crate::{Estimate, Family};

include!(concat!(env!("OUT_DIR"), "/overhead.rs"));

/// What a request adds around its `messages` messages.
pub fn framing(messages: u64, _family: Family) -> Estimate {
    REQUEST + MESSAGE * messages
}

/// One image of this size in pixels; `None`: size unknown.
///
/// Exact where the image is not resized (patches of 28 x 28 pixels); the rule of
/// the resize is not published, so there the cap is the upper bound.
pub fn image(size: Option<(u32, u32)>, family: Family) -> Estimate {
    let image = match family {
        Family::UpTo46 => IMAGE_UPTO46,
        Family::From47 => IMAGE_FROM47,
    };
    let cap = image.tokens + image.resized;
    let Some((width, height)) = size.map(|(w, h)| (u64::from(w), u64::from(h))) else {
        return Estimate { lower: 1, estimate: image.tokens / 2, upper: cap };
    };
    let patches = |w: u64, h: u64| w.div_ceil(28) * h.div_ceil(28);
    let edge = width.max(height);
    let whole = patches(width, height);
    if edge <= image.edge && whole <= image.tokens {
        return Estimate { lower: whole, estimate: whole, upper: whole + image.resized };
    }
    let fit = |side: u64| side * image.edge / edge.max(image.edge);
    let resized = patches(fit(width), fit(height)).min(image.tokens);
    Estimate { lower: resized * 8 / 10, estimate: resized + image.resized, upper: cap }
}

/// Content that the provider encrypted or signed, of this many bytes.
pub fn opaque(bytes: u64) -> Estimate {
    Estimate { lower: 0, estimate: bytes / OPAQUE_BYTES, upper: bytes }
}

/// The pages of a document of this many bytes that does not tell them.
pub fn pages(bytes: u64) -> u64 {
    (bytes / PAGE_BYTES).max(1)
}

/// PDFs, with about this many pages in all.
pub fn pdf(count: u64, pages: u64, family: Family) -> Estimate {
    let page = match family {
        Family::UpTo46 => PAGE_UPTO46,
        Family::From47 => PAGE_FROM47,
    };
    let most = PAGES_MAX.saturating_mul(count);
    let pages = pages.max(count).min(most);
    Estimate {
        lower: page.lower.saturating_mul(count),
        estimate: page.estimate.saturating_mul(pages),
        upper: page.upper.saturating_mul(most),
    }
}

struct Image {
    /// The longest edge, pixels.
    edge: u64,
    /// The most tokens of one image.
    tokens: u64,
    /// What a resized one has more, about.
    resized: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JOHNISKING/image-token-cost, October 2026, the prompt's constant taken off.
    #[test]
    fn images_cost_what_was_measured() {
        let table = [
            (Family::From47, (1920, 1080), 2691),
            (Family::From47, (2560, 1440), 2952 + 40),
            (Family::From47, (3840, 2160), 2952 + 40),
            (Family::From47, (4000, 3000), 3888 + 40),
            (Family::UpTo46, (28, 28), 1),
            (Family::UpTo46, (1000, 1000), 36 * 36),
        ];
        for (family, size, tokens) in table {
            assert_eq!(image(Some(size), family).estimate, tokens, "{size:?}");
        }
    }

    #[test]
    fn bounds_are_in_order_for_any_size() {
        let sides = [1, 27, 28, 1568, 1569, 2000, 2001, 8000, u32::MAX];
        for (w, h) in sides.iter().flat_map(|&w| sides.map(|h| (w, h))) {
            for family in [Family::UpTo46, Family::From47] {
                let Estimate { lower, estimate, upper } = image(Some((w, h)), family);
                assert!(lower <= estimate && estimate <= upper, "{w} x {h}");
            }
        }
        for (count, pages) in [(0, 0), (1, 0), (1, 1 << 40), (3, 10)] {
            let Estimate { lower, estimate, upper } = pdf(count, pages, Family::From47);
            assert!(lower <= estimate && estimate <= upper);
        }
    }
}
