// The wasm module, and what to do when it traps.
//
// A trap (a panic, out of memory) loses all wasm memory of the isolate: the
// glue re-instantiates the module at the next call, and objects made before
// throw. Whoever holds such an object asks `epoch()` whether it still lives.
import * as glue from "../build/edge.js";
import module from "../build/edge_bg.wasm";

const { Passage, GateCore, GateMethod, Step, Close, Unread, Claim, initSync } = glue;
initSync({ module });

let instance = 0;
let configured = -1;
let place = [];

/** Grows with every re-initialisation. */
export function epoch() {
  return instance;
}

/**
 * To be called with everything that a wasm call threw. After a trap the module
 * is re-instantiated at once: the glue writes a call's strings into memory
 * before it checks, so waiting for the next call would corrupt the new memory.
 */
export function trapped(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return false;
  complain("wasm_trap", error);
  glue.__wbg_reset_state();
  instance += 1;
  return true;
}

/** Logs what failed and is the client's no business, or not all of it. */
export function complain(event, error, more) {
  console.error(JSON.stringify({ event, ...more, message: String(error?.message ?? error) }));
}

/** Hands the isolate its settings and secrets, once per wasm instance. */
export function ready(env, request) {
  if (configured === instance) return;
  // Cloudflare alone gives requests this, and no client can (workerd, 2026-11).
  glue.configure(env, request.cf !== undefined);
  place = glue.gate_place().split("\0");
  configured = instance;
}

/** The Gate's name, location hint and jurisdiction. */
export function gatePlace() {
  return place;
}

/** Only in builds with the feature `debug-panic`: traps. */
export const debugPanic = Object.entries(glue).find(([name]) => name === "debug_panic")?.[1];

/** What the isolate holds of lent tickets. */
export const leases = { returns: glue.returns, lent_until: glue.lent_until };

/** What an idempotency key is to a request: edge/src/objects/relay.rs. */
export const decideClaim = glue.claim;

/** Reads a reply that nobody waits for: true where the Gate has restarted. */
export const heard = glue.heard;

export { Passage, GateCore, GateMethod, Step, Close, Unread, Claim };
