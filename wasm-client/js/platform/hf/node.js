// Where the module of tollgate/hf is for Node: by a path, as in ../node.js.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export { keep, kept } from "../../hf/files.js";

/** @returns {Promise<import("../../module.js").InitSource>} */
export async function source() {
  return readFile(join(dirname(fileURLToPath(import.meta.url)), "../hf_bg.wasm"));
}
