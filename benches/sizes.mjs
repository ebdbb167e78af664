// The compressed size of each artifact that is built here, in KiB.

import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { BUNDLE } from "../tests/serve/bundle.mjs";

/** @typedef {{name: string, kib: number, goal: string}} Size */

/** @returns {Promise<Size[]>} */
export async function sizes() {
  const files = (await readdir(BUNDLE).catch(() => [])).filter((file) => /\.(js|wasm)$/.test(file));
  if (files.length === 0) return [];
  const bytes = await Promise.all(files.map((file) => readFile(path.join(BUNDLE, file))));
  const kib = (/** @type {(bytes: Buffer) => Buffer} */ pack) =>
    bytes.reduce((sum, part) => sum + pack(part).length, 0) / 1024;
  return [
    { name: "size.edge.gzip_kib", kib: kib((part) => gzipSync(part, { level: 9 })), goal: "<= 300" },
    { name: "size.edge.brotli_kib", kib: kib((part) => brotliCompressSync(part)), goal: "" },
  ];
}
