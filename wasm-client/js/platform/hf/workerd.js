// Workers may not compile at run time: the module is imported, compiled before.

// @ts-ignore: a bundle's module, which only its bundler can resolve
import module from "../hf_bg.wasm";

export { keep, kept } from "../../hf/kept.js";

/** @returns {Promise<import("../../module.js").InitSource>} */
export async function source() {
  return module;
}
