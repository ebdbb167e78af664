// Where the module of tollgate/hf is for pages and web workers, and what keeps what
// it made.

export { keep, kept } from "../../hf/kept.js";

/** @returns {Promise<import("../../module.js").InitSource>} */
export async function source() {
  return new URL("../hf_bg.wasm", import.meta.url);
}
