// The packed tarball in Node, as a module and by require, on workerd, and as the
// `tollgate` command.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { bundled, project, workerd } from "./pack.mjs";

/** @type {import("./pack.mjs").Project} */
let app;
before(async () => {
  app = await project();
});
after(() => app?.remove());

const TEXT = "The gate decides, the worker carries.";
/** As the source counts it: every runtime must agree. */
const EXPECTED = await (async () => {
  const { init, load } = await import("./source.mjs");
  await init();
  return (await load("claude-sonnet-5-5")).count(TEXT);
})();

/** @param {{code: number, out: string, err: string}} ran */
function printed({ code, out, err }) {
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

const USE = `
  const counter = await load("claude-sonnet-5-5");
  let sent = 0;
  const guarded = guard({ limits: { requests_day: 1 }, fetch: async () => (sent++, new Response("{}", { headers: { "content-type": "application/json" } })) });
  const call = () => guarded("https://api.example.com/v1/messages", { method: "POST", body: JSON.stringify({ model: "claude-sonnet-5-5", max_tokens: 5, messages: [{ role: "user", content: "Hi" }] }) });
  const statuses = [await call(), await call()].map((response) => [response.status, response.headers.get("x-tollgate-local")]);
  const told = { count: counter.count(${JSON.stringify(TEXT)}), statuses, sent };`;
const TOLD = { count: EXPECTED, statuses: [[200, null], [429, "1"]], sent: 1 };

test("Node, as a module", async () => {
  const file = await app.write("esm.mjs", `import { guard, load } from "tollgate";${USE}\nconsole.log(JSON.stringify(told));`);
  assert.deepEqual(printed(await app.run(process.execPath, [file])), TOLD);
});

test("Node, by require", async () => {
  const file = await app.write("require.cjs", `const { guard, load } = require("tollgate");\n(async () => {${USE}\nconsole.log(JSON.stringify(told));})();`);
  assert.deepEqual(printed(await app.run(process.execPath, [file])), TOLD);
});

test("within the script itself, both ways", async () => {
  const esm = await app.write("inline.mjs", `import { guard, load } from "tollgate/inline";${USE}\nconsole.log(JSON.stringify(told));`);
  const cjs = await app.write("inline.cjs", `const { guard, load } = require("tollgate/inline");\n(async () => {${USE}\nconsole.log(JSON.stringify(told));})();`);
  assert.deepEqual([printed(await app.run(process.execPath, [esm])), printed(await app.run(process.execPath, [cjs]))], [TOLD, TOLD]);
});

test("each vocabulary is found by Node, as a module and by require, and may be given", async () => {
  const { Tiktoken } = await import("./tiktoken.mjs");
  const names = ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"];
  const expected = names.map((name) => Tiktoken(name).encode_ordinary(TEXT).length);
  const use = `Promise.all(${JSON.stringify(names)}.map((name) => load(name))).then((all) => console.log(JSON.stringify(all.map(({ count }) => count(${JSON.stringify(TEXT)})))));`;
  const esm = await app.write("vocabulary.mjs", `import { load } from "tollgate"; ${use}`);
  const cjs = await app.write("vocabulary.cjs", `const { load } = require("tollgate"); ${use}`);
  assert.deepEqual([printed(await app.run(process.execPath, [esm])), printed(await app.run(process.execPath, [cjs]))], [expected, expected]);
  const inline = await app.write("given.mjs", `import { load } from "tollgate/inline"; import { readFileSync } from "node:fs";
    const without = await load("o200k_base").catch((error) => error.message);
    const { count } = await load("o200k_base", { vocabulary: readFileSync(new URL(import.meta.resolve("tollgate/vocabularies/o200k_base.bin"))) });
    console.log(JSON.stringify([without, count(${JSON.stringify(TEXT)})]));`);
  const [without, count] = printed(await app.run(process.execPath, [inline]));
  assert.match(without, /import "tollgate\/vocabularies\/o200k_base\.bin"/);
  assert.equal(count, expected[0]);
});

test("Node starts by its own means: the web's, which it brings in when they are named, take longer than all the rest", async () => {
  const gone = 'for (const name of ["DecompressionStream", "Response", "Blob", "crypto"]) Object.defineProperty(globalThis, name, { get: () => { throw new Error(`${name} was named`); } });';
  const use = `const o200k = await load("o200k_base"); console.log(o200k.count(${JSON.stringify(TEXT)}));`;
  const esm = await app.write("own.mjs", `import { load } from "tollgate";\n${gone}\n${use}`);
  const cjs = await app.write("own.cjs", `const { load } = require("tollgate");\n${gone}\n(async () => { ${use} })();`);
  const { Tiktoken } = await import("./tiktoken.mjs");
  const expected = Tiktoken("o200k_base").encode_ordinary(TEXT).length;
  for (const file of [esm, cjs]) assert.equal(printed(await app.run(process.execPath, [file])), expected);
});

test("nothing happens by importing it, and the process ends when its work is done", async () => {
  const file = await app.write("idle.mjs", `import { guard } from "tollgate"; guard({ limits: "https://gate.example.com/v1/limits" }); console.log(JSON.stringify(process.getActiveResourcesInfo().filter((what) => /Timeout|TCP|Message/.test(what))));`);
  assert.deepEqual(printed(await app.run(process.execPath, [file])), []);
});

test("a Cloudflare Worker, bundled by wrangler, on workerd", async () => {
  const bundle = await bundled(app, `import { guard, load } from "tollgate";\nimport vocabulary from "tollgate/vocabularies/o200k_base.bin";\nexport default { async fetch() {${USE}\nreturn Response.json({ ...told, exact: (await load("o200k_base", { vocabulary })).count("Hello, world") }); } };`);
  assert.equal(bundle.files.filter((file) => file.endsWith(".wasm")).length, 1, `the module is a file of its own: ${bundle.files}`);
  const miniflare = await workerd(bundle);
  try {
    const response = await miniflare.dispatchFetch("http://app/");
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.deepEqual(JSON.parse(text), { ...TOLD, exact: 3 });
  } finally {
    await miniflare.dispose();
  }
});

test("a damaged or cut module is a rejected promise, and a whole one may follow", async () => {
  const file = await app.write(
    "damaged.mjs",
    `import { readFileSync } from "node:fs"; import { init, load } from "tollgate";
    const whole = readFileSync(new URL(import.meta.resolve("tollgate/client_bg.wasm")));
    const told = [];
    for (const bytes of [whole.subarray(0, whole.length >> 1), Buffer.from("<html>"), Buffer.alloc(0)]) await init(bytes).catch(({ name, code }) => told.push([name, code]));
    await init(whole); told.push((await load("claude-sonnet-5-5")).count("Hi"));
    console.log(JSON.stringify(told));`,
  );
  const told = printed(await app.run(process.execPath, [file]));
  assert.deepEqual(told.slice(0, 3), Array(3).fill(["TollgateError", "no_wasm"]));
  assert.ok(told[3] > 0);
});

test("the module comes from an address, a response, bytes or a module, at once or later; the first one stays", async () => {
  const sources = {
    "none named": "init()",
    "an address": 'init("data:application/wasm;base64," + bytes.toString("base64"))',
    "a URL": 'init(new URL("data:application/wasm;base64," + bytes.toString("base64")))',
    "a response": 'init(new Response(bytes, { headers: { "content-type": "application/wasm" } }))',
    "a promise of a response": 'init(Promise.resolve(new Response(bytes, { headers: { "content-type": "application/wasm" } })))',
    "bytes": "init(bytes)",
    "a buffer": "init(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))",
    "a module": "init(await WebAssembly.compile(bytes))",
    "bytes, at once": "initSync(bytes)",
    "a module, at once": "initSync(new WebAssembly.Module(bytes))",
  };
  const told = await Promise.all(
    Object.entries(sources).map(async ([name, source]) => {
      const file = await app.write(
        `${name.replaceAll(/\W+/g, "-")}.mjs`,
        `import { readFileSync } from "node:fs"; import { init, initSync, models } from "tollgate";
        const bytes = readFileSync(new URL(import.meta.resolve("tollgate/client_bg.wasm")));
        const first = ${source};
        await init("https://nowhere.invalid/"); await first; initSync(Buffer.from("no module")); await init("https://nowhere.invalid/");
        console.log(JSON.stringify(models().length > 3));`,
      );
      return [name, printed(await app.run(process.execPath, [file]))];
    }),
  );
  assert.deepEqual(told, Object.keys(sources).map((name) => [name, true]));
});

test("its types are found from each side, and fit what it does", async () => {
  await app.write("types.mts", `import { guard, load, type Measure } from "tollgate"; import { defineMeter } from "tollgate/element"; import { loadInWorker } from "tollgate/worker"; import { useTokenCount } from "tollgate/react";
    const measure: Measure = (await load("claude-sonnet-5-5")).measure({ messages: [] });
    const fetch: typeof globalThis.fetch = guard({ limits: { rpm: 5 } });
    // @ts-expect-error: no such limit
    guard({ limits: { rpms: 5 } });
    export { defineMeter, fetch, loadInWorker, measure, useTokenCount };`);
  await app.write("types.cts", `import tollgate = require("tollgate"); tollgate.load("claude-opus-5-5").then(({ count }) => count("x").toFixed());`);
  const checked = await app.run("tsc", ["--noEmit", "--strict", "--skipLibCheck", "false", "--module", "nodenext", "--target", "es2024", "--types", "", "types.mts", "types.cts"]);
  assert.equal(checked.code, 0, checked.out);
});

test("the meter has its type in TSX", async () => {
  // As @types/react has them, as far as they matter.
  const react = 'export interface HTMLAttributes<T> { className?: string; ref?: (element: T | null) => void }\nexport type DetailedHTMLProps<E, T> = E & { key?: string };\nexport namespace JSX { interface Element {} interface IntrinsicElements { p: HTMLAttributes<HTMLElement> } }';
  await app.write("node_modules/@types/react/package.json", JSON.stringify({ name: "@types/react", version: "19.0.0", types: "index.d.ts", exports: { ".": "./index.d.ts", "./jsx-runtime": "./jsx-runtime.d.ts" } }));
  await app.write("node_modules/@types/react/index.d.ts", react);
  await app.write("node_modules/@types/react/jsx-runtime.d.ts", 'import * as React from "./index.js"; export namespace JSX { interface Element extends React.JSX.Element {} interface IntrinsicElements extends React.JSX.IntrinsicElements {} }');
  await app.write("meter.tsx", `import type {} from "tollgate/jsx";
    export const right = [<tollgate-meter for="prompt" />, <tollgate-meter for="prompt" className="wide" max={20_000} request={{ system: "Be kind." }} ref={(meter) => meter?.measure?.estimate.toFixed()} />];
    // @ts-expect-error: a meter is for a field
    export const wrong = <tollgate-meter max="many" />;`);
  const checked = await app.run("tsc", ["--noEmit", "--strict", "--skipLibCheck", "false", "--module", "nodenext", "--target", "es2024", "--jsx", "react-jsx", "--types", "", "meter.tsx"]);
  assert.equal(checked.code, 0, checked.out);
});

test("the command: files, standard input, JSON, and clear words for what is wrong", async () => {
  const bin = path.join(app.dir, "node_modules/.bin/tollgate");
  await app.write("a.txt", TEXT);
  const count = (/** @type {string[]} */ args, input = "") => app.run(bin, ["count", ...args], { input });
  assert.deepEqual(await count(["a.txt"]), { code: 0, out: `${String(EXPECTED).padStart(10)} a.txt\n`, err: "" });
  assert.equal((await count([], TEXT)).out, `${String(EXPECTED).padStart(10)} -\n`);
  const json = (await count(["--json", "--model", "claude-haiku-4-5", "a.txt", "-"], TEXT)).out.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(json.map(({ file, model, exact }) => [file, model, exact]), [["a.txt", "claude-haiku-4-5", false], ["-", "claude-haiku-4-5", false]]);
  assert.ok(json.every(({ lower, estimate, upper }) => lower <= estimate && estimate <= upper));
  const missing = await count(["a.txt", "nowhere.txt"]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /nowhere\.txt/);
  assert.match(missing.out, /total/);
  for (const [args, words] of /** @type {[string[], RegExp][]} */ ([[["--model", "gpt-9"], /"gpt-9" is not known/], [["--no"], /Usage/], [["--out", "b.json", "a.txt"], /^count takes no --out\.\n\nUsage/]])) {
    const wrong = await count(args);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, words);
  }
  const stray = await app.run(bin, ["calibrate", "--json", "a.txt"]);
  assert.deepEqual([stray.code, /^calibrate takes no --json\.\n\nUsage/.test(stray.err)], [2, true], stray.err);
  assert.equal((await app.run(bin, [])).code, 2);
  // Whoever reads its output may leave, as head does.
  const left = await app.run("sh", ["-c", `"${bin}" count ${"a.txt ".repeat(500)} | true`]);
  assert.equal(left.err, "");
});

