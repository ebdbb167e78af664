// Generated texts of every kind that has ever told two tokenizers apart. By seed, so
// that a failure comes again.

import { readFileSync } from "node:fs";

/** The Rust tests read the same (crates/tokens/tests/exact/reference.rs). */
const TEXTS = JSON.parse(readFileSync(new URL("telling.json", import.meta.url), "utf8"));
/** What tokenizers stumble over. */
const TELLING = [...TEXTS.telling, "\ud800", "\udc00"];
/** Blocks that texts in one script come from. */
const SCRIPTS = TEXTS.scripts.map((/** @type {string[]} */ block) => block.map((hex) => Number.parseInt(hex, 16)));

/**
 * @param {number} seed
 * @param {number} count of those of each kind; behind them come texts of single characters
 * @returns {Iterable<string>}
 */
export function* texts(seed, count) {
  const next = random(seed);
  const below = (/** @type {number} */ n) => Math.floor(next() * n);
  const pick = (/** @type {any[]} */ list) => list[below(list.length)];
  const any = () => String.fromCodePoint(below(0x110000));
  const many = (/** @type {number} */ n, /** @type {() => string} */ make) => Array.from({ length: n }, make).join("");
  const script = () => {
    const [first, last] = pick(SCRIPTS);
    return many(1 + below(40), () => (below(6) ? String.fromCodePoint(first + below(last - first + 1)) : " "));
  };
  const kinds = [
    () => many(1 + below(20), () => pick(TELLING)),
    () => many(1 + below(8), () => pick(TELLING)),
    () => many(1 + below(12), any),
    () => many(1 + below(3), script),
    () => many(1 + below(6), () => pick(TELLING).repeat(1 + below(40))),
    () => Buffer.from(many(1 + below(60), () => String.fromCharCode(below(256))), "latin1").toString("base64"),
    () => many(1 + below(12), () => pick(TEXTS.blanks)),
    () => many(1 + below(10), () => `${below(2) ? " " : ""}${many(1 + below(9), () => String.fromCharCode(97 + below(26)))}`),
    () => many(1 + below(4), () => `${pick(TELLING)}${script()}${pick(TELLING)}`),
    // Longer than a merge window.
    () => pick(TEXTS.runs).repeat(40 + below(120)) + many(below(9), () => pick(TELLING)),
    () => many(80 + below(120), () => String.fromCharCode(97 + below(4))),
  ];
  for (let i = 0; i < count; i++) yield kinds[i % kinds.length]();
  // Every 97th of all code points, another 97th for each seed, where letters,
  // marks, numbers, blanks and the rest differ.
  for (let code = seed % 97; code < 0x110000; code += 97) {
    const text = String.fromCodePoint(code);
    yield `${text}'s ${text}a${text}1${text}\n`;
  }
}

/**
 * mulberry32
 *
 * @param {number} seed
 */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
