// An image's size, from the first bytes of its file: PNG, GIF, WebP, JPEG.

/** A JPEG's size may stand behind its preview and profile; after these it is not looked for. */
const HEAD_BYTES_MAX = 256 << 10;

/**
 * @param {string} base64
 * @returns {{width: number, height: number} | null} null: none that is known
 */
export function pixelsOf(base64) {
  let bytes;
  try {
    // Whole groups of four characters.
    bytes = Uint8Array.from(atob(base64.slice(0, (HEAD_BYTES_MAX / 3) << 2)), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
  const view = new DataView(bytes.buffer);
  const name = (/** @type {number} */ at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  const size = (/** @type {number} */ width, /** @type {number} */ height) => (width > 0 && height > 0 ? { width, height } : null);
  try {
    if (name(1).startsWith("PNG")) return size(view.getUint32(16), view.getUint32(20));
    if (name(0) === "GIF8") return size(view.getUint16(6, true), view.getUint16(8, true));
    if (name(8) === "WEBP") {
      const lossless = () => view.getUint32(21, true);
      if (name(12) === "VP8X") return size((view.getUint32(24, true) & 0xffffff) + 1, (view.getUint32(26, true) >>> 8 & 0xffffff) + 1);
      if (name(12) === "VP8L") return size((lossless() & 0x3fff) + 1, ((lossless() >>> 14) & 0x3fff) + 1);
      return size(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
    }
    if (view.getUint16(0) !== 0xffd8) return null;
    for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
      const marker = bytes[at + 1];
      // Start of a frame; C4, C8 and CC are tables.
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return size(view.getUint16(at + 7), view.getUint16(at + 5));
      if (bytes[at] !== 0xff) return null;
    }
  } catch {
    return null;
  }
}
