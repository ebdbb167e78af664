//! What we know of providers: what a request asks for, what a stream says, what
//! it costs, which limits bind, what an error means. Bytes in, values out; no
//! clock, no I/O, no request ever sent from here.
//!
//! Called by the Worker (and by the emulator's tests). Facts are data:
//! data/*.toml, each row with its source and effective date, compiled in by
//! build.rs.
#![forbid(unsafe_code)]

pub mod anthropic;
mod json;
pub mod models;
pub mod price;
mod usage;

pub use usage::{Iteration, IterationKind, ServiceTier, Speed, Usage};
