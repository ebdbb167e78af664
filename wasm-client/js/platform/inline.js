// The module within the script, for what can bring no second file. A third larger,
// and of no use where compiling at run time is forbidden (Workers).

// @ts-ignore: build.mjs puts the module's base64 here
import base64 from "#inline";

/** @returns {Promise<import("../module.js").InitSource>} */
export async function source() {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

/**
 * No second file, so the caller brings it.
 *
 * @returns {Promise<URL | Uint8Array | null>}
 */
export async function vocabulary() {
  return null;
}
