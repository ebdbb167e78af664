//! Tokens that are not text: framing, images, PDF pages.

use crate::{Estimate, Family};

/// What a request adds around its `messages` messages.
pub fn framing(_messages: u64, _family: Family) -> Estimate {
    todo!()
}

/// One image of this size in pixels; `None`: size unknown.
pub fn image(_size: Option<(u32, u32)>, _family: Family) -> Estimate {
    todo!()
}

/// One PDF of this many bytes; its pages are not known.
pub fn pdf(_bytes: u64, _family: Family) -> Estimate {
    todo!()
}
