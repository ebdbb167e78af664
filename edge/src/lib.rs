//! probe
use wasm_bindgen::prelude::*;
use std::cell::Cell;
thread_local!(static N: Cell<u32> = const { Cell::new(0) });
/// count
#[wasm_bindgen]
pub fn count() -> u32 { N.with(|n| { n.set(n.get()+1); n.get() }) }
/// boom
#[wasm_bindgen]
pub fn boom(s: &str) -> String { if s.len() > 2 { panic!("boom") } s.to_owned() }
/// Gate
#[wasm_bindgen]
pub struct Core { state: worker::State }
#[wasm_bindgen]
impl Core {
  /// new
  #[wasm_bindgen(constructor)]
  pub fn new(ctx: worker::worker_sys::DurableObjectState) -> Core { Core { state: worker::State::from(ctx) } }
  /// x
  pub fn rows(&self) -> u32 { self.state.storage().sql().exec("select 1 as x", None).map_or(0, |c| c.rows_read() as u32) }
}
/// cold
#[worker::event(fetch)]
pub async fn fetch(req: worker::Request, _env: worker::Env, _ctx: worker::Context) -> worker::Result<worker::Response> { worker::Response::ok(req.path()) }
