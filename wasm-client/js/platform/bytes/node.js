// The same for Node, by its own means: the web's are brought in when they are first
// named, and that takes longer than all of the counter's start. Its own take a third of
// it, so they come with the first vocabulary: a counter for Claude needs none.

/**
 * @param {Uint8Array<ArrayBuffer>} bytes gzip
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function gunzip(bytes) {
  const { gunzipSync } = await import("node:zlib");
  return gunzipSync(bytes);
}

/**
 * @param {BufferSource} bytes
 * @returns {Promise<Uint8Array | null>}
 */
export async function digest(bytes) {
  const view = ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
  const { createHash } = await import("node:crypto");
  return createHash("sha256").update(view).digest();
}
