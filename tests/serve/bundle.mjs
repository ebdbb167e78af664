// The release bundle, and a Worker of a test's or benchmark's own around it.

import { cp, mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

/** Where `make build` leaves it. */
export const BUNDLE = new URL("../../dist/edge", import.meta.url).pathname;

/**
 * Bundles `worker`, which imports the release bundle as "edge".
 *
 * @param {string} worker its file
 * @param {string} out a directory that is not there yet
 * @returns {Promise<string>} `out`
 */
export async function wrap(worker, out) {
  await mkdir(out);
  for (const file of await readdir(BUNDLE)) {
    if (file.endsWith(".wasm")) await cp(path.join(BUNDLE, file), path.join(out, file));
  }
  await build({
    entryPoints: [worker],
    alias: { edge: path.join(BUNDLE, "entry.js") },
    external: ["*.wasm", "cloudflare:*", "node:*"],
    bundle: true,
    format: "esm",
    outfile: path.join(out, "entry.js"),
    logLevel: "error",
  });
  return out;
}
