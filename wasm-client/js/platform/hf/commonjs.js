// The same for `require`, as in ../commonjs.js.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

export { keep, kept } from "../../hf/files.js";

/** @returns {Promise<import("../../module.js").InitSource>} */
export async function source() {
  return readFile(join(__dirname, "../hf_bg.wasm"));
}
