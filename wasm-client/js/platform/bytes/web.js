// What the platform does with bytes: unpacks and hashes them.

/**
 * @param {Uint8Array<ArrayBuffer>} bytes gzip
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function gunzip(bytes) {
  const { readable, writable } = new DecompressionStream("gzip");
  // Written by hand: browsers bring a Blob's bytes from another process.
  const writer = writable.getWriter();
  // What is wrong with the bytes, reading tells as well.
  for (const written of [writer.write(bytes), writer.close()]) written.catch(() => {});
  return new Uint8Array(await new Response(readable).arrayBuffer());
}

/**
 * @param {BufferSource} bytes
 * @returns {Promise<Uint8Array | null>} null without a secure context, where nothing hashes
 */
export async function digest(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
