// Compact forms of tokenizers, kept by Node: files in the user's cache directory.

import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * @param {string} name
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>}
 */
export async function kept(name) {
  return readFile(join(directory(), name)).catch(() => null);
}

/**
 * Whole or not at all: others may be reading. A directory that cannot be written is
 * none.
 *
 * @param {string} name
 * @param {Uint8Array} bytes
 */
export async function keep(name, bytes) {
  const partial = join(directory(), `${name}.${randomBytes(6).toString("hex")}`);
  try {
    await mkdir(directory(), { recursive: true });
    await writeFile(partial, bytes);
    await rename(partial, join(directory(), name));
  } catch {
    await rm(partial, { force: true }).catch(() => {});
  }
}

function directory() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tollgate/tokenizers");
}
