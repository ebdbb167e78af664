// Bytes as hexadecimal: random ones, and hashes.

import { digest } from "#bytes";

/** @param {number} bytes */
export function randomHex(bytes) {
  return hex(crypto.getRandomValues(new Uint8Array(bytes)));
}

/**
 * @param {BufferSource} bytes
 * @returns {Promise<string | null>} null without a secure context, where nothing hashes
 */
export async function sha256(bytes) {
  const hash = await digest(bytes);
  return hash && hex(hash);
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
