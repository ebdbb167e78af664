// How far Claude's estimates are off, by kind of text and family of models, before and
// after usage was learned from, and how often the bounds hold, also where the tokenizer
// or the texts change: `node benches/tokens/claude.mjs`, after scripts/build-client.
// docs/counting.md has what it prints.
//
// Nobody outside can count as Claude does, so these are no errors against Claude: the truth
// here is OpenAI's count times what was published as the ratio of Claude's to it for that class.
// The texts are those of sources.json that fit.mjs never sees. An estimate by OpenAI's vocabulary
// cannot be judged by that, for it would be the truth but for a factor:
// crates/tokens/tests/measured.rs does, by what Claude really counted for known texts.
//
// Requests of all classes come in turn; each is estimated before it is learned from.

import { readFileSync } from "node:fs";
import { random } from "../../tests/tokens/texts.mjs";
import { calibrationOf, corrected } from "../../wasm-client/js/calibration.js";
import { learner } from "../../wasm-client/js/calibrate.js";
import { estimateText } from "../../wasm-client/js/core.js";
import { init, load } from "../../wasm-client/test/source.mjs";
import { classes, textsOf } from "./sources.mjs";

/** Requests of a class, of so many characters: from, to. */
const REQUESTS = 120;
const CHARS = [1_000, 6_000];
/** Requests learned from before any counts. */
const WARM = 200;
const DRIFT_SEEDS = 10;

const CLASSES = classes().map((one) => ({ ...one, texts: textsOf(one, "held").filter(Boolean) }));

await init();
const o200k = await load("o200k_base", { vocabulary: readFileSync(new URL("../../dist/client/vocabularies/o200k_base.bin", import.meta.url)) });
const module = readFileSync(new URL("../../wasm-client/calibrate/build/calibrate_bg.wasm", import.meta.url));

/** @typedef {{name: string, group: string, kinds: readonly number[], prior: import("../../wasm-client/types/index.js").Bounds, reals: [number, number], turn: number}} Request what is counted is by the older family, and by the newer */

/** @param {string} model @param {number} seed @returns {Request[]} */
function requestsOf(model, seed) {
  const next = random(seed);
  return CLASSES.flatMap(({ name, group, ratios, texts }) =>
    Array.from({ length: REQUESTS }, () => {
      const text = texts[Math.floor(next() * texts.length)];
      const length = CHARS[0] + next() * (CHARS[1] - CHARS[0]);
      const start = Math.floor(next() * Math.max(1, text.length - length));
      const piece = text.slice(start, start + length).toWellFormed();
      const tokens = o200k.count(piece);
      const { kinds, ...prior } = estimateText(piece, model);
      // No tokenizer of bytes makes more of it.
      const most = Buffer.byteLength(piece);
      return { name, group, kinds, prior, reals: /** @type {[number, number]} */ (ratios.map((ratio) => Math.min(most, Math.round(tokens * ratio)))), turn: next() };
    }),
  ).sort((a, b) => a.turn - b.turn);
}

/**
 * Requests one after the other; what is said of each before it is learned from.
 *
 * @param {Request[]} requests
 * @param {(request: Request, nth: number) => number} real
 */
function played(requests, real) {
  const learned = learner(module);
  const said = requests.map((request, nth) => {
    const after = corrected(request.prior, request.kinds, calibrationOf(learned.told()));
    const tokens = real(request, nth);
    learned.learn(request.kinds, tokens);
    // Else one of them is the estimate's own, which is so wide that it always holds.
    const stated = after.lower !== Math.min(after.estimate, request.prior.lower) && after.upper !== Math.max(after.estimate, request.prior.upper);
    return { ...request, tokens, after, stated };
  });
  learned.close();
  return said;
}

/** Where learned bounds were stated, how often they held; and how often they were. @param {ReturnType<typeof played>} list */
function held(list) {
  const stated = list.filter((one) => one.stated);
  return `${percent(within(stated.map(({ tokens, after }) => ({ tokens, bounds: after }))))} of ${percent(stated.length / list.length)}`;
}

const within = (/** @type {{tokens: number, bounds: {lower: number, upper: number}}[]} */ list) => list.filter(({ tokens, bounds }) => bounds.lower <= tokens && tokens <= bounds.upper).length / list.length;

for (const [model, family, at] of /** @type {const} */ ([["claude-sonnet-4-6", "up to 4.6", 0], ["claude-sonnet-5-5", "from 4.7", 1]])) {
  const said = played(requestsOf(model, 46), ({ reals }) => reals[at]).slice(WARM);
  console.log(`\n${family}, in %\n\n| class | bias, p50, p95 as estimated | within the bounds | learned | within the learned bounds where stated, and how often they were | their width |\n|---|---|---|---|---|---|`);
  for (const name of [...CLASSES.map(({ name }) => name), "all"]) {
    const list = said.filter((one) => name === "all" || one.name === name);
    const error = (/** @type {"prior" | "after"} */ which) => errors(list.map((one) => one[which].estimate / one.tokens - 1));
    const prior = percent(within(list.map(({ tokens, prior }) => ({ tokens, bounds: prior }))));
    const width = list.reduce((sum, { after }) => sum + (after.upper - after.lower) / after.estimate, 0) / list.length;
    console.log(`| ${name} | ${error("prior")} | ${prior} | ${error("after")} | ${held(list)} | ${percent(width)} |`);
  }
}

// Drift: of the requests after a change, those that lie within the bounds.
const CHANGE = 600;
const isCode = (/** @type {Request} */ { group }) => group === "code and data";
/** @type {[string, (requests: Request[]) => Request[], (request: Request, nth: number) => number][]} */
const DRIFTS = [
  ["nothing changes", (all) => all, ({ reals }) => reals[0]],
  ["another tokenizer, at once", (all) => all, ({ reals }, nth) => reals[Number(nth >= CHANGE)]],
  ["30 % more tokens, bit by bit", (all) => all, ({ reals }, nth) => Math.round(reals[0] * (1 + 0.3 * Math.max(0, Math.min(1, (nth - CHANGE) / 600))))],
  ["first code and data, then languages", (all) => [...all.filter(isCode).slice(0, CHANGE), ...all.filter(({ group }) => group === "languages")], ({ reals }) => reals[0]],
];
const SPANS = [[CHANGE - 200, CHANGE], [CHANGE, CHANGE + 50], [CHANGE + 50, CHANGE + 200], [CHANGE + 200, CHANGE + 600]];
console.log(`\nWithin the learned bounds where they were stated, of which 95 % are to be, and how often they were, in %; ${DRIFT_SEEDS} runs, the change after ${CHANGE} requests\n\n| | the 200 before | the 50 after | the next 150 | the next 400 |\n|---|---|---|---|---|`);
for (const [name, order, real] of DRIFTS) {
  const runs = Array.from({ length: DRIFT_SEEDS }, (_, seed) => {
    return played(order(requestsOf("claude-sonnet-4-6", seed + 1)).slice(0, CHANGE + 600), real);
  });
  const cells = SPANS.map(([from, to]) => held(runs.flatMap((said) => said.slice(from, to))));
  console.log(`| ${name} | ${cells.join(" | ")} |`);
}

/** @param {number[]} list */
function errors(list) {
  const apart = list.map(Math.abs).sort((a, b) => a - b);
  const mean = list.reduce((sum, error) => sum + error, 0) / list.length;
  return [mean, apart[Math.floor(apart.length * 0.5)], apart[Math.floor(apart.length * 0.95)]].map(percent).join(", ");
}

/** @param {number} part */
function percent(part) {
  return (100 * part).toFixed(1);
}
