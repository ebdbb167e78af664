// `make bench-tokens`: our counter beside others in JavaScript and wasm, in Node and
// in Chromium, each in one interleaved run. docs/counting.md explains each line.
//
//     node benches/tokens/bench.mjs [--rounds N] [--hosts node,chromium] [--built DIR]
//
// DIR is what benches/tokens/build printed; without it that is run first.
//
// Writes target/bench-tokens.json, which charts.mjs draws. It never gates.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { median } from "../press.mjs";
import { contestants } from "./contestants.mjs";
import { assets, download, inChromium, inNode, program } from "./hosts.mjs";
import { rows } from "./texts.mjs";

/** @typedef {import("./contest.mjs").Result} Result */

const { values: args } = parseArgs({ options: { rounds: { type: "string", default: "9" }, hosts: { type: "string", default: "node,chromium" }, built: { type: "string" } } });
const ROOT = path.join(import.meta.dirname, "../..");
/** Processes, and pages, for each first count. */
const FIRST = 5;
/** @type {Record<string, {goal: number, vs: "js" | "wasm"}[]>} issue's goals, by row */
const COUNT_GOALS = {
  code: [{ goal: 10, vs: "js" }, { goal: 1, vs: "wasm" }],
  prose: [{ goal: 10, vs: "js" }, { goal: 1, vs: "wasm" }],
  chat: [{ goal: 8, vs: "js" }, { goal: 1, vs: "wasm" }],
  mixed: [{ goal: 5, vs: "js" }, { goal: 1, vs: "wasm" }],
  ...Object.fromEntries(["json", "spaces", "letter20k", "letter1m"].map((row) => [row, [{ goal: 1, vs: "wasm" }]])),
  ...Object.fromEntries(["code", "prose", "chat", "mixed", "json", "spaces"].map((row) => [`fresh_${row}`, [{ goal: 1.1, vs: "wasm" }]])),
};
const ENCODE_GOAL = 3;