test("the tarball has what it needs and nothing else", async () => {
  const dir = path.join(app.dir, "node_modules/tollgate");
  const manifest = JSON.parse(await readFile(path.join(dir, "package.json"), "utf8"));
  assert.equal(manifest.sideEffects, false);
  assert.equal(manifest.dependencies, undefined);
  // Every path that it exports is there.
  /** @type {(value: any) => string[]} */
  const paths = (value) => (typeof value === "string" ? [value] : Object.values(value).flatMap(paths));
  for (const file of [...paths(manifest.exports), ...paths(manifest.bin)]) await readFile(path.join(dir, file.replace("*", "o200k_base")));
  const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => path.relative(dir, path.join(entry.parentPath, entry.name)));
  assert.deepEqual(files.filter((file) => /test|\.rs$|\.map$|glue|shim/.test(file)), []);
  assert.doesNotMatch(await readFile(path.join(dir, "README.md"), "utf8"), /\]\(\.\.\//);
  for (const needed of ["README.md", "docs/browser.md", "docs/errors.md", "LICENSE-MIT", "LICENSE-APACHE"]) assert.ok(files.includes(needed), needed);
  // Each platform has one copy of the module, the same.
  const wasm = createHash("sha256").update(await readFile(path.join(dir, "client_bg.wasm"))).digest("hex");
  const built = createHash("sha256").update(await readFile(new URL("../build/client_bg.wasm", import.meta.url))).digest("hex");
  assert.equal(wasm, built);
});

