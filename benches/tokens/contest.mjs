// The contest itself, in whatever host runs it: every contestant in turn, round by
// round, on the same text, so that other work on the machine meets all alike.
// Compared is everyone's fastest slice: other work only ever slows one down.

import { contestants } from "./contestants.mjs";

/**
 * @typedef {import("./contestants.mjs").Counter} Counter
 * @typedef {{row: string, task: "count" | "encode", name: string, kind: string, speeds: number[], tokens: number[]}} Result
 *   speeds: million UTF-16 units a second, one a round; none: left out, for it would take seconds
 */

/** Milliseconds that one measurement takes at least: clocks in browsers are coarse. */
const SLICE_MS = 8;
/** Whose slices take so long is timed twice and no more, or the rest would wait for one. */
const SLOW_MS = 400;
/** Who would take longer for a text is not asked. */
const PATIENCE_MS = 3000;
/** Rows whose ids are wanted, too. */
const ENCODED = ["code", "prose", "chat", "mixed", "json"];

/**
 * @param {object} input
 * @param {import("./texts.mjs").Row[]} input.rows
 * @param {(name: string) => Uint8Array<ArrayBuffer>} input.bytes
 * @param {string[]} input.absent who could not be built
 * @param {number} input.rounds
 * @param {(line: string) => void} input.say
 * @returns {Promise<Result[]>}
 */
export async function contest({ rows, bytes, absent, rounds, say }) {
  const all = contestants.filter(({ name }) => !absent.includes(name));
  /** @type {Map<string, Counter>} */
  const ready = new Map();
  for (const { name, start } of all) ready.set(name, await start(bytes));
  /** @type {Map<string, Result>} */
  const results = new Map();
  /** @type {(row: string, task: "count" | "encode", text: string[], once: boolean) => void} */
  const round = (row, task, text, once) => {
    // Another one begins each time.
    all.push(/** @type {any} */ (all.shift()));
    for (const { name, kind } of all) {
      const key = `${task} ${row} ${name}`;
      const result = results.get(key) ?? { row, task, name, kind, speeds: [], tokens: [] };
      results.set(key, result);
      const counter = /** @type {Counter} */ (ready.get(name));
      if (row.startsWith("letter") && isTooSlow(counter, row, text[0])) continue;
      if (result.speeds.length >= 2 && unitsOf(text) / result.speeds[0] / 1000 > SLOW_MS) continue;
      const { speed, tokens } = timed(text, once, task === "count" ? counter.count : (part) => counter.encode(part).length);
      result.speeds.push(speed);
      result.tokens.push(tokens);
    }
  };
  for (const { name, warm, again, fresh } of rows) {
    say(name);
    // Engines compile what they have run a few times.
    for (const counter of ready.values()) {
      for (const part of [...warm, ...warm]) {
        counter.count(part);
        counter.encode(part);
      }
    }
    for (const text of fresh) round(`fresh_${name}`, "count", text, true);
    // Once unmeasured: whoever remembers texts shall.
    for (const counter of ready.values()) if (!name.startsWith("letter") || !isTooSlow(counter, name, again[0])) timed(again, true, counter.count);
    for (let i = 0; i < rounds; i++) {
      round(name, "count", again, false);
      if (ENCODED.includes(name)) round(name, "encode", again, false);
    }
  }
  return [...results.values()];
}

/**
 * @param {string[]} text
 * @param {boolean} once a second time it would not be fresh
 * @param {(part: string) => number} work
 */
function timed(text, once, work) {
  const units = unitsOf(text);
  let times = 0;
  let tokens = 0;
  const began = performance.now();
  let ms;
  do {
    tokens = 0;
    for (const part of text) tokens += work(part);
    times++;
    ms = performance.now() - began;
  } while (!once && ms < SLICE_MS);
  return { speed: (units * times) / ms / 1000, tokens };
}

/** @param {string[]} text */
function unitsOf(text) {
  return text.reduce((sum, part) => sum + part.length, 0);
}

/** @type {WeakMap<Counter, Record<string, boolean>>} */
const known = new WeakMap();

/**
 * Whether all of the text would take seconds, judged by how two beginnings grow:
 * some merge in quadratic time, and a million letters would be an hour.
 *
 * @param {Counter} counter
 * @param {string} row
 * @param {string} text
 */
function isTooSlow(counter, row, text) {
  const answers = known.get(counter) ?? {};
  known.set(counter, answers);
  return (answers[row] ??= expectedMs(counter, text) > PATIENCE_MS);
}

/**
 * @param {Counter} counter
 * @param {string} text
 */
function expectedMs(counter, text) {
  const ms = (/** @type {number} */ units) => {
    const began = performance.now();
    // Another beginning each time, for those that remember.
    counter.count(`${units}${text.slice(0, units)}`);
    return performance.now() - began;
  };
  ms(500);
  let expected = 0;
  for (const units of [1250, 5000, 20_000, 80_000].filter((units) => units <= text.length)) {
    const [half, whole] = [ms(units / 2), ms(units)];
    // A linear one takes a millisecond, which says nothing about its growth.
    const power = whole > 3 && whole > 2.6 * half ? 2 : 1;
    expected = whole * (text.length / units) ** power;
    if (power === 2 && expected > PATIENCE_MS) break;
  }
  return expected;
}
