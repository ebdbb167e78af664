// Vercel's edge runtime: as workerd, by its own spelling.

// @ts-ignore: a bundle's module, which only its bundler can resolve
import module from "../hf_bg.wasm?module";

export { keep, kept } from "../../hf/kept.js";

/** @returns {Promise<import("../../module.js").InitSource>} */
export async function source() {
  return module;
}
