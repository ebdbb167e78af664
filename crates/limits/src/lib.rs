//! What the Gate decides, as a pure state machine.
//!
//! No clock, no randomness, no storage, no JavaScript: `now` and every input
//! come as arguments, decisions and effects go out as values. The Durable
//! Object (`edge/src/objects/gate.rs`) and the simulator (`crates/simulator`)
//! drive the same machine.
#![forbid(unsafe_code)]

pub mod admin;
mod admit;
mod amounts;
pub mod borrow;
mod bucket;
mod budgets;
mod calibrations;
mod crowd;
mod demand;
mod gate;
mod history;
pub mod jobs;
mod lend;
mod lengths;
mod manage;
mod map;
pub mod message;
mod mirror;
mod observe;
mod places;
pub mod policy;
mod queue;
mod reads;
mod refused;
mod resets;
mod restart;
mod running;
mod scope;
pub mod settings;
mod settle;
mod spread;
mod store;
mod ticket;
mod usd;
mod users;
mod view;
mod wait;
mod window;

pub use budgets::Reached;
pub use gate::{Answer, Gate, Input, Output, Write};
pub use map::ByName;
pub use window::Zone;