const scratch = mkdtempSync(path.join(tmpdir(), "tollgate-bench-tokens-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
const built = args.built ?? execFileSync(path.join(import.meta.dirname, "build"), { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
const files = assets(built);
const absent = contestants.filter(({ kind, name }) => kind === "wasm" && !existsSync(files[`${name.split(" ")[0]}.wasm`])).map(({ name }) => name);
for (const name of absent) {
  delete files[`${name.split(" ")[0]}.wasm`];
  console.log(`${name} is left out, for it did not build: ${readFileSync(path.join(built, `${name.split(" ")[0]}.log`), "utf8").trim().split("\n").at(-1)}`);
}
const texts = rows();

/** @type {{name: string, value: number, goal: string}[]} */
const figures = [];
/** @type {Record<string, any>} */
const report = { cpu: cpus()[0]?.model ?? "", node: process.version, hosts: {}, first: {}, sizes: {} };
const input = { rows: texts, absent, rounds: Number(args.rounds) };
const hosts = args.hosts.split(",");
if (hosts.includes("node")) {
  const dir = await program("node", built, scratch);
  const ask = (/** @type {object} */ one) => inNode(path.join(dir, "alone.mjs"), { ...one, files });
  told("node", await ask(input));
  await firstCounts("node", ask);
}
if (hosts.includes("chromium")) {
  const dir = await program("browser", built, scratch);
  await inChromium(dir, files, async (ask) => {
    told("chromium", await ask("contest", input));
    await firstCounts("chromium", (one) => ask("first", one));
  });
}
await sizes();
line("figure", "value", "goal");
const known = figures.filter(({ value }) => Number.isFinite(value));
for (const { name, value, goal } of known) line(name, value.toFixed(2), goal);
console.log();
for (const { name, value } of known) console.log(`ratio ${name} ${value.toFixed(3)}`);
mkdirSync(path.join(ROOT, "target"), { recursive: true });
writeFileSync(path.join(ROOT, "target/bench-tokens.json"), JSON.stringify({ ...report, figures: known }, null, 1));

/**
 * A host's table, and its ratios.
 *
 * @param {string} host
 * @param {Result[]} results
 */
function told(host, results) {
  report.hosts[host] = results;
  const names = contestants.map(({ name }) => name).filter((name) => !absent.includes(name));
  console.log(`\n${host}: million UTF-16 units a second, the fastest slice; "*": its tokens differ from OpenAI's\n`);
  line("", ...names);
  for (const task of /** @type {const} */ (["count", "encode"])) {
    for (const row of new Set(results.filter((result) => result.task === task).map(({ row }) => row))) {
      const of = (/** @type {string} */ name) => results.find((result) => result.task === task && result.row === row && result.name === name);
      const right = of("tiktoken")?.tokens ?? [];
      line(
        `${task} ${row}`,
        ...names.map((name) => {
          const { speeds, tokens } = of(name) ?? { speeds: [], tokens: [] };
          return speeds.length ? `${Math.max(...speeds).toFixed(1)}${tokens.every((count, i) => count === (right[i] ?? count)) ? " " : "*"}` : "too slow ";
        }),
      );
      const ours = of("tollgate");
      const best = (/** @type {string} */ kind) =>
        Math.min(...results.filter((result) => result.task === task && result.row === row && result.kind === kind && result.speeds.length).map((peer) => Math.max(...(ours?.speeds ?? [])) / Math.max(...peer.speeds)));
      const goalOf = (/** @type {string} */ vs) => COUNT_GOALS[row]?.find((one) => one.vs === vs)?.goal;
      if (task === "encode") figures.push({ name: `${host}.encode.${row}.vs_best_js`, value: best("js"), goal: `>= ${ENCODE_GOAL}` });
      else for (const vs of ["js", "wasm"]) figures.push({ name: `${host}.count.${row}.vs_best_${vs}`, value: best(vs), goal: goalOf(vs) ? `>= ${goalOf(vs)}` : "" });
    }
  }
}

/**
 * @param {string} host
 * @param {(one: {name: string, text: string}) => Promise<Record<string, number>>} ask a process or a page that is new each time
 */
async function firstCounts(host, ask) {
  const text = texts.find(({ name }) => name === "prose")?.again[0] ?? "";
  console.log(`\n${host}, each in a ${host === "node" ? "process" : "page"} of its own: bytes to first count; memory after ${(text.length / 1000).toFixed(0)},000 units of prose\n`);
  line("", "first count ms", "wasm MiB", ...(host === "node" ? ["process +MiB"] : []));
  report.first[host] = {};
  for (const { name, kind } of contestants.filter(({ name }) => !absent.includes(name))) {
    /** @type {Record<string, number>[]} */
    const runs = [];
    for (let i = 0; i < FIRST; i++) runs.push(await ask({ name, text }));
    const of = (/** @type {string} */ what) => median(runs.map((run) => run[what]));
    report.first[host][name] = { ms: of("first_count_ms"), wasm_mib: of("linear_mib"), ...(host === "node" && { rss_mib: of("rss_mib") }) };
    line(name, of("first_count_ms").toFixed(0), of("linear_mib").toFixed(1), ...(host === "node" ? [of("rss_mib").toFixed(0)] : []));
    if (kind !== "ours") continue;
    const place = host === "node" ? "" : `${host}.`;
    figures.push({ name: `${place}first_count_ms`, value: of("first_count_ms"), goal: "<= 60" });
    figures.push({ name: `${place}memory_mib`, value: of("linear_mib"), goal: "<= 16" });
  }
}

/** What a page downloads. */
async function sizes() {
  const kib = (/** @type {Buffer} */ bytes) => bytes.length / 1024;
  const client = path.join(ROOT, "dist/client");
  const add = (/** @type {string} */ name, /** @type {number} */ value, /** @type {string} */ goal) => {
    report.sizes[name] = value;
    figures.push({ name, value, goal });
  };
  add("size.core.brotli_kib", kib(brotliCompressSync(readFileSync(path.join(client, "client_bg.wasm")))), "<= 58.6");
  add("size.o200k.gzip_kib", kib(readFileSync(path.join(client, "vocabularies/o200k_base.bin"))), "<= 712.9");
  add("size.cl100k.gzip_kib", kib(readFileSync(path.join(client, "vocabularies/cl100k_base.bin"))), "<= 334.0");
  console.log("\nWhat a page downloads to count by o200k, KiB gzip: script, module, vocabulary\n");
  for (const { name } of contestants.filter(({ name }) => !absent.includes(name))) {
    const parts = await download(name, built);
    // A vocabulary of ours comes packed.
    const packed = parts.map((part) => Math.min(part.length, gzipSync(part, { level: 9 }).length));
    report.sizes[name] = packed.reduce((sum, part) => sum + part, 0) / 1024;
    line(name, report.sizes[name].toFixed(0));
  }
}

/**
 * @param {string} what
 * @param {string[]} columns
 */
function line(what, ...columns) {
  console.log(what.padEnd(32) + columns.map((column) => column.padStart(18)).join(""));
}
