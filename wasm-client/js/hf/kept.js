// Compact forms of tokenizers, kept by the browser or the Worker (Cache API).

import { storeOf } from "../store.js";

const CACHE = "tollgate-tokenizers";

/**
 * @param {string} name
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>}
 */
export async function kept(name) {
  const answer = await (await storeOf(CACHE))?.match(address(name)).catch(() => undefined);
  return answer ? new Uint8Array(await answer.arrayBuffer()) : null;
}

/**
 * A store that is full is none.
 *
 * @param {string} name
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
export async function keep(name, bytes) {
  await (await storeOf(CACHE))?.put(address(name), new Response(bytes)).catch(() => {});
}

/**
 * No server has it: the store wants an address.
 *
 * @param {string} name
 */
function address(name) {
  return `https://tollgate.invalid/tokenizers/${name}`;
}
