// Workers may not compile at run time: the module is imported, compiled before.

// @ts-ignore: a bundle's module, which only its bundler can resolve
import module from "../client_bg.wasm";

export const platform = "workerd";

/** @returns {Promise<import("../core.js").InitSource>} */
export async function source() {
  return module;
}
