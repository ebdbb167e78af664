//! What the Gate decides, as a pure state machine.
//!
//! No clock, no randomness, no storage, no JavaScript: `now` and every input
//! come as arguments, decisions and effects go out as values. The Durable
//! Object (`edge/src/objects/gate.rs`) and the simulator (`crates/simulator`)
//! drive the same machine.
#![forbid(unsafe_code)]

pub mod admin;
mod gate;
pub mod message;
pub mod policy;
pub mod settings;

pub use gate::{Answer, Input, Output, Write};
