// Where the module is for Node: a file, as its fetch takes no file: addresses.

import { readFile } from "node:fs/promises";

export const platform = "node";

/** @returns {Promise<import("../core.js").InitSource>} */
export async function source() {
  return readFile(new URL("../client_bg.wasm", import.meta.url));
}

/**
 * @param {string} name
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary(name) {
  return readFile(new URL(`../vocabularies/${name}.bin`, import.meta.url));
}