test("what a page downloads stays as small as it is said to be", async () => {
  const file = (/** @type {string} */ name) => readFile(path.join(app.dir, "node_modules/tollgate", name));
  const [core, o200k, cl100k] = await Promise.all(["client_bg.wasm", "vocabularies/o200k_base.bin", "vocabularies/cl100k_base.bin"].map(file));
  const scripts = await imported("browser/index.js", file);
  const packed = { core: brotliCompressSync(core).length, o200k: o200k.length, cl100k: cl100k.length };
  const kib = (/** @type {number} */ bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
  console.log(`# a page downloads: core wasm ${kib(packed.core)} brotli, its scripts ${kib(brotliCompressSync(scripts).length)} brotli; o200k ${kib(packed.o200k)} gzip, cl100k ${kib(packed.cl100k)} gzip`);
  for (const [name, most] of /** @type {const} */ ([["core", 60_000], ["o200k", 730_000], ["cl100k", 342_000]])) assert.ok(packed[name] <= most, `${name}: ${packed[name]} bytes of ${most}`);
});

/**
 * A script and all that it imports.
 *
 * @param {string} name
 * @param {(name: string) => Promise<Buffer>} file
 * @param {Set<string>} [seen]
 * @returns {Promise<Buffer>}
 */
async function imported(name, file, seen = new Set()) {
  seen.add(name);
  const script = await file(name);
  const parts = [script];
  for (const [, other] of script.toString().matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) {
    const next = path.posix.join(path.posix.dirname(name), other);
    if (!seen.has(next)) parts.push(await imported(next, file, seen));
  }
  return Buffer.concat(parts);
}
