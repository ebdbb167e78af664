//! The Durable Objects: load, step the core, save, wake.

pub mod gate;
