// Where the contest is held: Node, in a process of its own, and Chromium. Both get
// the same program, put together by esbuild, and the same bytes.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { build } from "esbuild";
import { launch, noChromium } from "../../tests/browser/chromium.mjs";

const HERE = import.meta.dirname;
const CLIENT = path.join(HERE, "../../dist/client");

/**
 * What the contestants are made of, by name.
 *
 * @param {string} built the directory that `build` printed
 */
export function assets(built) {
  /** @type {Record<string, string>} */
  const files = {
    "client_bg.wasm": path.join(CLIENT, "client_bg.wasm"),
    "o200k_base.bin": path.join(CLIENT, "vocabularies/o200k_base.bin"),
    "tiktoken_bg.wasm": path.join(built, "node_modules/tiktoken/lite/tiktoken_bg.wasm"),
  };
  for (const name of ["fastokens", "tiktoken", "toktok"]) files[`${name}.wasm`] = path.join(built, `${name}.wasm`);
  return files;
}

/** What a page takes of each package to count by o200k (contestants.mjs). @type {Record<string, string>} */
const TAKEN = {
  tollgate: 'export { init, load } from "tollgate";',
  "gpt-tokenizer": 'export { countTokens, encode } from "gpt-tokenizer/encoding/o200k_base";',
  "ai-tokenizer": 'export { Tokenizer } from "ai-tokenizer"; export * as encoding from "ai-tokenizer/encoding/o200k_base";',
  "js-tiktoken": 'export { Tiktoken } from "js-tiktoken/lite"; export { default } from "js-tiktoken/ranks/o200k_base";',
  tiktoken: 'export * as lite from "tiktoken/lite/init"; export { default } from "tiktoken/encoders/o200k_base.json";',
};

/**
 * What a page downloads to count by o200k: its script, minified, and the files beside it.
 *
 * @param {string} name a contestant's
 * @param {string} built
 * @returns {Promise<Uint8Array[]>}
 */
export async function download(name, built) {
  const files = assets(built);
  const read = (/** @type {string[]} */ ...names) => names.map((name) => readFileSync(files[name]));
  if (name.endsWith("(crate)")) return read(`${name.split(" ")[0]}.wasm`, ...(name.startsWith("fastokens") ? ["o200k_base.bin"] : []));
  const { outputFiles } = await build({
    stdin: { contents: TAKEN[name], resolveDir: built },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "browser",
    conditions: ["browser", "import"],
    nodePaths: [path.join(built, "node_modules")],
    alias: { tollgate: path.join(CLIENT, "browser", "index.js") },
    external: ["node:*", "*.wasm"],
    logLevel: "error",
  });
  const beside = name === "tollgate" ? read("client_bg.wasm", "o200k_base.bin") : name === "tiktoken" ? read("tiktoken_bg.wasm") : [];
  return [...outputFiles.map(({ contents }) => contents), ...beside];
}

/**
 * @param {"node" | "browser"} platform
 * @param {string} built
 * @param {string} scratch
 */
export async function program(platform, built, scratch) {
  const outdir = path.join(scratch, platform);
  await build({
    entryPoints: (platform === "node" ? ["alone"] : ["contest", "first"]).map((name) => path.join(HERE, `${name}.mjs`)),
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    platform,
    conditions: platform === "node" ? ["node", "import"] : ["browser", "import"],
    nodePaths: [path.join(built, "node_modules")],
    alias: { tollgate: path.join(CLIENT, platform, "index.js") },
    external: ["node:*", "*.wasm"],
    logLevel: "error",
  });
  return outdir;
}

/**
 * @param {string} program
 * @param {unknown} input
 * @returns {Promise<any>} what it printed, as JSON
 */
export function inNode(program, input) {
  const child = spawn(process.execPath, ["--expose-gc", program], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(JSON.stringify(input));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(JSON.parse(output)) : reject(new Error(`${path.basename(program)} ended with ${code}`))));
  });
}

/**
 * Asks in Chromium, if there is one: each time in a page of a context of its own, so that it finds
 * nothing that was loaded, compiled or counted before. The contestants' bytes are there when it
 * begins, and their scripts in the context's cache.
 *
 * @param {string} dir the program's
 * @param {Record<string, string>} files
 * @param {(ask: (what: "contest" | "first", input: object) => Promise<any>) => Promise<void>} work
 */
export async function inChromium(dir, files, work) {
  if (noChromium) {
    console.error(`[bench] ${noChromium}`);
    return;
  }
  const scripts = readdirSync(dir).filter((name) => name.endsWith(".mjs"));
  const server = createServer((request, response) => {
    const name = (request.url ?? "/").slice(1);
    const file = files[name] ?? (scripts.includes(name) ? path.join(dir, name) : undefined);
    response.setHeader("content-type", file === undefined ? "text/html" : scripts.includes(name) ? "text/javascript" : "application/octet-stream");
    if (scripts.includes(name)) response.setHeader("cache-control", "max-age=3600");
    // With these a page's clock ticks in microseconds, not tenths of milliseconds.
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    response.end(file === undefined ? "<!doctype html><title>bench</title>" : readFileSync(file));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)));
  const browser = await launch();
  try {
    await work(async (what, input) => {
      const context = await browser.newContext();
      const page = await context.newPage();
      page.on("console", (message) => console.error(message.text()));
      page.setDefaultTimeout(0);
      await page.goto(`http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/`);
      const answer = await page.evaluate(
        async ({ what, names, scripts, ...input }) => {
          const read = async (/** @type {string} */ name) => new Uint8Array(await (await fetch(`/${name}`)).arrayBuffer());
          const bytes = Object.fromEntries(await Promise.all(names.map(async (/** @type {string} */ name) => [name, await read(name)])));
          await Promise.all(scripts.map(read));
          const program = await import(/** @type {any} */ (`/${what}.mjs`));
          return program[what]({ ...input, bytes: (/** @type {string} */ name) => bytes[name], say: (/** @type {string} */ line) => console.log(`[bench] chromium: ${line}`) });
        },
        /** @type {any} */ ({ what, names: Object.keys(files), scripts, ...input }),
      );
      await context.close();
      return answer;
    });
  } finally {
    await browser.close();
    server.close();
  }
}
