// How far Claude's estimates are off, by kind of text, before and after usage was
// learned from: `node benches/tokens/claude.mjs`, after scripts/build-client.
//
// Nobody outside can count as Claude does, so these are no errors against Claude: the
// truth here is OpenAI's count times what was published as the ratio of Claude's to it
// for that class (crates/tokens/data/estimate.toml names the sources), on texts of the
// packages that package-lock.json pins. What Claude really counted for known texts is
// in crates/tokens/data/measured.toml; its test prints the errors against that.
//
// Requests of all classes come in turn; each is estimated before it is learned from.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { random } from "../../tests/tokens/texts.mjs";
import { calibrationOf, corrected } from "../../wasm-client/js/calibration.js";
import { learner } from "../../wasm-client/js/calibrate.js";
import { estimateText } from "../../wasm-client/js/core.js";
import { init, load } from "../../wasm-client/test/source.mjs";

const MODULES = path.join(import.meta.dirname, "../../node_modules");
/** Requests of a class, of so many characters: from, to. */
const REQUESTS = 120;
const CHARS = [1_000, 6_000];
/** Requests learned from before any counts. */
const WARM = 200;

const locale = (/** @type {string} */ name) => {
  /** @type {string[]} */
  const found = [];
  const walk = (/** @type {unknown} */ value) => {
    if (typeof value === "string") found.push(value);
    else if (value && typeof value === "object") Object.values(value).forEach(walk);
  };
  walk(JSON.parse(readFileSync(path.join(MODULES, `axe-core/locales/${name}.json`), "utf8")));
  return found.join(" ");
};
const files = (/** @type {string} */ under, /** @type {string} */ end) =>
  readdirSync(path.join(MODULES, under), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(end) && !name.includes("locales"))
    .sort()
    .slice(0, 400)
    .map((name) => readFileSync(path.join(MODULES, under, name), "utf8"))
    .join("\n");

/** Class, ratio up to 4.6, ratio from 4.7, texts; the ratios as in crates/tokens/tests/accuracy.rs. @type {[string, number, number, string][]} */
const CLASSES = [
  ["markdown", 1.15, 1.48, files("@anthropic-ai", ".md") + files("undici", ".md")],
  ["german", 1.25, 1.65, locale("de")],
  ["french", 1.25, 1.65, locale("fr")],
  ["spanish", 1.25, 1.65, locale("es")],
  ["russian", 1.6, 1.67, locale("ru")],
  ["greek", 1.6, 1.67, locale("el")],
  ["japanese", 1.6, 1.67, locale("ja")],
  ["chinese", 1.6, 1.67, locale("zh_CN")],
  ["typescript", 1.23, 1.49, files("@types/node", ".d.ts")],
  ["javascript", 1.24, 1.49, readFileSync(path.join(MODULES, "axe-core/axe.js"), "utf8")],
  ["json", 1.21, 1.38, readFileSync(path.join(MODULES, "axe-core/sri-history.json"), "utf8") + files(".", "package.json")],
];

await init();
const o200k = await load("o200k_base", { vocabulary: readFileSync(new URL("../../dist/client/vocabularies/o200k_base.bin", import.meta.url)) });
for (const [model, family, at] of /** @type {const} */ ([["claude-sonnet-4-6", "up to 4.6", 1], ["claude-sonnet-5-5", "from 4.7", 2]])) {
  const next = random(46);
  const requests = CLASSES.flatMap(([name, ...rest]) => {
    const text = /** @type {string} */ (rest[2]);
    return Array.from({ length: REQUESTS }, () => {
      const length = CHARS[0] + next() * (CHARS[1] - CHARS[0]);
      const start = Math.floor(next() * Math.max(1, text.length - length));
      const piece = text.slice(start, start + length).toWellFormed();
      return { name, piece, real: Math.round(o200k.count(piece) * /** @type {number} */ (rest[at - 1])), turn: next() };
    });
  }).sort((a, b) => a.turn - b.turn);
  for (const [form, assisted] of /** @type {const} */ ([["features alone", false], ["with o200k", true]])) {
    const learned = learner(readFileSync(new URL("../../wasm-client/calibrate/build/calibrate_bg.wasm", import.meta.url)));
    /** @type {Map<string, {before: number[], after: number[], within: number, width: number}>} */
    const table = new Map();
    requests.forEach(({ name, piece, real }, nth) => {
      const { kinds: own, ...prior } = estimateText(piece, model);
      // The same kinds, of as many tokens as OpenAI's vocabulary makes of it.
      const share = assisted ? (o200k.count(piece) * (family === "from 4.7" ? 1.52 : 1.17)) / prior.estimate : 1;
      const kinds = own.map((kind) => Math.round(kind * share));
      const estimate = kinds.reduce((sum, kind) => sum + kind, 0);
      const after = corrected({ ...prior, estimate }, kinds, calibrationOf(learned.told()));
      learned.learn(kinds, real);
      if (nth < WARM) return;
      const row = table.get(name) ?? { before: [], after: [], within: 0, width: 0 };
      table.set(name, row);
      row.before.push(estimate / real - 1);
      row.after.push(after.estimate / real - 1);
      row.within += Number(after.lower <= real && real <= after.upper);
      row.width += (after.upper - after.lower) / after.estimate;
    });
    console.log(`\n${family}, ${form}`);
    console.log(`| class | bias, p50, p95 before | after | within the bounds | their width |\n|---|---|---|---|---|`);
    const rows = [...table].sort(([a], [b]) => CLASSES.findIndex(([name]) => name === a) - CLASSES.findIndex(([name]) => name === b));
    const all = { before: rows.flatMap(([, row]) => row.before), after: rows.flatMap(([, row]) => row.after), within: rows.reduce((sum, [, row]) => sum + row.within, 0), width: rows.reduce((sum, [, row]) => sum + row.width, 0) };
    for (const [name, row] of [...rows, /** @type {const} */ (["all", all])]) console.log(`| ${name} | ${errors(row.before)} | ${errors(row.after)} | ${percent(row.within / row.after.length)} | ${percent(row.width / row.after.length)} |`);
  }
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
