// The sources under test, and the module that was built for them.

import { readFile } from "node:fs/promises";
import { init as start } from "../js/index.js";

export * from "../js/index.js";

/**
 * As in the package, where the module lies elsewhere than beside the sources.
 *
 * @param {import("../types/index.js").InitSource} [source]
 */
export async function init(source) {
  await start(source ?? (await readFile(new URL("../build/client_bg.wasm", import.meta.url))));
}
