//! How many tokens a text has, without the provider: pure arithmetic over
//! bytes. It knows nothing of HTTP or JSON and has no clock.
//!
//! Two ways: the vocabulary-free estimate from features of the text, which holds
//! no text, called by `providers` (a request's facts, a stream's progress) and
//! through it by the Worker's hot path, and corrected by what real counts taught
//! (`calibration`, a crate beneath), in `limits` and in the npm package; and `bpe`, behind the feature `vocabulary`,
//! the exact count by a vocabulary, called by the npm package.
#![forbid(unsafe_code)]

#[cfg(feature = "vocabulary")]
pub mod bpe;
mod estimate;
mod features;
pub mod overhead;

pub use calibration;
pub use estimate::{Estimate, Family, PRIOR, estimate, kinds, undated};
pub use features::{FeatureScanner, Features};
