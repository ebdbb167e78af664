// Where the module is for pages and web workers: beside the package, found by the
// pattern that bundlers know, too.

/** @returns {Promise<import("../module.js").InitSource>} */
export async function source() {
  return new URL("../client_bg.wasm", import.meta.url);
}

/**
 * Written out one by one: bundlers look for exactly this, and bring only these.
 *
 * @param {string} name
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary(name) {
  switch (name) {
    case "o200k_base":
      return new URL("../vocabularies/o200k_base.bin", import.meta.url);
    case "cl100k_base":
      return new URL("../vocabularies/cl100k_base.bin", import.meta.url);
    case "p50k_base":
      return new URL("../vocabularies/p50k_base.bin", import.meta.url);
    case "r50k_base":
      return new URL("../vocabularies/r50k_base.bin", import.meta.url);
    default:
      return null;
  }
}
