// A web app's own server: a plain page with an import map under a strict policy,
// the package's files as npm unpacked them, the official SDK in one file.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { build } from "esbuild";

const TYPES = /** @type {Record<string, string>} */ ({ ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html; charset=utf-8", ".bin": "application/octet-stream" });

const IMPORTS = JSON.stringify({
  imports: {
    "tollgate": "/tollgate/browser/index.js",
    "tollgate/element": "/tollgate/browser/element.js",
    "tollgate/worker": "/tollgate/browser/worker.js",
    "@anthropic-ai/sdk": "/sdk.js",
  },
});

const APP = `
import Anthropic from "@anthropic-ai/sdk";
import * as tollgate from "tollgate";
import { defineMeter } from "tollgate/element";
import { loadInWorker } from "tollgate/worker";
defineMeter();
window.app = { Anthropic, loadInWorker, ...tollgate };
`;

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>App</title>
<script type="importmap">${IMPORTS}</script>
<script type="module" src="/app.js"></script>
<main><label for="prompt">Prompt</label> <textarea id="prompt"></textarea>
<tollgate-meter for="prompt" model="claude-sonnet-5-5" max="100" label="Prompt"></tollgate-meter></main>`;

/**
 * @typedef {object} Site
 * @property {string} url
 * @property {string[]} seen paths that were asked for
 * @property {string} stalls the file in which it falls silent; none: ""
 * @property {() => Promise<void>} close
 */

/** Its own imports are for bundlers. @type {Promise<{outputFiles: import("esbuild").OutputFile[]}> | undefined} */
let sdk;

/**
 * @param {string} packageDir
 * @param {string} gate where the page may connect to
 * @returns {Promise<Site>}
 */
export async function site(packageDir, gate) {
  const { outputFiles } = await (sdk ??= build({ stdin: { contents: 'export { default } from "@anthropic-ai/sdk"', resolveDir: import.meta.dirname }, bundle: true, format: "esm", platform: "browser", write: false, logLevel: "error" }));
  /** @type {string[]} */
  const seen = [];
  const made = /** @type {Site} */ ({ seen, stalls: "" });
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://app");
    seen.push(pathname);
    const answer = (/** @type {string | Uint8Array} */ body, /** @type {string} */ type, more = {}) => {
      response.writeHead(200, { "content-type": type, "cache-control": "no-store", ...more });
      response.end(body);
    };
    if (pathname === "/") {
      const map = createHash("sha256").update(IMPORTS).digest("base64");
      const wasm = searchParams.has("without-wasm") ? "" : "'wasm-unsafe-eval' ";
      const policy = `default-src 'none'; script-src 'self' ${wasm}'sha256-${map}'; style-src 'self'; worker-src 'self'; connect-src 'self' ${gate}`;
      return answer(PAGE, TYPES[".html"], { "content-security-policy": policy });
    }
    if (pathname === "/app.js") return answer(APP, TYPES[".js"]);
    if (pathname === "/sdk.js") return answer(outputFiles[0].contents, TYPES[".js"]);
    try {
      const file = path.join(packageDir, path.normalize(pathname.replace(/^\/tollgate/, "")));
      const body = await readFile(file);
      if (path.basename(file) === made.stalls) {
        response.writeHead(200, { "content-type": TYPES[path.extname(file)], "content-length": body.length, "cache-control": "no-store" });
        return void response.write(body.subarray(0, 1000));
      }
      // A policy of its own rules in a web worker: the page's does not reach there.
      answer(body, TYPES[path.extname(file)] ?? "text/plain", { "content-security-policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'" });
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  made.url = `http://127.0.0.1:${port}`;
  made.close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return made;
}
