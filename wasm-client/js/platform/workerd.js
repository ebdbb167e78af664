// Workers may not compile at run time: the module is imported, compiled before.

// @ts-ignore: a bundle's module, which only its bundler can resolve
import module from "../client_bg.wasm";

/** @returns {Promise<import("../module.js").InitSource>} */
export async function source() {
  return module;
}

/**
 * What a Worker's script does not import, it does not have: the caller imports it.
 *
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary() {
  return null;
}
