// The browser's store of whole answers (Cache API): none where there is none, or it is
// forbidden.

/**
 * @param {string} name
 * @returns {Promise<Cache | undefined>}
 */
export async function storeOf(name) {
  try {
    return await globalThis.caches?.open(name);
  } catch {
    return undefined;
  }
}
