// Vercel's edge runtime: as workerd, by its own spelling.

// @ts-ignore: a bundle's module, which only its bundler can resolve
import module from "../client_bg.wasm?module";

/** @returns {Promise<import("../module.js").InitSource>} */
export async function source() {
  return module;
}

/**
 * As on workerd: the caller imports it.
 *
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary() {
  return null;
}
