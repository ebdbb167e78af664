// The same for `require`: the path is written so that tracers of server bundles
// (Next.js, Vercel, Lambda) find the file.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** @returns {Promise<import("../module.js").InitSource>} */
export async function source() {
  return readFile(join(__dirname, "../client_bg.wasm"));
}

/**
 * @param {string} name
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary(name) {
  return readFile(join(__dirname, "../vocabularies", `${name}.bin`));
}
