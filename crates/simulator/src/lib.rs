//! The real Gate in virtual time against a model of the provider.
//!
//! A [`Scenario`] says who asks for what, what the provider allows and what
//! goes wrong; [`run`] plays it by its seed and returns a [`Report`]. Hours pass
//! in seconds, nothing depends on the machine, and a broken invariant panics
//! with the seed. Never shipped in the Worker.
#![forbid(unsafe_code)]

mod chance;
mod clock;
pub mod file;
pub mod gates;
mod moments;
pub mod provider;
mod report;
pub mod rivals;
pub mod scenario;
mod world;

pub use moments::Moment;
pub use report::{FlowReport, Report, Waits};
pub use scenario::{Fault, Flow, Growth, Lengths, Scenario};
pub use world::run;
