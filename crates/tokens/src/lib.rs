//! How many tokens a text has, without the provider: pure arithmetic over
//! bytes. Today the vocabulary-free estimate from features of the text; it
//! knows nothing of HTTP or JSON, has no clock and holds no text.
//!
//! Called by `providers` (a request's facts, a stream's progress) and through
//! it by the Worker's hot path.
#![forbid(unsafe_code)]

mod estimate;
mod features;
pub mod overhead;

pub use estimate::{Estimate, Family, estimate};
pub use features::{FeatureScanner, Features};
