// Where the module is for pages and web workers: beside the package, found by the
// pattern that bundlers know, too.

export const platform = "browser";

/** @returns {Promise<import("../core.js").InitSource>} */
export async function source() {
  return new URL("../client_bg.wasm", import.meta.url);
}
