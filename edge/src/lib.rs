//! Tollgate's Worker: what every request passes before it costs anything.
//!
//! A thin shell over pure cores. `request` is the way of a request to the
//! provider, `admin` everything else, `objects` the Durable Objects; all I/O is
//! done by the JavaScript in `edge/js`, which calls the exports of `carrier`
//! and `objects` synchronously. Nothing here awaits, so nothing can hang when
//! the module is re-initialised.

pub mod admin;
pub mod carrier;
pub mod isolate;
pub mod journey;
pub mod objects;
pub mod request;

/// Three KiB less than the standard library's, in as much time (2026-12-01).
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
