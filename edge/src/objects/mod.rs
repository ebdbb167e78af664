//! The Durable Objects: load, step the core, save, wake.

pub mod gate;
pub mod relay;
