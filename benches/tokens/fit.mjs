// Fits the weights of crates/tokens/data/estimate.toml and prints its [[family]] tables, then how
// far these and those in the file are off, of what they were fitted to and of what was held back:
// `node benches/tokens/fit.mjs`. sources.json says which texts are which.
//
// The target is o200k's count times the ratio published for the class, as there is no public
// tokenizer of Claude; what is made small is the relative error, squared, by weights that are not
// negative. English, other languages, and code and data count alike, in each of these its classes.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "smol-toml";
import { classes, textsOf } from "./sources.mjs";

const ROOT = path.join(import.meta.dirname, "../..");
const CHARS = 2_000;
/** Of a class, the same number of each source, as far as it goes. */
const PIECES = 120;
/** As crates/tokens/examples/features.rs gives them. */
const FEATURES = ["words", "latin_letters", "numbers", "digits", "structure_runs", "structure", "breaks", "whitespace", "latin_accented", "cyrillic", "two_byte", "brahmic", "symbols", "cjk", "astral", "repeats"];
/** No estimate is above a text's bytes, and a code point of these has four. */
const MOST = FEATURES.map((name) => (name === "astral" ? 3_900 : Number.POSITIVE_INFINITY));
/** Repeats are taken off. */
const SIGNS = FEATURES.map((name) => (name === "repeats" ? -1 : 1));
const SWEEPS = 20_000;

/** @typedef {{name: string, share: number, features: number[], bytes: number, tokens: number[]}} Piece its share of all; what it has of each feature; the target of each family */

const file = /** @type {any} */ (parse(readFileSync(path.join(ROOT, "crates/tokens/data/estimate.toml"), "utf8")));
const [fit, held] = [piecesOf("fit"), piecesOf("held")];
for (const [family, { name, source, ...shipped }] of file.family.entries()) {
  const weights = fitted(fit, family);
  const lines = FEATURES.map((feature, at) => `${feature} = ${weights[at]}`);
  console.log(`[[family]]\nname = "${name}"\n${lines.join("\n")}\nsource = "${source}"\ndate = "${new Date().toISOString().slice(0, 10)}"\n`);
  const columns = [weights, FEATURES.map((feature) => shipped[feature])].flatMap((of) => [fit, held].map((pieces) => errors(pieces, of, family)));
  console.log("| class | fitted, of what it was fitted to: bias, p50, p95 | of what was held back | in the file, of the first | of the second |\n|---|---|---|---|---|");
  for (const row of columns[0].keys()) console.log(`| ${row} | ${columns.map((column) => column.get(row)).join(" | ")} |`);
  console.log();
}

/** @param {"fit" | "held"} side @returns {Piece[]} */
function piecesOf(side) {
  const all = classes();
  const groups = new Set(all.map(({ group }) => group)).size;
  const cut = all.flatMap((one) => {
    const texts = textsOf(one, side);
    const of = texts.flatMap((text) => pieces(text, Math.ceil(PIECES / texts.length)));
    const share = 1 / groups / all.filter(({ group }) => group === one.group).length / of.length;
    return of.map((text) => ({ ...one, text, share }));
  });
  const words = ["run", "--quiet", "--release", "--locked", "-p", "tollgate-tokens", "--example", "features"];
  /** @type {number[][]} */
  const rows = JSON.parse(execFileSync("cargo", words, { cwd: ROOT, input: JSON.stringify(cut.map(({ text }) => text)), encoding: "utf8", maxBuffer: 1 << 28 }));
  return rows.map(([o200k, ...features], at) => {
    const { name, share, text, ratios } = cut[at];
    const bytes = Buffer.byteLength(text);
    return { name, share, features, bytes, tokens: ratios.map((ratio) => Math.min(bytes, o200k * ratio)) };
  });
}

/** So many pieces at most, from all over a text. @param {string} text @param {number} most */
function pieces(text, most) {
  const count = Math.max(1, Math.min(most, Math.floor(text.length / CHARS)));
  const starts = Array.from({ length: count }, (_, nth) => Math.floor((nth * text.length) / count));
  return starts.map((start) => text.slice(start, start + CHARS).toWellFormed());
}

/**
 * Each weight in turn is set to where the error is least, the others as they are, until none
 * moves. The problem is convex, so that ends at its least.
 *
 * @param {Piece[]} pieces
 * @param {number} family
 * @returns {number[]} thousandths of a token
 */
function fitted(pieces, family) {
  const products = FEATURES.map(() => FEATURES.map(() => 0));
  const sums = FEATURES.map(() => 0);
  for (const { share, features, tokens } of pieces) {
    const parts = features.map((count, at) => (SIGNS[at] * count) / tokens[family] / 1_000);
    parts.forEach((part, i) => {
      sums[i] += share * part;
      parts.forEach((other, j) => (products[i][j] += share * part * other));
    });
  }
  const weights = FEATURES.map(() => 0);
  for (let sweep = 0, moved = 1; moved > 1e-6 && sweep < SWEEPS; sweep++) {
    moved = 0;
    for (const [i, row] of products.entries()) {
      if (!row[i]) continue;
      const left = sums[i] - row.reduce((sum, product, j) => sum + product * weights[j], 0);
      const next = Math.max(0, Math.min(MOST[i], weights[i] + left / row[i]));
      moved = Math.max(moved, Math.abs(next - weights[i]));
      weights[i] = next;
    }
  }
  return weights.map(Math.round);
}

/**
 * Bias, and the median and 95th percentile of the distance, of each class and of all classes alike, in %.
 *
 * @param {Piece[]} pieces
 * @param {number[]} weights
 * @param {number} family
 */
function errors(pieces, weights, family) {
  /** @type {Map<string, number[]>} */
  const of = new Map();
  for (const { name, features, bytes, tokens } of pieces) {
    const sum = features.reduce((all, count, at) => all + SIGNS[at] * count * weights[at], 0);
    of.set(name, [...(of.get(name) ?? []), Math.min(bytes, Math.ceil(Math.max(0, sum) / 1_000)) / tokens[family] - 1]);
  }
  const figures = [...of.values()].map((list) => {
    const apart = list.map(Math.abs).sort((a, b) => a - b);
    return [mean(list), ...[0.5, 0.95].map((part) => apart[Math.floor((apart.length - 1) * part)]), mean(apart)];
  });
  const rows = [...of.keys()].map((name, at) => /** @type {[string, string]} */ ([name, told(figures[at].slice(0, 3))]));
  const [p95, distance] = [2, 3].map((at) => mean(figures.map((list) => list[at])));
  return new Map([...rows, ["mean of all classes: distance, p95", told([distance, p95])]]);
}

/** @param {number[]} list */
function mean(list) {
  return list.reduce((sum, one) => sum + one, 0) / list.length;
}

/** @param {number[]} parts */
function told(parts) {
  return parts.map((part) => (100 * part).toFixed(1)).join(", ");
}
