// Where the module is for Node: a file, as its fetch takes no file: addresses.
//
// By a path and not by `new URL(…, import.meta.url)`: bundlers of server code
// (Next.js) put the address of a public asset in its place, which no file has.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** @returns {Promise<import("../module.js").InitSource>} */
export async function source() {
  return readFile(join(here(), "../client_bg.wasm"));
}

/**
 * @param {string} name
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary(name) {
  return readFile(join(here(), "../vocabularies", `${name}.bin`));
}

function here() {
  return dirname(fileURLToPath(import.meta.url));
}
